"""Faults of the load balancer: it runs with what was written before they return, and with the lab's own after."""

from __future__ import annotations

from typing import Any

import pytest
from support.fakes import FakeClock, FakeGuests, lab_of
from support.site_builder import heal, inject, site_of

from halab.config.lab import BackendCheck
from halab.errors import BadUsage, TimedOut
from halab.faults.journal import Entry
from halab.topology.files import BalancerSettings, balancer

NGINX: dict[str, Any] = {"load_balancer": {"kind": "nginx"}}


def lb(settings: str) -> FakeGuests:
    """A load balancer whose old worker ends a moment after its new one has come."""
    return FakeGuests(
        {"ls -tr": settings, r"halab-new": "332\n", "pgrep -P": ["332\n", "332\n400\n", "400\n"]}
    )


def pushed(guests: FakeGuests) -> str:
    """The configuration that was written last."""
    return [call.input or "" for call in guests.calls if "halab-new" in call.command][-1]


def test_the_lab_s_own_configuration_is_what_provisioning_writes() -> None:
    for lab in (lab_of(), lab_of(**NGINX)):
        assert balancer(lab) == balancer(lab, BalancerSettings())


def test_haproxy_is_rendered_with_other_settings() -> None:
    text = balancer(lab_of(), BalancerSettings(BackendCheck.TCP, "5s", 20)).text
    assert "httpchk" not in text
    for line in ("timeout client 5s", "timeout server 5s", "timeout tunnel 5s", "  maxconn 20\n"):
        assert line in text
    assert (
        "httpchk"
        in balancer(lab_of(load_balancer={"check": "tcp"}), BalancerSettings(BackendCheck.READYZ)).text
    )


def test_nginx_is_rendered_with_other_settings() -> None:
    text = balancer(lab_of(**NGINX), BalancerSettings(None, "5s", 20)).text
    for line in ("proxy_timeout 5s;", "worker_processes 1;", "worker_connections 42;"):
        assert line in text


def test_the_limit_of_clients_does_not_apply_to_statistics() -> None:
    text = balancer(lab_of(), BalancerSettings(connections=5)).text
    assert (
        text.index("frontend kube-apiserver")
        < text.index("  maxconn 5\n")
        < text.index("frontend statistics")
    )


def test_an_edited_balancer_is_waited_for_until_its_old_workers_have_ended() -> None:
    guests = lb("check=tcp\n")
    _, seen = inject(site_of(guests), "edit-balancer", "lb1", check="tcp")
    assert seen == "haproxy runs with check=tcp"
    assert "httpchk" not in pushed(guests)
    assert sum("pgrep -P" in command for command in guests.commands("lb1")) == 4


def test_a_balancer_that_keeps_its_old_workers_is_a_fault_without_effect() -> None:
    guests = FakeGuests({"ls -tr": "check=tcp\n", "pgrep -P": "332\n"})
    with pytest.raises(TimedOut, match="the old workers still run: 332"):
        inject(site_of(guests), "edit-balancer", "lb1", check="tcp")


def test_a_balancer_that_does_not_run_reads_its_configuration_when_it_starts() -> None:
    guests = FakeGuests({"ls -tr": "check=tcp\n"})
    inject(site_of(guests), "edit-balancer", "lb1", check="tcp")
    assert "systemctl is-active -q haproxy.service" in guests.commands("lb1")[-1]


def test_settings_of_several_faults_hold_at_once() -> None:
    guests = lb("check=tcp\nidle_timeout=5s\n")
    inject(site_of(guests), "edit-balancer", "lb1", idle_timeout="5s")
    assert "httpchk" not in pushed(guests)
    assert "timeout client 5s" in pushed(guests)


def test_a_healed_balancer_keeps_the_settings_of_open_faults() -> None:
    guests = lb("idle_timeout=5s\n")
    guests.answers = {"echo changed": "changed\n", **guests.answers}
    heal(site_of(guests), Entry("42", "edit-balancer", "lb1", {"check": "tcp"}))
    assert "httpchk" in pushed(guests)
    assert "timeout client 5s" in pushed(guests)
    first, *_, last = guests.commands("lb1")
    assert "rm -f /var/lib/halab/42/balancer-settings" in first
    assert "rm -rf /var/lib/halab/42" in last


def test_a_balancer_that_was_never_edited_is_not_reloaded() -> None:
    guests = FakeGuests()
    heal(site_of(guests), Entry("42", "edit-balancer", "lb1", {"check": "tcp"}))
    assert len(guests.calls) == 1


def test_an_edit_without_settings_is_refused() -> None:
    with pytest.raises(BadUsage, match="changes nothing"):
        inject(site_of(FakeGuests()), "edit-balancer", "lb1")


def test_nginx_has_no_check_to_edit() -> None:
    with pytest.raises(BadUsage, match="only haproxy has the option check: nginx checks passively"):
        inject(site_of(FakeGuests(), **NGINX), "edit-balancer", "lb1", check="tcp")


def test_connections_are_held_when_the_kernel_counts_them() -> None:
    guests = FakeGuests({"ss -Htnp": ["0\n", "120\n", "300\n"]})
    entry, seen = inject(site_of(guests), "hold-connections", "cp2", count="300")
    assert seen == "300 connections are open"
    start = guests.commands("cp2")[0]
    assert f"--unit=halab-hold-{entry.id}.service" in start
    assert "10.213.7.10 6443 300" in start


def test_a_full_balancer_is_an_effect() -> None:
    guests = FakeGuests({"ss -Htnp": ["10\n", "37\n"]})
    site = site_of(guests)
    _, seen = inject(site, "hold-connections", "cp2", count="300")
    assert seen == "37 connections are open, of 300 that were tried: no more are accepted"
    assert isinstance(site.clock, FakeClock)
    assert 4 < sum(site.clock.slept) < 6


def test_no_connection_at_all_is_no_effect() -> None:
    with pytest.raises(TimedOut, match="0 connections are open"):
        inject(site_of(FakeGuests({"ss -Htnp": "0\n"})), "hold-connections", "cp2", count="300")


def test_a_heal_closes_the_connections_and_removes_the_files() -> None:
    guests = FakeGuests({"": ""})
    heal(site_of(guests), Entry("42", "hold-connections", "cp2", {"count": "300"}))
    (call,) = guests.calls
    assert "systemctl stop halab-hold-42.service" in call.command
    assert "rm -rf /var/lib/halab/42" in call.command
