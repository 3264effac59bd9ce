"""What the check of a scenario file needs to know of the faults. The faults themselves are in halab/faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from halab.config.lab_traits import Capability
from halab.config.targets import FaultTarget


class OptionSpec(Protocol):
    """One option of a fault; `is_target` means that its value names machines.

    `is_text`: the value is a text of any number of lines, or the path of a file that contains it. `reads` reads the
    value, such as JSON.
    """

    @property
    def is_target(self) -> bool: ...

    @property
    def is_text(self) -> bool: ...

    @property
    def reads(self) -> Callable[[str], object] | None: ...

    @property
    def default(self) -> str | None: ...


class FaultSpec(Protocol):
    """One fault: its options, the machines that it may be injected on, and the capabilities that it needs."""

    @property
    def options(self) -> Mapping[str, OptionSpec]: ...

    @property
    def target(self) -> FaultTarget: ...

    def target_with(self, given: Mapping[str, str]) -> FaultTarget:
        """The same for some options: a fault of any static pod needs a machine that has this one."""
        ...

    @property
    def needs(self) -> frozenset[Capability]: ...

    def problems_with(self, given: Mapping[str, str]) -> Iterator[str]: ...


def is_path(value: str) -> bool:
    """True if the value of a text option is the path of a file: one line that begins with `./` or `../`."""
    return value.startswith(("./", "../")) and "\n" not in value


def with_texts(fault: FaultSpec, given: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """The options of a fault with the texts of the files that they name; `texts` has these by path."""
    return {
        name: texts.get(value, value) if name in fault.options and fault.options[name].is_text else value
        for name, value in given.items()
    }
