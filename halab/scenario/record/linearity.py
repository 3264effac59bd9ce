"""What a run records about the order of its reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from halab.scenario.record.events import Event


class Linearity(StrEnum):
    """The answer of the check of reads and writes; it is unknown if its time was not enough."""

    OK = "ok"
    ILLEGAL = "illegal"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Operations(Event):
    """Whether the reads and writes of keys of etcd were linearizable, and how many of them were checked.

    `unknown` counts writes whose answer never came. `seen` is an operation that fits into no order, if there is one.
    `silent` are machines whose etcd member answered no read.
    """

    event = "operations"
    reads: int
    writes: int
    unknown: int
    result: Linearity
    seen: str = ""
    silent: tuple[str, ...] = ()

    @property
    def is_linearizable(self) -> bool:
        return self.result is Linearity.OK
