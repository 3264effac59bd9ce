"""The journal of open faults outlives crashes, its own among them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from halab.errors import BadUsage, HostProblem, LabProblem
from halab.faults.journal import Entry, Journal, in_words

ONE = Entry("1", "hold-static-pod", "cp1", {"pod": "etcd"})
TWO = Entry("2", "kill-process", "cp2", {"process": "etcd", "signal": "KILL"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".halab" / "journal.jsonl"


@pytest.fixture
def journal(path: Path) -> Journal:
    return Journal(path)


def test_no_file_is_no_open_fault(journal: Journal) -> None:
    assert journal.open_faults() == []


def test_open_faults_are_read_back_the_oldest_first(journal: Journal, path: Path) -> None:
    journal.opened(ONE)
    journal.opened(TWO)
    assert Journal(path).open_faults() == [ONE, TWO]


def test_faults_of_one_name_have_their_ids_in_words() -> None:
    other = Entry("3", "hold-static-pod", "cp2", {"pod": "etcd"})
    assert in_words([ONE, TWO]) == [
        "hold-static-pod on cp1 pod=etcd",
        "kill-process on cp2 process=etcd signal=KILL",
    ]
    assert in_words([ONE, TWO, other]) == [
        "hold-static-pod on cp1 pod=etcd, id 1",
        "kill-process on cp2 process=etcd signal=KILL",
        "hold-static-pod on cp2 pod=etcd, id 3",
    ]


def test_a_closed_fault_is_not_open(journal: Journal) -> None:
    journal.opened(ONE)
    journal.opened(TWO)
    journal.closed(ONE)
    assert journal.open_faults() == [TWO]


def test_the_last_closed_fault_removes_the_file(journal: Journal, path: Path) -> None:
    journal.opened(ONE)
    journal.closed(ONE)
    assert not path.exists()
    journal.closed(ONE)
    assert journal.open_faults() == []


@pytest.mark.parametrize("cut", [1, 20])
def test_a_line_that_a_crash_cut_short_is_no_fault(journal: Journal, path: Path, cut: int) -> None:
    journal.opened(ONE)
    journal.opened(TWO)
    path.write_bytes(path.read_bytes()[:-cut])
    assert journal.open_faults() == [ONE]


@pytest.mark.parametrize("cut", [1, 20])
def test_entries_after_a_crash_are_not_lost(journal: Journal, path: Path, cut: int) -> None:
    journal.opened(ONE)
    journal.opened(TWO)
    path.write_bytes(path.read_bytes()[:-cut])
    three = Entry("3", "nothing", "cp3")
    journal.opened(three)
    assert journal.open_faults() == [ONE, three]
    journal.closed(three)
    journal.closed(ONE)
    assert not path.exists()


def test_a_damaged_line_is_named(journal: Journal, path: Path) -> None:
    journal.opened(ONE)
    path.write_text("not JSON\n" + path.read_text())
    with pytest.raises(LabProblem, match=f"{path}:1"):
        journal.open_faults()


@pytest.mark.parametrize(
    "line",
    [
        '[]', '3', '"open"', 'null', '{}', '{"open": 3}', '{"open": {"id": "1"}}', '{"closed": []}',
        '{"open": {"id": [], "fault": "burn", "machine": "cp1"}}',
        '{"open": {"id": "1", "fault": "burn", "machine": "cp1", "options": []}}',
        '{"open": {"id": "1", "fault": "burn", "machine": "cp1", "options": {"a": 1}}}',
        '{"open": {"id": "1", "fault": "burn", "machine": "cp1", "more": ""}}',
        "\udcff",
    ],
)  # fmt: skip
def test_a_line_of_another_shape_is_named(line: str, journal: Journal, path: Path) -> None:
    journal.opened(ONE)
    with path.open("ab") as sink:
        sink.write(line.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(LabProblem, match=f"not a line of a journal: {path}:2") as caught:
        journal.open_faults()
    assert caught.value.hint is not None
    assert "halab reset" in caught.value.hint


def test_a_full_disk_keeps_no_fault_open_that_was_healed(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.opened(ONE)
    journal.opened(TWO)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HostProblem, match="cannot write .*: No space left on device"):
        journal.closed(TWO)
    assert journal.open_faults() == [ONE]
    journal.closed(ONE)
    assert not path.exists()


def test_a_fault_is_shown_as_one_line() -> None:
    assert str(TWO) == "kill-process on cp2 process=etcd signal=KILL"


def test_a_journal_that_is_no_regular_file_is_not_waited_for(journal: Journal, path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(BadUsage, match=r"not a regular file: .*journal\.jsonl"):
        journal.open_faults()


def test_a_journal_without_an_end_is_not_read(journal: Journal, path: Path) -> None:
    path.parent.mkdir()
    with path.open("wb") as stream:
        stream.truncate(2**34)
    with pytest.raises(BadUsage, match="larger than 16 MB"):
        journal.open_faults()
