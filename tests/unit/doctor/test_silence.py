"""After a boot without an answer: what may be the reason, and what of it could not be looked at."""

from __future__ import annotations

import pytest
from support.fake_host import FakeHost, place_of

from halab.doctor import explained
from halab.errors import BootTimedOut, CommandFailed

DROPPING = "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n"


def hint(host: FakeHost, provider: str = "libvirt") -> list[str]:
    with pytest.raises(BootTimedOut) as caught, explained(place_of(provider=provider), host):
        raise BootTimedOut("started, but no answer over SSH in time: cp1", code=1, hint="the log")
    first, *lines = (caught.value.hint or "").splitlines()
    assert first == "the log"
    return lines


def test_a_plain_user_is_told_that_nobody_has_looked_at_the_firewall_and_why_that_matters() -> None:
    assert hint(FakeHost()) == [
        "firewall: not looked at: only root can see it",
        "  it may be the reason: a firewall that drops the lab's packets keeps DHCP and SSH from the machines",
        '  look: sudo -E "$(command -v halab)" doctor -f /labs/ha/lab.yml',
    ]


def test_root_is_told_what_the_firewall_does() -> None:
    host = FakeHost(is_root=True)
    assert hint(host) == []
    host.outputs["iptables -S"] = DROPPING
    seen, reason, fix = hint(host)
    assert seen.startswith("firewall: iptables' chain FORWARD drops what it does not know")
    assert reason.startswith("  it may be the reason: a firewall")
    assert fix.startswith("  fix: iptables -I FORWARD ")


def test_what_the_provider_does_without_is_no_reason() -> None:
    assert hint(FakeHost(), "docker") == []
    host = FakeHost()
    host.texts["/proc/sys/fs/inotify/max_user_instances"] = "40\n"
    (seen, reason, _) = hint(host, "docker")
    assert seen.startswith("inotify: 40 instances")
    assert "systemd does not start" in reason


def test_another_failure_of_vagrant_is_left_as_it_is() -> None:
    with pytest.raises(CommandFailed) as caught, explained(place_of(provider="libvirt"), FakeHost()):
        raise CommandFailed("vagrant up ended with 1", code=1, hint="the log")
    assert caught.value.hint == "the log"
