"""Lanes, and records sorted by lane and time; more records can be added while a run goes on."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

# A patient client gives up after this time. All probes but `pod-starts` have this limit, so that they can be compared.
TIME_LIMIT_SECONDS = 2.0
EMULATED_TIME_LIMIT_SECONDS = 10.0


@dataclass(frozen=True)
class Lane:
    """One probe or state and the machine that is asked; None is the load balancer, or the lab as one.

    The files of a run write it as `ready-direct@cp2`, or `write-via-lb` without a machine.
    """

    name: str
    machine: str | None = None

    @classmethod
    def parse(cls, text: str) -> Lane:
        # the name of a unit may contain the character too
        name, separator, machine = text.rpartition("@")
        return cls(name, machine) if separator else cls(text)

    def __str__(self) -> str:
        return f"{self.name}@{self.machine}" if self.machine else self.name

    @property
    def in_words(self) -> str:
        """`ready-direct on cp2`."""
        return f"{self.name} on {self.machine}" if self.machine else self.name


class Timed(Protocol):
    """A record of one lane; `t` in seconds since the run began."""

    @property
    def t(self) -> float: ...

    @property
    def lane(self) -> Lane: ...


T = TypeVar("T", bound=Timed)
time_of = attrgetter("t")


class Lanes(Generic[T]):
    def __init__(self, records: Iterable[T] = ()) -> None:
        self._lanes: dict[Lane, list[T]] = {}
        self.add(records)

    def add(self, records: Iterable[T]) -> None:
        for record in records:
            insort(self._lanes.setdefault(record.lane, []), record, key=time_of)

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes that have records, in the order of their names."""
        return tuple(sorted(self._lanes, key=str))

    @property
    def counts(self) -> dict[Lane, int]:
        """The number of records by lane."""
        return {lane: len(records) for lane, records in self._lanes.items()}

    def of(self, lane: Lane) -> Sequence[T]:
        return self._lanes.get(lane, [])


def time_limit_seconds(is_emulated: bool) -> float:
    """How long a probe waits for its answer."""
    return EMULATED_TIME_LIMIT_SECONDS if is_emulated else TIME_LIMIT_SECONDS
