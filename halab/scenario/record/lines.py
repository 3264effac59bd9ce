"""Lines of a run's record, read strictly because verdicts are based on them.

A field of a wrong type is not converted: more may be wrong with such a line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, TypeVar

from halab.scenario.record import events, game_day_events, linearity
from halab.scenario.record.events import Event, Record, Sample, StateReading

Line = TypeVar("Line")

_EVENTS = (
    events.RunStarted, events.LabSet, events.Steady, events.StepStarted, events.StepEnded, events.FaultStarted,
    events.FaultInjected, events.HealStarted, events.Healed, events.HealFailed, events.FaultRefused,
    events.JoinEnded, events.Fact, events.ExpectationStarted, events.ExpectationEnded, events.SamplerStarted,
    events.SamplerStopped, events.Ledger, events.Members, linearity.Operations, events.Audit, events.Checks,
    events.Skipped, game_day_events.Note, game_day_events.WritesRead, game_day_events.Stopped,
    events.RunInterrupted, events.Error, events.RunEnded,
)  # fmt: skip
# All events by their names in the file.
EVENTS: dict[str, type[Event]] = {kind.event: kind for kind in _EVENTS}


class BadLine(Exception):
    """The message says what is wrong with a line."""


def _is_a_time(value: object) -> bool:
    try:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 <= float(value) < math.inf
        )
    except OverflowError:
        return False


# The check and the description of a type, by the annotation of a field.
_TYPES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "float": (_is_a_time, "a number of seconds"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "str": (lambda value: isinstance(value, str), "text"),
    "str | None": (lambda value: value is None or isinstance(value, str), "text or null"),
    "int | None": (
        lambda value: value is None or (isinstance(value, int) and not isinstance(value, bool)),
        "a whole number or null",
    ),
}
# Records of earlier versions lack these fields.
_LATER = frozenset({"stalled"})


def sample(line: bytes) -> Sample:
    return _flat(Sample, line)


def state(line: bytes) -> StateReading:
    return _flat(StateReading, line)


def record(line: bytes) -> Record:
    """A record of the timeline."""
    from pydantic import ValidationError

    values = _mapping(line)
    t, event = values.pop("t", None), values.pop("event", None)
    if not _is_a_time(t):
        raise BadLine(f"t is not a number of seconds: {_shown(t)}")
    if not isinstance(event, str) or event not in EVENTS:
        raise BadLine(f"no such event: {_shown(event)}")
    try:
        return Record(float(t), _adapter(event).validate_json(json.dumps(values), strict=True))
    except (ValidationError, ValueError) as error:
        raise BadLine(first_problem(error)) from error


def _flat(kind: type[Line], line: bytes) -> Line:
    values, arguments = _mapping(line), {}
    for field in fields(kind):  # type: ignore[arg-type]
        name, (fits, what) = field.name, _TYPES[str(field.type)]
        if name not in values and name in _LATER and field.default is not MISSING:
            continue
        if name not in values:
            raise BadLine(f"{name} is missing")
        if not fits(values[name]):
            raise BadLine(f"{name} is not {what}: {_shown(values[name])}")
        arguments[name] = values[name]
    return kind(**arguments)


def _mapping(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line)
        # JSON can spell half of a surrogate pair, which no file can hold
        if b"\\ud" in line.lower():
            json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadLine("a text in it has an incomplete character") from error
    except (ValueError, RecursionError) as error:
        raise BadLine("it is not JSON") from error
    if not isinstance(values, dict):
        raise BadLine("it is not a JSON object")
    return values


def first_problem(error: Exception) -> str:
    """The first problem that pydantic found, `seed: input should be a valid integer`. Any other error as it is."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"].lower())))


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


@cache
def _adapter(event: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(EVENTS[event])
