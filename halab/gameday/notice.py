"""The notice of the running game day, for its spectators: what is planned, and where the record grows.

It is in the lab's work folder, which only the user of halab can read: it has what the team must not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from halab import files
from halab.errors import Corrupted
from halab.gameday.library import GameDayScript
from halab.machines.work import Work
from halab.scenario.record.folder import RunFolder


@dataclass(frozen=True)
class NotedFault:
    """A fault, and when it is due in seconds after the start. `on` is its target as written."""

    at: float
    name: str
    fault: str
    on: str


@dataclass(frozen=True)
class NotedBreak:
    """A break with its times in seconds after the start. `healed` is None for one that lasts until the end."""

    name: str
    begins: float
    healed: float | None
    faults: tuple[NotedFault, ...]


@dataclass(frozen=True)
class NotedStop:
    """The stop conditions: bounds of outages in seconds, by probe."""

    outage: Mapping[str, float]
    lost_write: bool


@dataclass(frozen=True)
class Notice:
    """A game day as the seed has chosen it. `lasts` is in seconds; `folder` is that of its run."""

    title: str
    seed: int
    lasts: float
    breaks: tuple[NotedBreak, ...]
    stop: NotedStop
    about: str = ""
    file: str = ""
    folder: str = ""

    def as_data(self) -> dict[str, Any]:
        """The plan, for programs."""
        data = asdict(self)
        for name in ("about", "file", "folder"):
            del data[name]
        return data


def of(found: GameDayScript, seed: int) -> Notice:
    """The plan of a game day; nothing runs yet."""
    day = found.day
    return Notice(
        title=day.title,
        seed=seed,
        lasts=found.plan.lasts,
        breaks=tuple(
            NotedBreak(
                planned.name,
                planned.begins,
                planned.healed,
                tuple(
                    NotedFault(each.at, each.step.name, each.step.fault, each.step.target)
                    for each in planned.injects
                ),
            )
            for planned in found.plan.breaks
        ),
        stop=NotedStop({str(probe): bound for probe, bound in day.stop.outage.items()}, day.stop.lost_write),
        about=day.about.strip(),
        file=found.script.path.name,
    )


def post(work: Work, notice: Notice, folder: RunFolder) -> None:
    """Write the notice of the game day that this process plays."""
    content = {**asdict(notice), "folder": str(folder.path)}
    files.replace(work.game_day_notice, json.dumps(content, ensure_ascii=False) + "\n")


def read(work: Work) -> Notice | None:
    """The notice of the running game day; None if none runs, or if it is not posted yet. Corrupted if it is damaged."""
    if not work.has_game_day:
        return None
    path: Path = work.game_day_notice
    try:
        return TypeAdapter(Notice).validate_json(files.read(path, files.WRITTEN_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise Corrupted(
            f"cannot read {path}: {error}", hint="`halab gameday heal` without a name heals all breaks"
        ) from error
