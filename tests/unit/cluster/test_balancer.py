"""The state of the backends as the load balancer sees it."""

from __future__ import annotations

from support.fakes import FakeGuests, captured, lab_of

from halab.cluster import balancer

STAT = captured("show-stat.csv")


def test_backends_that_haproxy_uses_are_up() -> None:
    assert balancer.parse_haproxy(STAT) == {"cp1": "up", "cp2": "up", "cp3": "up"}


def test_a_backend_that_is_down_has_a_reason() -> None:
    row = next(line for line in STAT.splitlines() if line.startswith("control-planes,cp2,"))
    down = row.replace(",UP,", ",DOWN,", 1).replace("Layer7 check passed", "Layer7 wrong status")
    assert balancer.parse_haproxy(STAT.replace(row, down))["cp2"] == "down (Layer7 wrong status)"


def test_a_backend_that_is_going_down_is_up() -> None:
    assert balancer.parse_haproxy(STAT.replace(",UP,", ",UP 1/2,", 1))["cp1"] == "up"


def test_a_backend_without_a_check_is_not_up() -> None:
    text = "# pxname,svname,status,check_status,check_desc,\ncontrol-planes,cp1,no check,,,\n"
    assert balancer.parse_haproxy(text) == {"cp1": "no check (no check yet)"}


def test_an_empty_answer_has_no_backend() -> None:
    assert balancer.parse_haproxy("") == {}
    assert balancer.parse_codes("") == {}


def test_haproxy_is_asked_over_its_socket() -> None:
    guests = FakeGuests({"lb1: .*show stat": STAT})
    assert set(balancer.backends(guests, lab_of())) == {"cp1", "cp2", "cp3"}


def test_a_load_balancer_that_checks_no_backends_requests_readyz() -> None:
    guests = FakeGuests({"lb1: ": "cp1 200\ncp2 500\ncp3 000\n"})
    lab = lab_of(load_balancer={"kind": "nginx"})
    assert balancer.backends(guests, lab) == {
        "cp1": "up",
        "cp2": "not ready (/readyz answers 500)",
        "cp3": "not ready (/readyz answers 000)",
    }
    (command,) = guests.commands("lb1")
    assert "systemctl is-active -q nginx.service" in command
    assert "https://10.213.7.12:6443/readyz" in command
