"""The check of reads and writes after a run, with a program that gives a scripted answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fakes import FakeGuests, lab_of

from halab.errors import CommandFailed
from halab.images import linearizability_checker
from halab.progress import Quiet
from halab.scenario.record.folder import RunFolder
from halab.scenario.record.linearity import Linearity, Operations
from halab.scenario.record.operations import Ended, Started, to_json
from halab.scenario.run.linearizability import check, clear, clear_at_the_end

LINES: list[Started | Ended] = [
    Started(1, 0, "cp1", "/halab/a", 1_000_000, "1"),
    Ended(1, 1_002_000, True, "1"),
    Started(2, 1, "cp2", "/halab/a", 2_000_000),
    Ended(2, 2_003_000, True, None),
    Started(3, 1, "cp2", "/halab/a", 3_000_000, "3"),
    Started(4, 0, "cp1", "/halab/a", 4_000_000),
    Ended(4, 4_001_000, True, "1"),
]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    folder.operations.write_text("".join(f"{to_json(line)}\n" for line in LINES))
    return folder


def answering(folder: RunFolder, monkeypatch: pytest.MonkeyPatch, **answer: object) -> Path:
    """Replace the program by one that notes what it gets and gives an answer."""
    program = folder.path / "program"
    said = json.dumps({"result": "ok", "key": "", "last": 0, **answer})
    program.write_text(f"#!/bin/sh\ncat >{folder.path}/given\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setattr(linearizability_checker, "program", lambda progress: program)
    return folder.path / "given"


def test_the_operations_are_checked_and_counted(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    given = answering(folder, monkeypatch)
    assert check(folder, Quiet()) == Operations(2, 2, 1, Linearity.OK)
    # no read has returned the value of the open write 3, which is counted all the same
    assert [json.loads(line)["id"] for line in given.read_text().splitlines()] == [1, 2, 4]


def test_a_member_that_answered_no_read_is_named(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(folder, monkeypatch)
    lines: list[Started | Ended] = [
        Started(5, 2, "cp3", "/halab/a", 5_000_000),
        Started(6, 3, "cp3", "/halab/b", 5_000_000, "6"),
        # an answer to a write says nothing about reads
        Ended(6, 5_001_000, True, "6"),
    ]
    with folder.operations.open("a") as file:
        file.writelines(f"{to_json(line)}\n" for line in lines)
    assert check(folder, Quiet()) == Operations(2, 3, 1, Linearity.OK, silent=("cp3",))


@pytest.mark.parametrize(
    ("last", "seen"),
    [
        (2, "the answer no value to a read of /halab/a by etcd on cp2, 2.000s to 2.003s"),
        (4, 'the answer "1" to a read of /halab/a by etcd on cp1, 4.000s to 4.001s'),
        (1, 'the write of "1" to /halab/a by etcd on cp1, 1.000s to 1.002s'),
        (3, 'the write of "3" to /halab/a by etcd on cp2, 3.000s, without an answer'),
        (-1, "no order of the operations explains all reads"),
    ],
)
def test_an_operation_that_fits_into_no_order_is_named(
    last: int, seen: str, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(folder, monkeypatch, result="illegal", last=last)
    found = check(folder, Quiet())
    assert (found.result, found.seen) == (Linearity.ILLEGAL, seen)


def test_a_value_that_this_run_never_wrote_is_called_that(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(folder, monkeypatch, result="illegal", last=5)
    lines: list[Started | Ended] = [
        Started(5, 2, "cp3", "/halab/a", 5_000_000),
        Ended(5, 5_001_000, True, "0ther-7"),
    ]
    with folder.operations.open("a") as file:
        file.writelines(f"{to_json(line)}\n" for line in lines)
    assert check(folder, Quiet()).seen == (
        'the answer "0ther-7" to a read of /halab/a by etcd on cp3, 5.000s to 5.001s, a value that this run never wrote'
    )


def test_the_keys_are_removed_through_a_member_that_answers() -> None:
    guests = FakeGuests({"cp1: ": CommandFailed("etcd does not answer", code=1, output=""), "cp2: ": "3\n"})
    assert clear(guests, lab_of(name="ha")) == 3
    assert "del --prefix /halab/" in guests.commands("cp2")[0]
    assert guests.commands("cp3") == []


def test_keys_that_cannot_be_removed_are_an_error_before_a_run_and_stay_after_it() -> None:
    guests = FakeGuests({"": CommandFailed("etcd does not answer", code=1, output="")})
    with pytest.raises(CommandFailed):
        clear(guests, lab_of(name="ha"))
    clear_at_the_end(guests, lab_of(name="ha"))
