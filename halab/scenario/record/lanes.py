"""What was recorded, by lane: each lane in the order of its times; more can be added as it is written."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

# A client that is patient gives up after this time. It is the same for every probe, so that probes can be compared.
TIME_LIMIT_SECONDS = 2.0
EMULATED_TIME_LIMIT_SECONDS = 10.0


class Timed(Protocol):
    """A record of one lane; `t` in seconds since the run began."""

    @property
    def t(self) -> float: ...

    @property
    def lane(self) -> str: ...


T = TypeVar("T", bound=Timed)
time_of = attrgetter("t")


class Lanes(Generic[T]):
    def __init__(self, records: Iterable[T] = ()) -> None:
        self._lanes: dict[str, list[T]] = {}
        self.add(records)

    def add(self, records: Iterable[T]) -> None:
        for record in records:
            insort(self._lanes.setdefault(record.lane, []), record, key=time_of)

    @property
    def lanes(self) -> tuple[str, ...]:
        return tuple(sorted(self._lanes))

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each lane."""
        return {lane: len(records) for lane, records in self._lanes.items()}

    def of(self, lane: str) -> Sequence[T]:
        return self._lanes.get(lane, [])


def time_limit_seconds(is_emulated: bool) -> float:
    """How long a probe waits for its answer."""
    return EMULATED_TIME_LIMIT_SECONDS if is_emulated else TIME_LIMIT_SECONDS
