"""People tell the game day that is running what they do; nobody can, if none is on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from halab.errors import LabProblem
from halab.gameday import book
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
    monkeypatch.setenv("SUDO_USER", "anna")
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


def test_a_name_of_a_user_that_nobody_knows_is_a_number(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("no such user")

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr("getpass.getuser", nobody)
    with book.opened(work):
        assert book.write(work, Kind.END).by.startswith("user ")


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
