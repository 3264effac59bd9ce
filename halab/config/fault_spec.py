"""What the check of a scenario file needs to know of the faults. The faults themselves are in halab/faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from halab.config.targets import FaultTarget


class OptionSpec(Protocol):
    """One option of a fault; `is_target` means that its value names machines."""

    @property
    def is_target(self) -> bool: ...

    @property
    def default(self) -> str | None: ...


class FaultSpec(Protocol):
    """One fault: its options, the machines that it may be injected on, and the capabilities that it needs."""

    @property
    def options(self) -> Mapping[str, OptionSpec]: ...

    @property
    def target(self) -> FaultTarget: ...

    @property
    def needs(self) -> frozenset[str]: ...

    def problems_with(self, given: Mapping[str, str]) -> Iterator[str]: ...
