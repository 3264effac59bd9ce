"""The fault of a unit: what it changes, what the heal compares, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.fakes import Call, FakeGuests
from support.site_builder import Shell, heal, inject, site_of

from halab.errors import BadUsage, TimedOut
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.faults.units import full_name

SHOWN = "ActiveState -p UnitFileState -p DropInPaths --value"
ACTIVE = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"


def guests(*states: str, **more: Any) -> FakeGuests:
    """Machines whose unit is in these states one after another, and is as before after the heal."""
    return FakeGuests({"LoadState -p UnitFileState -p ActiveState": ACTIVE, SHOWN: list(states), **more})


@pytest.mark.parametrize(
    ("action", "states", "command", "undo"),
    [
        ("stop", ["deactivating enabled", "inactive enabled"], "systemctl stop kubelet.service", "start"),
        ("disable", ["active disabled"], "systemctl disable kubelet.service", "systemctl enable"),
        ("mask", ["active masked", "inactive masked"], "systemctl mask kubelet.service", "readlink"),
    ],
)
def test_a_unit_is_changed_after_its_state_was_kept(
    action: str, states: list[str], command: str, undo: str
) -> None:
    machines = guests(*states)
    entry, seen = inject(site_of(machines), "unit", unit="kubelet", action=action)
    assert seen == f"kubelet is {', '.join(states[-1].split())}"
    script = machines.commands("cp2")[1]
    assert script.index(f"mv /var/lib/halab/{entry.id}/part /var/lib/halab/{entry.id}/state") < script.index(
        command
    )
    heal(site_of(machines), entry)
    *_, restore, compare, forget = machines.commands("cp2")
    assert undo in restore
    assert "diff" in compare
    assert f"rm -rf /var/lib/halab/{entry.id}" in forget


def test_a_drop_in_is_written_and_counts_when_systemd_has_read_it() -> None:
    path, text = "/etc/systemd/system/kubelet.service.d/99-halab-", "[Service]\nExecStart=\n"
    written: list[str] = []

    def write(call: Call) -> str:
        assert call.input == text
        written.append(re.findall(rf"cat >({path}\S+)", call.command)[0])
        return ""

    machines = FakeGuests(
        {
            "LoadState -p UnitFileState -p ActiveState": ACTIVE,
            "cat >/etc/systemd": write,
            SHOWN: lambda call: f"failed enabled /usr/x.conf {written[0]}",
        }
    )
    entry, seen = inject(site_of(machines), "unit", unit="kubelet.service", action="drop-in", text=text)
    assert written == [f"{path}{entry.id}.conf"]
    assert seen == f"kubelet.service is failed, enabled, /usr/x.conf, {written[0]}"
    heal(site_of(machines), entry)
    restore = machines.commands("cp2")[-3]
    assert f"rm -f {written[0]}" in restore
    assert "systemctl restart kubelet.service" in restore


def test_a_drop_in_that_systemd_does_not_read_is_no_effect() -> None:
    with pytest.raises(TimedOut, match="it is not /etc/systemd/system/kubelet.service.d/99-halab-"):
        inject(site_of(guests("active enabled")), "unit", unit="kubelet", action="drop-in", text="[Unit]\n")


def test_a_heal_waits_until_the_unit_is_as_before_and_says_what_differs() -> None:
    entry = Entry("42", "unit", "cp2", {"unit": "kubelet", "action": "stop"})
    machines = FakeGuests({"diff": ["it is activating\n", ""]})
    heal(site_of(machines), entry)
    assert machines.commands("cp2")[-1].startswith("rm -rf /var/lib/halab/42")
    machines = FakeGuests({"diff": "< UnitFileState=enabled\n> UnitFileState=disabled\n"})
    with pytest.raises(TimedOut, match="last seen: < UnitFileState=enabled; > UnitFileState=disabled"):
        heal(site_of(machines), entry)
    assert not any(command.startswith("rm -rf") for command in machines.commands("cp2"))


def test_a_unit_that_was_never_changed_is_not_touched(tmp_path: Path) -> None:
    machine = Shell(tmp_path / "machine")
    entry = Entry("42", "unit", "cp2", {"unit": "kubelet", "action": "mask"})
    shown = FakeGuests({"": lambda call: machine(call) if "/etc/systemd" not in call.command else ""})
    heal(site_of(shown), entry)
    assert machine.did == []
    # the undo does nothing without the state from before
    (undo, *_) = shown.commands("cp2")
    assert "if [ -e /var/lib/halab/42/state ]; then" in undo


@pytest.mark.parametrize(
    ("unit", "action", "shown", "why"),
    [
        (
            "none",
            "stop",
            "LoadState=not-found\nActiveState=inactive\nUnitFileState=\n",
            "no such unit on cp2: none",
        ),
        (
            "kubelet",
            "mask",
            "LoadState=masked\nActiveState=inactive\nUnitFileState=masked\n",
            "already masked on cp2",
        ),
        ("kubelet", "stop", ACTIVE.replace("=active", "=failed"), r"not active on cp2: kubelet \(failed\)"),
        (
            "kubelet",
            "disable",
            ACTIVE.replace("enabled", "static"),
            r"not enabled on cp2: kubelet \(static\)",
        ),
        ("kubelet", "stop", f"{ACTIVE}/var/lib/halab/1/unit\n", "another fault has changed kubelet on cp2"),
    ],
)
def test_an_impossible_change_is_refused(unit: str, action: str, shown: str, why: str) -> None:
    machines = FakeGuests({"LoadState": shown})
    with pytest.raises(BadUsage, match=why):
        inject(site_of(machines), "unit", unit=unit, action=action)
    assert len(machines.calls) == 1


@pytest.mark.parametrize(
    "unit", ["ssh", "sshd.service", "ssh.socket", "halab-machine", "dbus", "systemd-networkd"]
)
def test_the_units_that_halab_needs_are_refused(unit: str) -> None:
    with pytest.raises(BadUsage, match="halab needs this service to heal cp2"):
        inject(site_of(FakeGuests()), "unit", unit=unit, action="stop")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"unit": "kubelet", "action": "drop-in"}, "text is the content of a drop-in"),
        ({"unit": "kubelet", "action": "stop", "text": "x"}, "text is the content of a drop-in"),
        ({"unit": "kubelet", "action": "kill"}, "action: should be stop, disable"),
        ({"unit": "../x", "action": "stop"}, "unit: should be a systemd unit"),
        ({"unit": "kubelet"}, "unit needs the option action"),
    ],
)
def test_wrong_options_are_named(given: dict[str, str], why: str) -> None:
    (problem,) = FAULTS["unit"].problems_with(given)
    assert why in problem


def test_kube_vip_is_no_service() -> None:
    site = site_of(FakeGuests(), load_balancer={"kind": "kube-vip"})
    with pytest.raises(BadUsage, match="kube-vip is no service, but a static pod: load-balancer"):
        inject(site, "unit", unit="load-balancer", action="stop")


def test_the_load_balancer_of_a_node_is_a_unit() -> None:
    site = site_of(FakeGuests(), load_balancer={"kind": "local"})
    assert full_name(site, "load-balancer") == "haproxy.service"
