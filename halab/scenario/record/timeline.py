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

# Times are rounded, and what ends at one moment is written one after another.
_OUT_OF_ORDER_SECONDS = 0.1

Line = TypeVar("Line")


class Timeline:
    """Appends records, each on disk before `add` returns. May be used from several threads."""

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
                hint = "is the disk full?"
                raise HostProblem(f"cannot write {self._path}: {error.strerror}", hint=hint) from error
        return record


class _LineReader(Generic[Line]):
    """Reads whole lines of a file while they are being written."""

    def __init__(self, path: Path, parse: Callable[[bytes], Line]) -> None:
        self._path = path
        self._parse = parse
        self._offset = 0
        self._line = 0

    def new(self) -> list[Line]:
        """What was written since the last call, as it was written: in the order of the ends."""
        if not self._path.exists():
            return []
        files.require_regular(self._path)
        with self._path.open("rb") as source:
            source.seek(self._offset)
            content = source.read()
        whole, _, _half_written = content.rpartition(b"\n")
        if not whole:
            return []
        self._offset += len(whole) + 1
        written = whole.split(b"\n")
        found = [
            _read(self._parse, self._path, self._line + number, line)
            for number, line in enumerate(written, 1)
        ]
        self._line += len(written)
        return found


class SampleReader(_LineReader[Sample]):
    """Reads samples while they are being written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, lines.sample)


class StateReader(_LineReader[StateReading]):
    """Reads states while they are being written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, lines.state)


def read(path: Path) -> list[Record]:
    """All records of a timeline. A last line that was being written when halab was killed is left out."""
    if not path.exists():
        return []
    files.require_regular(path)
    whole, _, _half_written = path.read_bytes().rpartition(b"\n")
    written = whole.split(b"\n") if whole else []
    return [_read(lines.record, path, number, line) for number, line in enumerate(written, 1)]


def read_samples(path: Path) -> list[Sample]:
    """All samples in the order of their starts; Corrupted where the clock went back between two of them."""
    written = SampleReader(path).new()
    for number, (before, after) in enumerate(pairwise(written), 2):
        # each is written when it ends
        if after.end < before.end - _OUT_OF_ORDER_SECONDS:
            hint = "did the clock of the sampler's host step back, or were lines moved by hand?"
            raise Corrupted(f"time goes back by {before.end - after.end:.1f}s: {path}:{number}", hint=hint)
    return sorted(written, key=lambda sample: sample.t)


def read_states(path: Path) -> list[StateReading]:
    """All readings of states in the order in which they were asked for."""
    return sorted(StateReader(path).new(), key=lambda reading: reading.t)


def _read(parse: Callable[[bytes], Line], path: Path, number: int, line: bytes) -> Line:
    try:
        return parse(line)
    except lines.BadLine as error:
        hint = "was it changed by hand, or made by another version?"
        raise Corrupted(f"not a line of a run's record: {path}:{number}: {error}", hint=hint) from error
