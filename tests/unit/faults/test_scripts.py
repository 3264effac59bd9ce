"""A user's script: it runs in a real shell here, and so does its undo, even after a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakes import FakeGuests
from support.site_builder import Shell, heal, inject, site_of

from halab.errors import CommandFailed, TimedOut
from halab.faults import injection
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site

BREAK = "echo broken >/var/lib/state\necho done\n"
MEND = "echo mended >/var/lib/state\n"


@pytest.fixture
def machine(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "machine")


@pytest.fixture
def site(machine: Shell) -> Site:
    return site_of(FakeGuests({"": machine}))


def state(machine: Shell) -> str:
    path = machine.path("/var/lib/state")
    return path.read_text().strip() if path.exists() else "untouched"


def test_a_script_runs_and_is_undone(machine: Shell, site: Site) -> None:
    entry, seen = inject(site, "run-script", script=BREAK, undo=MEND)
    assert (seen, state(machine)) == ("done", "broken")
    heal(site, entry)
    assert state(machine) == "mended"
    assert not machine.path("/var/lib/halab").exists()


def test_a_script_may_print_nothing(site: Site) -> None:
    assert (
        inject(site, "run-script", script="true", undo="true")[1] == "the script has ended without an error"
    )


def test_a_script_that_fails_says_why_and_is_undone_by_its_journal_entry(
    machine: Shell, site: Site, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    entry = injection.plan(
        site, "run-script", "cp2", {"script": f"{BREAK}no-such-tool\nexit 3", "undo": MEND}
    )
    with pytest.raises(CommandFailed, match="on cp2, the script of run-script exited with code 3") as error:
        injection.inject(site, journal, entry)
    assert "no-such-tool: command not found" in error.value.message
    (left,) = journal.open_faults()
    injection.heal(site, journal, left)
    assert (state(machine), journal.open_faults()) == ("mended", [])


def test_an_undo_that_fails_leaves_the_fault_open(machine: Shell, site: Site, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    entry = injection.plan(site, "run-script", "cp2", {"script": "true", "undo": "echo 'too late'; exit 1"})
    injection.inject(site, journal, entry)
    with pytest.raises(CommandFailed, match="the undo of run-script exited with code 1\ntoo late"):
        injection.heal(site, journal, entry)
    assert journal.open_faults() == [entry]
    # its undo is tried again
    with pytest.raises(CommandFailed):
        injection.heal(site, journal, entry)


def test_a_script_that_never_began_is_not_undone(machine: Shell, site: Site) -> None:
    heal(site, Entry("42", "run-script", "cp2", {"script": BREAK, "undo": MEND, "limit": "60s"}))
    assert state(machine) == "untouched"


def test_the_effect_and_the_undo_are_waited_for(machine: Shell) -> None:
    site = site_of(FakeGuests({"": machine}))
    waits = "n=$(cat /var/lib/n 2>/dev/null); echo x$n >/var/lib/n; echo seen $n; [ ${#n} -ge 2 ]"
    entry, seen = inject(
        site, "run-script", script="true", undo=MEND, wait=waits, undone="grep mended /var/lib/state"
    )
    assert seen == "seen xx"
    heal(site, entry)
    assert state(machine) == "mended"


def test_an_effect_that_is_not_seen_is_an_error_with_what_was_seen_last(site: Site) -> None:
    with pytest.raises(
        TimedOut,
        match="waited 5 s for the command `wait` to succeed on cp2; last seen: it exited with code 4: no",
    ):
        inject(site, "run-script", script="true", undo="true", wait="echo no; exit 4", limit="5s")


def test_a_fault_that_is_not_undone_stays_open(machine: Shell, site: Site) -> None:
    entry, _ = inject(site, "run-script", script="true", undo="true", undone="exit 1", limit="5s")
    with pytest.raises(TimedOut, match="the command `undone`"):
        heal(site, entry)
    assert machine.path(f"/var/lib/halab/{entry.id}/begun").exists()


def test_the_limit_is_the_time_of_the_command_and_patience_stretches_it() -> None:
    guests = FakeGuests()
    inject(site_of(guests, patience=2.0), "run-script", script="true", undo="true", limit="1m30s")
    assert guests.calls[0].timeout_seconds == 180


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"script": "true"}, "run-script needs the option undo"),
        ({"script": "true", "undo": "true", "limit": "soon"}, "limit: should be a time such as"),
        ({"script": "true", "undo": "true", "limit": "0s"}, "limit: should be 1s or more"),
    ],
)
def test_wrong_options_are_named(given: dict[str, str], why: str) -> None:
    (problem,) = FAULTS["run-script"].problems_with(given)
    assert why in problem
