"""Quantities as people write them in scenario files: durations, shares, bounds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf, WithJsonSchema

from halab.printable import shortened

_TIME = r"(?:\d+h)?(?:\d+m(?!s))?(?:\d+(?:\.\d+)?s)?(?:\d+ms)?"
_TIME_PARTS = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", re.ASCII)
_SHARE = r"\d{1,3}(?:\.\d+)?%"
_COUNT = r"\d{1,10}"
_AT_LEAST = "at least "
_DAY_SECONDS = 24 * 3600


def seconds_of(text: Any) -> float:
    """The seconds of a duration: 90 for `1m30s`. Raises ValueError if it is not one."""
    match = _TIME_PARTS.fullmatch(text) if isinstance(text, str) and text else None
    if match is None:
        raise ValueError(f"should be a time such as 500ms, 5s or 1m30s, not {_quoted(text)}")
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    if total > _DAY_SECONDS:
        raise ValueError(f"should be a day or less, not {text}")
    return total


def share_of(text: Any) -> float:
    """The share as a fraction: 0.05 for `5%`. Raises ValueError if it is not one."""
    share = float(text[:-1]) if isinstance(text, str) and re.fullmatch(_SHARE, text, re.ASCII) else None
    if share is None or share > 100:
        raise ValueError(f"should be a share from 0% to 100%, not {_quoted(text)}")
    return share / 100


def count_of(value: Any) -> int:
    """A whole number, from a number or text. Raises ValueError if it is not one."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(_COUNT, text, re.ASCII):
        raise ValueError(f"should be a whole number up to 9999999999, not {_quoted(value)}")
    return int(text)


def text_like(pattern: str, what: str) -> BeforeValidator:
    """A validator that accepts only texts of this pattern. `what` they are, is for the error."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"should be {what}, not {shortened(str(value))}")
        return value

    return BeforeValidator(check)


def format_duration(seconds: float) -> str:
    """`150` is 2m30s, `90` is 90s, `2.25` is 2.2s, `0.04` is 40ms."""
    if 0 < seconds < 0.95:
        return f"{round(seconds * 1000)}ms"
    if seconds < 120:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)


def format_minutes(seconds: float) -> str:
    """An estimate or a limit, rounded up to minutes: `61` is 2m, `4000` is 1h7m, and up to a minute is 60s."""
    return format_duration(60 * max(1, math.ceil(seconds / 60)))


def format_share(share: float) -> str:
    """`0.5` is 50%, `0.125` is 12.5%."""
    return f"{share:.1%}".replace(".0%", "%")


@dataclass(frozen=True)
class Bounds:
    """An amount must be at least `least` and at most `most`. Without an upper bound, `most` is infinite."""

    most: float
    least: float = 0.0

    def allow(self, amount: float) -> bool:
        return self.least <= amount <= self.most

    def meet(self, other: Bounds) -> bool:
        """True if some amount is within both bounds."""
        return self.least <= other.most and other.least <= self.most

    def in_words(self, spell: Callable[[float], str]) -> str:
        if math.isinf(self.most):
            return f"at least {spell(self.least)}"
        if self.least:
            return f"{spell(self.least)} to {spell(self.most)}"
        return f"at most {spell(self.most)}" if self.most else spell(0)


def format_count(count: float) -> str:
    return f"{count:.0f}"


def _bounds(amount_of: Callable[[Any], float]) -> Callable[[Any], Bounds]:
    """Read `5s` (an upper bound), `2s to 20s` (both bounds) or `at least 2s` (a lower bound)."""

    def read(text: Any) -> Bounds:
        if isinstance(text, str) and text.startswith(_AT_LEAST):
            least = amount_of(text.removeprefix(_AT_LEAST).strip())
            if not least:
                raise ValueError(f'should be more than 0, not "{text}"')
            return Bounds(math.inf, least)
        first, to, second = text.partition(" to ") if isinstance(text, str) else (text, "", "")
        if not to:
            return Bounds(amount_of(first))
        bounds = Bounds(amount_of(second.strip()), amount_of(first.strip()))
        if bounds.least > bounds.most:
            raise ValueError(f"should go from the lower to the higher value, not {_quoted(text)}")
        return bounds

    return read


@dataclass(frozen=True)
class Promise:
    """Something must hold from a moment within the limit on; without a limit, always."""

    within_seconds: float | None

    @property
    def always(self) -> bool:
        return self.within_seconds is None

    def __str__(self) -> str:
        return "always" if self.within_seconds is None else f"within {format_duration(self.within_seconds)}"


ALWAYS = Promise(None)


def _promise(text: Any) -> Promise:
    if text == "always":
        return ALWAYS
    try:
        return _within(text)
    except ValueError as error:
        raise ValueError(
            f'should be "always" or "within" and a time such as "within 30s", not {_quoted(text)}'
        ) from error


def _within(text: Any) -> Promise:
    word, _, limit = text.partition(" ") if isinstance(text, str) else ("", "", "")
    if word != "within":
        raise ValueError(f'should be "within" and a time such as "within 30s", not {_quoted(text)}')
    return Promise(seconds_of(limit.strip()))


def _quoted(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return f'"{shortened(value)}"' if isinstance(value, str) else shortened(str(value))


def _text_of(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _bounds_of(amount: str) -> dict[str, Any]:
    return _text_of(f"(?:{_AT_LEAST}+{amount}|{amount}(?: +to +{amount})?)")


_GIVEN_TIME = f"(?=\\d){_TIME}"

Seconds = Annotated[float, BeforeValidator(seconds_of), WithJsonSchema(_text_of(_GIVEN_TIME))]
WithinOrAlways = Annotated[
    InstanceOf[Promise],
    BeforeValidator(_promise),
    WithJsonSchema(_text_of(f"(always|within +{_GIVEN_TIME})")),
]
Within = Annotated[
    InstanceOf[Promise], BeforeValidator(_within), WithJsonSchema(_text_of(f"within +{_GIVEN_TIME}"))
]
SecondsBounds = Annotated[
    InstanceOf[Bounds], BeforeValidator(_bounds(seconds_of)), WithJsonSchema(_bounds_of(_GIVEN_TIME))
]
ShareBounds = Annotated[
    InstanceOf[Bounds], BeforeValidator(_bounds(share_of)), WithJsonSchema(_bounds_of(_SHARE))
]
CountBounds = Annotated[
    InstanceOf[Bounds],
    BeforeValidator(_bounds(count_of)),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, _bounds_of(_COUNT)]}),
]
