"""The fault edit-keepalived: keepalived runs with other settings, and with the lab's own after the heal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeGuests
from support.site_builder import Shell, heal, inject, site_of

from halab.config.own_file import OwnFile
from halab.errors import CommandFailed, LabProblem, TimedOut, Unable
from halab.faults.journal import Entry
from halab.faults.site import Site

CURSOR = "-- cursor: s=1;i=2\n"
RELOADED = "active\nReloading ...\n"


def pair(guests: FakeGuests, **keepalived: Any) -> Site:
    return site_of(guests, load_balancer={"machines": 2, "keepalived": keepalived})


def lb(**answers: Any) -> FakeGuests:
    return FakeGuests({**answers, "show-cursor": CURSOR, "after-cursor": RELOADED})


def pushed(guests: FakeGuests) -> str:
    return [call.input or "" for call in guests.calls if "halab-new" in call.command][-1]


def test_keepalived_reads_its_file_with_other_settings() -> None:
    guests = lb()
    _, effect = inject(pair(guests, vrrp="unicast"), "edit-keepalived", "lb2", check="none", preempt="false")
    assert effect == "keepalived runs with check=none, preempt=false"
    text = pushed(guests)
    assert "vrrp_script" not in text and "  nopreempt\n" in text and "priority 100" in text
    # the other settings are those of the lab
    assert "unicast_src_ip 10.213.7.9" in text
    assert any("systemctl reload keepalived.service" in command for command in guests.commands("lb2"))


def test_a_whole_configuration_replaces_that_of_the_lab() -> None:
    guests = lb()
    _, effect = inject(
        pair(guests), "edit-keepalived", "lb1", config="vrrp_instance A { interface {{ nic }} }"
    )
    assert effect == "keepalived runs with the configuration of the fault"
    assert pushed(guests) == "vrrp_instance A { interface @nic@ }\n"


def test_the_heal_puts_the_original_back_and_removes_the_folder() -> None:
    guests = lb(**{"echo changed": "changed\n"})
    heal(pair(guests), Entry("42", "edit-keepalived", "lb1", {"check": "none"}))
    commands = guests.commands("lb1")
    assert "cp -p" in commands[0] and "/etc/keepalived/keepalived.conf" in commands[0]
    assert "systemctl reload" in commands[1]
    assert "rm -r" in commands[-1]


@pytest.fixture
def machine(tmp_path: Path) -> Shell:
    """A load balancer on which commands really run; its keepalived accepts every configuration."""
    shell = Shell(tmp_path / "machine")
    shell.path("/etc/keepalived/keepalived.conf").write_text("interface eth1\n")
    shell.add_tool("ip", "echo '3: eth1    inet 10.213.7.10/24 scope global eth1'")
    shell.add_tool("keepalived")
    shell.add_tool("journalctl", "echo 'Reloading ...'")
    return shell


def files(machine: Shell) -> dict[str, str]:
    return {path.name: path.read_text() for path in machine.path("/etc/keepalived").iterdir()}


def test_the_configuration_of_the_fault_is_gone_after_the_heal(machine: Shell) -> None:
    site = pair(FakeGuests({"": machine}))
    entry, _ = inject(site, "edit-keepalived", "lb1", config="vrrp_instance A { interface {{ nic }} }")
    assert files(machine) == {"keepalived.conf": "vrrp_instance A { interface eth1 }\n"}
    heal(site, entry)
    assert files(machine) == {"keepalived.conf": "interface eth1\n"}
    assert not machine.path("/var/lib/halab").exists()


@pytest.mark.parametrize("tool", ["sed", "keepalived", "mv"])
def test_a_configuration_that_cannot_be_used_leaves_that_of_the_lab(tool: str, machine: Shell) -> None:
    does = f'case "$*" in *halab-new*) exit 1 ;; esac; exec /bin/{tool} "$@"'
    machine.add_tool(tool, "exit 1" if tool == "sed" else does)
    with pytest.raises(CommandFailed):
        inject(pair(FakeGuests({"": machine})), "edit-keepalived", "lb1", config="x")
    assert files(machine) == {"keepalived.conf": "interface eth1\n"}


def test_the_heal_of_a_fault_that_was_killed_removes_its_new_file(machine: Shell) -> None:
    machine.path("/etc/keepalived/keepalived.conf.halab-new").write_text("x\n")
    heal(pair(FakeGuests({"": machine})), Entry("42", "edit-keepalived", "lb1", {"config": "x"}))
    assert files(machine) == {"keepalived.conf": "interface eth1\n"}


def test_the_heal_of_a_fault_that_was_not_injected_reloads_nothing() -> None:
    guests = FakeGuests()
    heal(pair(guests), Entry("42", "edit-keepalived", "lb1", {"check": "none"}))
    assert not any("reload" in command for command in guests.commands("lb1"))


def test_a_keepalived_that_is_stopped_is_not_waited_for() -> None:
    guests = FakeGuests()
    _, effect = inject(pair(guests), "edit-keepalived", "lb1", check="none")
    assert effect == "keepalived runs with check=none"
    assert not any("after-cursor" in command for command in guests.commands("lb1"))


def test_a_keepalived_that_does_not_reload_is_reported() -> None:
    guests = FakeGuests({"show-cursor": CURSOR, "after-cursor": "failed\n"})
    with pytest.raises(TimedOut, match="it is failed"):
        inject(pair(guests), "edit-keepalived", "lb1", check="none")


def test_a_lab_with_one_load_balancer_has_no_keepalived() -> None:
    with pytest.raises(Unable, match="machines: 2"):
        inject(site_of(FakeGuests()), "edit-keepalived", "lb1", check="none")


def test_single_settings_of_an_own_file_cannot_be_changed() -> None:
    site = pair(FakeGuests())
    own = replace(site.lab, keepalived_file=OwnFile(Path("k.conf"), "x\n"))
    with pytest.raises(Unable, match="k.conf"):
        inject(replace(site, lab=own), "edit-keepalived", "lb1", check="none")


def test_a_second_change_on_the_same_machine_is_refused() -> None:
    guests = FakeGuests({"ls .*keepalived-original": "/var/lib/halab/1/keepalived-original\n"})
    with pytest.raises(LabProblem, match="heal it first"):
        inject(pair(guests), "edit-keepalived", "lb1", check="none")
