"""The book of the running game day: notes of people, and requests to heal or to end. A file that only grows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from halab import files, sudo
from halab.errors import BadUsage, LabProblem
from halab.gameday import notice
from halab.machines.work import Work
from halab.permit import Permit
from halab.printable import printable

_MOST_CHARACTERS = 500


class Kind(StrEnum):
    NOTE = "note"
    HEAL = "heal"
    END = "end"


@dataclass(frozen=True)
class Entry:
    """A note or a request. `wall` is its time (ISO 8601); `text` is the note, or the name of a break."""

    kind: Kind
    by: str
    wall: str
    text: str = ""


@contextmanager
def opened(work: Work) -> Iterator[Reader]:
    """Begin the book of a game day: from now on, others can write into it. The caller holds the lab's lock."""
    work.game_day.mkdir(mode=0o700, exist_ok=True)
    book, permit = _book(work), Permit(work.game_day_permit)
    # a game day that was killed has left its own
    for left in (book, work.game_day_notice):
        left.unlink(missing_ok=True)
    with files.writing(work.game_day_permit):
        permit.hold()
    try:
        yield reader(work)
    finally:
        permit.end()
        shutil.rmtree(work.game_day, ignore_errors=True)


def reader(work: Work) -> Reader:
    """Reads the book from its beginning."""
    return Reader(_book(work))


def write(work: Work, kind: Kind, text: str = "", by: str | None = None) -> Entry:
    """Write a note or a request into the book. `by` is the name of the person, by default the user's.

    Raises LabProblem if no game day is running, BadUsage if a break with this name is not planned.
    """
    if not work.has_game_day:
        raise LabProblem("no game day is running in this lab", hint="`halab gameday FILE` begins one")
    entry = Entry(kind, _line(by or sudo.user_name()), _now(), _line(text))
    if kind is Kind.HEAL and entry.text:
        _require_planned(work, entry.text)
    with files.writing(_book(work)):
        # one write to a file that is only appended to: people may write at the same time
        descriptor = os.open(_book(work), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, (json.dumps(asdict(entry)) + "\n").encode())
        finally:
            os.close(descriptor)
    return entry


def _require_planned(work: Work, name: str) -> None:
    posted = notice.read(work)
    if posted and name not in {planned.name for planned in posted.breaks}:
        # the names are not listed: the team must not know them beforehand
        raise BadUsage(
            f"no such break of this game day: {name}",
            hint="`halab gameday heal` without a name heals all open breaks",
        )


class Reader:
    """Reads the entries that are new since the last read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def new(self) -> list[Entry]:
        try:
            content = files.read(self._path, files.RECORD_BYTES)[self._read :]
        except FileNotFoundError:
            return []
        complete = content[: content.rfind(b"\n") + 1]
        self._read += len(complete)
        return [_entry(line) for line in complete.splitlines()]


def _entry(line: bytes) -> Entry:
    try:
        values = json.loads(line)
        return Entry(Kind(values["kind"]), str(values["by"]), str(values["wall"]), str(values["text"]))
    except (ValueError, TypeError, LookupError):
        # somebody wrote into the file by hand: keep what it says
        return Entry(Kind.NOTE, "", _now(), _line(line.decode(errors="replace")))


def _now() -> str:
    return datetime.now().astimezone().isoformat("T", "seconds")


def _line(text: str) -> str:
    """A text in one line that any terminal can show."""
    return printable(" ".join(text.split()))[:_MOST_CHARACTERS]


def _book(work: Work) -> Path:
    return work.game_day / "book.jsonl"
