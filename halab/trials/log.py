"""The log of a search, in JSON Lines: every run as soon as it has ended, so that the search goes on from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from halab import files
from halab.errors import BadUsage, Corrupted, LabProblem
from halab.scenario.record.lines import first_problem

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = TypeVar("P", bound="DataclassInstance")
L = TypeVar("L", bound="DataclassInstance")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder of a search and lock it. Raises LabProblem if another command searches in it."""
    busy = LabProblem(
        f"another halab process searches in {folder}",
        hint="wait until it ends, or interrupt it; for another search, use another folder (--in)",
    )
    with files.locked(folder / "lock", busy):
        yield


class SearchLog(Generic[P, L]):
    """The log of a search: its plan, then the lines of what it has learned.

    `kinds` reads a line, also the plan. Raises BadUsage if the file is the log of another search.
    """

    def __init__(self, path: Path, plan: P, kinds: TypeAdapter[P | L]) -> None:
        self.path = path
        self.lines: list[L] = []
        with files.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            plans, self.lines = _parted(path, type(plan), kinds)
            if plans != [plan] and (plans or self.lines):
                raise BadUsage(
                    f"{path} is the log of another search: {_difference(plans, plan)}",
                    hint="choose another folder with --in FOLDER, or remove this one to begin again",
                )
            if not plans:
                self._append(plan)

    def add(self, line: L) -> None:
        with files.writing(self.path):
            self._append(line)
        self.lines.append(line)

    def _append(self, line: P | L) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")


def planned(path: Path, kind: type[P], kinds: TypeAdapter[Any]) -> P | None:
    """The plan of the search with this log; None if there is no log."""
    plans, _ = _parted(path, kind, kinds)
    return plans[0] if plans else None


def _parted(path: Path, kind: type[P], kinds: TypeAdapter[Any]) -> tuple[list[P], list[Any]]:
    """The plan, which is the first line, and the other lines."""
    lines = _read(path, kinds)
    plans = [line for line in lines[:1] if isinstance(line, kind)]
    return plans, lines[len(plans) :]


def _read(path: Path, kinds: TypeAdapter[Any]) -> list[Any]:
    """The lines of a log. A last line that a killed halab did not complete is removed."""
    try:
        content = files.read(path, files.RECORD_BYTES)
    except FileNotFoundError:
        return []
    complete = content[: content.rfind(b"\n") + 1]
    if complete != content:
        path.write_bytes(complete)
    lines = []
    for number, text in enumerate(complete.splitlines(), 1):
        try:
            lines.append(kinds.validate_json(text))
        except ValidationError as error:
            raise Corrupted(
                f"cannot read line {number} of {path}: {first_problem(error)}",
                hint="remove this line: its run takes place again",
            ) from error
    return lines


def _difference(plans: list[P], now: P) -> str:
    """What differs between the plan of a log and the one of now."""
    if not plans:
        return "it does not begin with a plan"
    before, after = asdict(plans[0]), asdict(now)
    names = (name.replace("_", " ") for name in after if before[name] != after[name])
    return f"it differs in: {', '.join(names)}"
