"""Possible reasons why machines do not answer after a boot."""

from __future__ import annotations

import pytest
from support.fake_host import WITH_NETWORK, FakeHost, place_of

from halab.doctor import explained
from halab.errors import BootTimedOut, CommandFailed, NotConnected

DROPPING = "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n"


def hint(host: FakeHost, provider: str = "libvirt") -> list[str]:
    with pytest.raises(BootTimedOut) as caught, explained(place_of(provider=provider), host):
        raise BootTimedOut("started, but no answer over SSH in time: cp1", code=1, hint="the log")
    first, *lines = (caught.value.hint or "").splitlines()
    assert first == "the log"
    return lines


def test_without_root_an_unchecked_firewall_is_a_possible_reason() -> None:
    assert hint(FakeHost()) == [
        "firewall: not checked: only root can read it",
        "  possible reason: a firewall that drops the lab's packets blocks DHCP, SSH and packets between machines",
        '  check: sudo env HOME="$HOME" PATH="$PATH" halab doctor -f /labs/ha/lab.yml',
    ]


def test_as_root_a_firewall_that_drops_is_a_possible_reason() -> None:
    host = FakeHost(is_root=True, libvirt_facts=WITH_NETWORK)
    assert hint(host) == []
    host.outputs["iptables -S"] = DROPPING
    seen, reason, fix = hint(host)
    assert seen.startswith("firewall: the iptables chain FORWARD drops by default")
    assert reason.startswith("  possible reason: a firewall")
    assert fix.startswith("  fix: iptables -I FORWARD ")


def test_checks_of_another_provider_are_no_reason() -> None:
    assert hint(FakeHost(), "docker") == []
    host = FakeHost()
    host.texts["/proc/sys/fs/inotify/max_user_instances"] = "40\n"
    (seen, reason, _) = hint(host, "docker")
    assert seen.startswith("inotify: 40 instances")
    assert "systemd does not start" in reason


def test_machines_that_do_not_reach_each_other_are_explained_by_the_firewall_alone() -> None:
    host = FakeHost(is_root=True, libvirt_facts=WITH_NETWORK)
    host.outputs["iptables -S"] = DROPPING
    host.texts["/proc/meminfo"] = "MemAvailable: 1024 kB\n"
    with pytest.raises(NotConnected) as caught, explained(place_of(provider="libvirt"), host):
        raise NotConnected("packets on the lab's network are lost")
    seen, reason, _ = (caught.value.hint or "").splitlines()
    assert seen.startswith("firewall: the iptables chain FORWARD drops by default")
    assert reason.endswith("packets between machines")


def test_other_errors_of_vagrant_keep_their_hint() -> None:
    with pytest.raises(CommandFailed) as caught, explained(place_of(provider="libvirt"), FakeHost()):
        raise CommandFailed("vagrant up exited with code 1", code=1, hint="the log")
    assert caught.value.hint == "the log"
