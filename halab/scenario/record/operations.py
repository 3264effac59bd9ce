"""Reads and writes of a few keys of etcd, one line for the start and one for the end of each (operations.jsonl).

A line is on disk before the request is sent. So every value that a read can return has its write in the record, also
if the sampler was killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from halab.scenario.record import timeline
from halab.scenario.record.lines import BadLine, first_problem

# The value of a key that was never written.
ABSENT = ""


@dataclass(frozen=True)
class Started:
    """`client` asks `machine`. A write has its `value`, which no other write has; a read has none.

    Times are whole microseconds since the run began. That of a start is rounded down.
    """

    id: int
    client: int
    machine: str
    key: str
    start: int
    value: str | None = None


@dataclass(frozen=True)
class Ended:
    """An answer, with the `value` that was read or written. `end` is rounded up. Without `ok`, nothing was sent.

    An operation without such a line has an unknown outcome: its answer never came, or was an error.
    """

    id: int
    end: int
    ok: bool
    value: str | None = None


@dataclass(frozen=True)
class Operation:
    """A write without `end` may take effect at any time after its start, or never."""

    id: int
    client: int
    key: str
    write: bool
    value: str
    start: int
    end: int | None


_LINE: TypeAdapter[Started | Ended] = TypeAdapter(Started | Ended)


def to_json(line: Started | Ended) -> str:
    return json.dumps(asdict(line))


def read(path: Path) -> list[Started | Ended]:
    """All lines, without a last one that is incomplete. Raises Corrupted for any other that cannot be read."""
    return timeline.read_lines(path, _line)


def _line(written: bytes) -> Started | Ended:
    try:
        return _LINE.validate_json(written, strict=True, extra="forbid")
    except ValidationError as error:
        raise BadLine(first_problem(error)) from error


def operations(lines: Iterable[Started | Ended]) -> list[Operation]:
    """The operations that count, in the order of their starts.

    A read without an answer says nothing, and a write that was not sent has no effect. Both are left out.
    """
    started: dict[int, Started] = {}
    ended: dict[int, Ended] = {}
    for line in lines:
        if isinstance(line, Started):
            started[line.id] = line
        else:
            ended[line.id] = line
    return list(_counted(started.values(), ended))


def _counted(started: Iterable[Started], ended: dict[int, Ended]) -> Iterator[Operation]:
    for begun in started:
        answer = ended.get(begun.id)
        if begun.value is not None:
            if answer is None or answer.ok:
                end = answer.end if answer else None
                yield Operation(begun.id, begun.client, begun.key, True, begun.value, begun.start, end)
        elif answer is not None and answer.ok:
            value = ABSENT if answer.value is None else answer.value
            yield Operation(begun.id, begun.client, begun.key, False, value, begun.start, answer.end)


def silent(lines: Sequence[Started | Ended]) -> tuple[str, ...]:
    """The machines that were asked and answered no read: nothing is known of their members' reads."""
    answered = {line.id for line in lines if isinstance(line, Ended) and line.ok}
    asked = [line for line in lines if isinstance(line, Started)]
    heard = {line.machine for line in asked if line.value is None and line.id in answered}
    return tuple(sorted({line.machine for line in asked} - heard))


def bounded(found: Sequence[Operation]) -> Iterator[Operation]:
    """The same question with an end for each write: the answer is the same, and is found in seconds.

    The check tries every open write at every later place, so that ten of them took more than a minute. A value is in no
    other write: if a read has returned it, the write took effect before that read ended. If none has, the write may as
    well have had no effect.
    """
    first_read: dict[tuple[str, str], int] = {}
    for operation in found:
        if not operation.write and operation.end is not None:
            read_value = operation.key, operation.value
            first_read[read_value] = min(operation.end, first_read.get(read_value, operation.end))
    for operation in found:
        if operation.end is not None:
            yield operation
        elif (until := first_read.get((operation.key, operation.value))) is not None:
            # a value that was read before it was written fits into no order, but no operation ends before its start
            yield replace(operation, end=max(until, operation.start))


def as_lines(found: Iterable[Operation]) -> str:
    """The operations as the program that checks them reads them."""
    return "".join(json.dumps(asdict(operation)) + "\n" for operation in found)
