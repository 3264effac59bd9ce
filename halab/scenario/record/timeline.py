"""The record of a run on disk: timeline.jsonl, samples.jsonl and states.jsonl (docs/reference/run-folder.md)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Generic, TypeVar

from halab import files
from halab.clock import Clock
from halab.errors import Corrupted, HostProblem
from halab.scenario.record import lines
from halab.scenario.record.events import Event, Record, Sample, StateReading

# Times are rounded, and samples that end at the same moment are written one after another.
_OUT_OF_ORDER_SECONDS = 0.1

Line = TypeVar("Line")


class Timeline:
    """Appends records; a record is on disk before `add` returns. Several threads may use it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._records: list[Record] = []
        self.origin = clock.now()

    @property
    def records(self) -> tuple[Record, ...]:
        with self._lock:
            return tuple(self._records)

    def now(self) -> float:
        """Seconds since the run began."""
        return self._clock.now() - self.origin

    def add(self, event: Event) -> Record:
        with self._lock:
            record = Record(self.now(), event)
            self._records.append(record)
            try:
                with self._path.open("a") as sink:
                    sink.write(record.to_json() + "\n")
            except OSError as error:
                hint = files.write_hint(error)
                raise HostProblem(f"cannot write {self._path}: {error.strerror}", hint=hint) from error
        return record


class _LineReader(Generic[Line]):
    """Reads the complete lines of a file that is being written."""

    def __init__(self, path: Path, parse: Callable[[bytes], Line]) -> None:
        self._path = path
        self._parse = parse
        self._offset = 0
        self._line = 0

    def new(self) -> list[Line]:
        """The lines written since the last call, in file order: by the ends of the samples."""
        if not self._path.exists():
            return []
        files.require_regular(self._path)
        with self._path.open("rb") as source:
            source.seek(self._offset)
            content = source.read()
        complete, _, _half_written = content.rpartition(b"\n")
        if not complete:
            return []
        self._offset += len(complete) + 1
        written = complete.split(b"\n")
        new = [
            _read(self._parse, self._path, self._line + number, line)
            for number, line in enumerate(written, 1)
        ]
        self._line += len(written)
        return new


class SampleReader(_LineReader[Sample]):
    """Reads samples while they are being written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, lines.sample)


class StateReader(_LineReader[StateReading]):
    """Reads states while they are being written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, lines.state)


def read(path: Path) -> list[Record]:
    """All records of a timeline."""
    return read_lines(path, lines.record)


def read_lines(path: Path, parse: Callable[[bytes], Line]) -> list[Line]:
    """All lines of a file, without a last one that is incomplete because halab was killed.

    `parse` raises BadLine. Raises Corrupted with the number of the line.
    """
    return _LineReader(path, parse).new()


def read_samples(path: Path) -> list[Sample]:
    """All samples in the order of their starts; Corrupted if the clock went back between two of them."""
    written = SampleReader(path).new()
    for number, (before, after) in enumerate(pairwise(written), 2):
        # a sample is written when it ends
        if after.end < before.end - _OUT_OF_ORDER_SECONDS:
            hint = "the clock of the sampler's host went back, or lines were moved by hand: run the scenario again"
            raise Corrupted(f"time goes back by {before.end - after.end:.1f}s: {path}:{number}", hint=hint)
    return sorted(written, key=lambda sample: sample.t)


def read_states(path: Path) -> list[StateReading]:
    """All readings of states in the order of the questions."""
    return sorted(StateReader(path).new(), key=lambda reading: reading.t)


def _read(parse: Callable[[bytes], Line], path: Path, number: int, line: bytes) -> Line:
    try:
        return parse(line)
    except lines.BadLine as error:
        hint = "it was changed by hand or made by another version of halab: run the scenario again"
        raise Corrupted(
            f"cannot read a line of the run's record: {path}:{number}: {error}", hint=hint
        ) from error
