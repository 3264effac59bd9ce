"""People tell the game day that is running what they do; nobody can, if none is on."""

from __future__ import annotations

import fcntl
import re
from pathlib import Path

import pytest

from halab.errors import LabProblem
from halab.gameday import book, notice
from halab.gameday.book import Kind
from halab.machines.work import Work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path / ".halab")
    made.path.mkdir(mode=0o700)
    return made


def test_entries_are_read_once_in_their_order_with_who_and_when(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halab.sudo.user_name", lambda: "anna")
    with book.opened(work) as reader:
        assert work.has_game_day
        assert reader.new() == []
        book.write(work, Kind.NOTE, "cp2 is\nslow")
        book.write(work, Kind.HEAL, by="ben")
        first, second = reader.new()
        assert reader.new() == []
    assert (first.kind, first.by, first.text) == (Kind.NOTE, "anna", "cp2 is slow")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", first.wall)
    assert (second.kind, second.by, second.text) == (Kind.HEAL, "ben", "")


def test_a_game_day_begins_although_somebody_asks_whether_one_runs(
    work: Work, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """`halab watch` locks the permit for a moment whenever it asks: here, just before the game day does."""
    lock = fcntl.flock

    def after_another(descriptor: int, how: int) -> None:
        if work.game_day_permit.exists():
            other = work.game_day_permit.open()
            request.addfinalizer(other.close)
            lock(other, how)
        lock(descriptor, how)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", after_another)
        opened = book.opened(work)
        opened.__enter__()
    assert work.has_game_day
    opened.__exit__(None, None, None)


def test_what_a_killed_game_day_left_is_not_read(work: Work) -> None:
    work.game_day.mkdir()
    (work.game_day / "book.jsonl").write_text('{"kind": "end", "by": "ben", "wall": "", "text": ""}\n')
    work.game_day_notice.write_text("{}")
    with book.opened(work) as reader:
        assert reader.new() == []
        assert notice.read(work) is None


def test_a_line_that_was_written_by_hand_is_a_note_and_half_a_line_waits(work: Work) -> None:
    with book.opened(work) as reader:
        (work.game_day / "book.jsonl").write_bytes(b"it hangs\n{")
        [entry] = reader.new()
        assert (entry.kind, entry.text) == (Kind.NOTE, "it hangs")
        assert reader.new() == []


def test_without_a_game_day_nothing_is_written_and_a_new_one_begins_with_an_empty_book(work: Work) -> None:
    with pytest.raises(LabProblem, match="no game day is running"):
        book.write(work, Kind.NOTE, "hello")
    with book.opened(work):
        book.write(work, Kind.NOTE, "of the first")
    assert not work.has_game_day
    with book.opened(work) as reader:
        assert reader.new() == []
