"""What a scenario must know of a fault in the catalogue to be checked before it is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

NOTHING = "nothing"
EDIT_BALANCER = "edit-balancer"
SNAPSHOT = "snapshot-etcd"


class OptionSpec(Protocol):
    """One option of a fault; `is_target` means that its value names machines."""

    @property
    def is_target(self) -> bool: ...

    @property
    def default(self) -> str | None: ...


class FaultSpec(Protocol):
    """One fault: its options, the machines it makes sense on, and the capabilities it needs."""

    @property
    def options(self) -> Mapping[str, OptionSpec]: ...

    @property
    def place(self) -> str: ...

    @property
    def needs(self) -> frozenset[str]: ...

    def problems_with(self, given: Mapping[str, str]) -> Iterator[str]: ...
