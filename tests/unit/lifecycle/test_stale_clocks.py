"""Clocks of virtual machines that stood still are set; containers and shifted clocks are left alone."""

from __future__ import annotations

import time
from pathlib import Path

from support.fakes import Call, FakeClock, FakeGuests, Recorded, lab_of

from halab.config.lab import ProviderKind
from halab.errors import Unreachable
from halab.faults.journal import Entry, Journal
from halab.lifecycle import stale_clocks
from halab.topology.lab import Lab

VIRTUAL = lab_of(provider=ProviderKind.LIBVIRT)
NAMES = [machine.name for machine in VIRTUAL.machines]


def corrected(guests: FakeGuests, folder: Path, lab: Lab = VIRTUAL) -> tuple[list[str], list[str]]:
    """The machines whose clock was set, and what the user sees."""
    progress = Recorded()
    stale_clocks.correct(lab, NAMES, guests, Journal(folder / "journal"), FakeClock(), progress)
    return [call.machine for call in guests.calls if "date -s" in call.command], progress.lines


def clocks(**seconds: float) -> FakeGuests:
    def answer(call: Call) -> str:
        return f"{time.time() + seconds.get(call.machine, 0):.9f}\n"

    return FakeGuests({r"date \+%s": answer})


def test_a_clock_that_stood_still_is_set_and_the_user_is_told(tmp_path: Path) -> None:
    were_set, lines = corrected(clocks(cp1=-3600, cp2=-4), tmp_path)
    assert were_set == ["cp1"]
    assert lines == ["set the clock of cp1, which was 3600 s behind"]


def test_a_clock_that_a_fault_has_shifted_stays(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").opened(Entry("1", "shift-clock", "cp1", {"by": "+1h"}))
    Journal(tmp_path / "journal").opened(Entry("2", "pause-process", "cp3"))
    assert corrected(clocks(cp1=3600, cp3=3600), tmp_path)[0] == ["cp3"]


def test_a_machine_that_does_not_answer_is_skipped(tmp_path: Path) -> None:
    guests = clocks(cp2=-60)
    guests.answers = {"^cp1: ": Unreachable("no route"), "^cp3: ": "no such command", **guests.answers}
    assert corrected(guests, tmp_path)[0] == ["cp2"]


def test_containers_are_not_asked(tmp_path: Path) -> None:
    guests = clocks(cp1=-3600)
    assert corrected(guests, tmp_path, lab_of()) == ([], [])
    assert guests.calls == []
