"""The state of the backends as the load balancer sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from support.fakes import FakeGuests, captured, lab_of

from halab.cluster import balancer
from halab.config.own_file import OwnFile
from halab.errors import Unreachable

STAT = captured("show-stat.csv")
ADDRESSES = {machine.name: str(machine.address) for machine in lab_of().control_planes}


def parse(text: str) -> dict[str, str]:
    return balancer.parse_haproxy(text, ADDRESSES)


def test_backends_that_haproxy_uses_are_up() -> None:
    assert parse(STAT) == {"cp1": "up", "cp2": "up", "cp3": "up"}


def test_a_backend_that_is_down_has_a_reason() -> None:
    row = next(line for line in STAT.splitlines() if line.startswith("control-planes,cp2,"))
    down = row.replace(",UP,", ",DOWN,", 1).replace("Layer7 check passed", "Layer7 wrong status")
    assert parse(STAT.replace(row, down))["cp2"] == "down (Layer7 wrong status)"


def test_a_backend_that_is_going_down_is_up() -> None:
    assert parse(STAT.replace(",UP,", ",UP 1/2,", 1))["cp1"] == "up"


def test_a_backend_without_a_check_is_unchecked() -> None:
    text = "# pxname,svname,status,check_status,check_desc,\ncontrol-planes,cp1,no check,,,\n"
    assert parse(text) == {"cp1": "no check"}


def own(*rows: str) -> str:
    """The statistics of a configuration with names of its own: proxy, server, status and address of every row."""
    lines = [
        ",".join((*row.split()[:2], row.split()[2].replace("_", " "), "", "", row.split()[3]))
        for row in rows
    ]
    return (
        "\n".join(["# pxname,svname,status,check_status,check_desc,addr,", *(f"{line}," for line in lines)])
        + "\n"
    )


def test_a_backend_of_an_own_configuration_is_known_by_its_address() -> None:
    text = own(
        "api master1 UP 10.213.7.11:6443", "api master2 DOWN 10.213.7.12:6443", "web x DOWN 10.213.7.13:80"
    )
    assert parse(text) == {"cp1": "up", "cp2": "down (no check yet)"}


def test_a_backend_that_is_down_in_one_of_several_proxies_is_down() -> None:
    text = own("a x no_check 10.213.7.11:6443", "b x DOWN 10.213.7.11:6443", "c x UP 10.213.7.11:6443")
    assert parse(text) == {"cp1": "down (no check yet)"}
    text = own("a x UP 10.213.7.11:6443", "b x no_check 10.213.7.11:6443")
    assert parse(text) == {"cp1": "up"}


def test_an_empty_answer_has_no_backend() -> None:
    assert parse("") == {}
    assert balancer.parse_codes("") == {}


def test_haproxy_is_asked_over_its_socket() -> None:
    guests = FakeGuests({"lb1: .*show stat": STAT})
    states, unchecked = balancer.backends(guests, lab_of(), "lb1")
    assert (set(states), unchecked) == ({"cp1", "cp2", "cp3"}, ())
    assert balancer.reports_all(guests, lab_of())


def test_halab_asks_for_what_haproxy_does_not_check() -> None:
    stat = own("api a UP 10.213.7.11:6443", "api b no_check 10.213.7.12:6443", "api c UP 10.213.7.13:6443")
    guests = FakeGuests({"show stat": stat, "readyz": "cp2 500\n"})
    states, unchecked = balancer.backends(guests, lab_of(), "lb1")
    assert states == {"cp1": "up", "cp2": "not ready (/readyz answers 500)", "cp3": "up"}
    assert unchecked == ("cp2",)
    assert not balancer.reports_all(guests, lab_of())
    assert "10.213.7.11" not in guests.commands("lb1")[1]


def test_only_an_own_configuration_may_lack_a_backend() -> None:
    guests = FakeGuests({"show stat": own("api a UP 10.213.7.11:6443"), "readyz": "cp2 200\ncp3 200\n"})
    assert balancer.backends(guests, lab_of(), "lb1") == ({"cp1": "up"}, ())
    lab = replace(lab_of(load_balancer={"config": "x"}), balancer_file=OwnFile(Path("x"), "global\n"))
    assert balancer.backends(guests, lab, "lb1") == ({"cp1": "up", "cp2": "up", "cp3": "up"}, ("cp2", "cp3"))


def test_a_haproxy_that_does_not_answer_is_expected_to_report() -> None:
    assert balancer.reports_all(FakeGuests({"show stat": Unreachable("lb1 does not answer")}), lab_of())


def test_a_load_balancer_that_checks_no_backends_requests_readyz() -> None:
    guests = FakeGuests({"lb1: ": "cp1 200\ncp2 500\ncp3 000\n"})
    lab = lab_of(load_balancer={"kind": "nginx"})
    assert balancer.backends(guests, lab, "lb1").states == {
        "cp1": "up",
        "cp2": "not ready (/readyz answers 500)",
        "cp3": "not ready (no answer to /readyz)",
    }
    (command,) = guests.commands("lb1")
    assert "systemctl is-active -q nginx.service" in command
    assert not balancer.reports_all(guests, lab)
    assert "https://10.213.7.12:6443/readyz" in command
