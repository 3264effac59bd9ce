"""What only a game day records: what people say, and what its stop conditions see."""

from __future__ import annotations

from dataclasses import dataclass

from halab.scenario.record.events import Event


@dataclass(frozen=True)
class Note(Event):
    """Somebody said or asked something during a game day. `wall` is when (ISO 8601): it may be recorded later."""

    event = "note"
    by: str
    text: str
    wall: str


@dataclass(frozen=True)
class WritesRead(Event):
    """The acknowledged writes were read back during a game day; `missing` are the numbers of those that are lost."""

    event = "writes-read"
    acknowledged: int
    missing: tuple[int, ...]


@dataclass(frozen=True)
class Stopped(Event):
    """A stop condition of a game day came true: everything is healed next."""

    event = "stopped"
    why: str
