"""Quantities as people write them in scenario files: durations, shares, promises."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf, WithJsonSchema

_TIME = r"(?:\d+h)?(?:\d+m(?!s))?(?:\d+(?:\.\d+)?s)?(?:\d+ms)?"
_TIME_PARTS = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_DAY_SECONDS = 24 * 3600


def seconds_of(text: Any) -> float:
    """`1m30s` is 90; ValueError where it is not a duration."""
    match = _TIME_PARTS.fullmatch(text) if isinstance(text, str) and text else None
    if match is None:
        raise ValueError(f"should be a time such as 500ms, 5s or 1m30s, not {_quoted(text)}")
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    if total > _DAY_SECONDS:
        raise ValueError(f"should be a day or less, not {text}")
    return total


def share_of(text: Any) -> float:
    """`5%` is 0.05; ValueError where it is not a share."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", text) if isinstance(text, str) else None
    if match is None or float(match[1]) > 100:
        raise ValueError(f"should be a share from 0% to 100%, not {_quoted(text)}")
    return float(match[1]) / 100


def spelled(seconds: float) -> str:
    """`150` is 2m30s, `90` is 90s, `2.25` is 2.2s, `0.04` is 40ms."""
    if 0 < seconds < 0.95:
        return f"{round(seconds * 1000)}ms"
    if seconds < 120:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)


def spelled_share(share: float) -> str:
    """`0.5` is 50%, `0.125` is 12.5%."""
    return f"{share:.1%}".replace(".0%", "%")


@dataclass(frozen=True)
class Promise:
    """That something holds: from some moment within a limit on, or, without one, always."""

    within_seconds: float | None

    @property
    def always(self) -> bool:
        return self.within_seconds is None

    def __str__(self) -> str:
        return "always" if self.within_seconds is None else f"within {spelled(self.within_seconds)}"


ALWAYS = Promise(None)


def _promise(text: Any) -> Promise:
    if text == "always":
        return ALWAYS
    try:
        return _within(text)
    except ValueError as error:
        raise ValueError(f'should be "always" or "within" and a time, not {_quoted(text)}') from error


def _within(text: Any) -> Promise:
    word, _, limit = text.partition(" ") if isinstance(text, str) else ("", "", "")
    if word != "within":
        raise ValueError(f'should be "within" and a time such as "within 30s", not {_quoted(text)}')
    return Promise(seconds_of(limit.strip()))


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


Seconds = Annotated[
    float, BeforeValidator(seconds_of), WithJsonSchema({"type": "string", "pattern": f"^(?=.){_TIME}$"})
]
Share = Annotated[
    float, BeforeValidator(share_of), WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}(\.\d+)?%$"})
]
WithinOrAlways = Annotated[
    InstanceOf[Promise],
    BeforeValidator(_promise),
    WithJsonSchema({"type": "string", "pattern": f"^(always|within +(?=.){_TIME})$"}),
]
Within = Annotated[
    InstanceOf[Promise],
    BeforeValidator(_within),
    WithJsonSchema({"type": "string", "pattern": f"^within +(?=.){_TIME}$"}),
]
