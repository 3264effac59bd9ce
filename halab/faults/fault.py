"""What a fault is: a pair of functions, the options it takes, and what it needs.

`inject` returns when its effect is real, and says what it saw: in one line, which lines with details may follow. `heal`
undoes it from the journal's entry alone: the fault may have been injected, half injected, only recorded, or healed
already. It acts over SSH, the provider or etcd, because the Kubernetes API may be down: only an upgrade and machines
that join or leave the cluster need it. A fault is a pair and not a generator, because a generator cannot be resumed
after halab was killed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from halab.config.fault_facts import FaultFacts, facts_of
from halab.config.fault_spec import is_path
from halab.config.lab_traits import Capability
from halab.config.targets import FaultTarget
from halab.faults.journal import Entry
from halab.faults.site import Site


@dataclass(frozen=True)
class Option:
    """One option of a fault. Without a default it must be given. `means` describes its value in an error.

    `is_target`: the value names machines, which are found at run time. `is_text`: the value is a text of any number of
    lines, or the path of a file that contains it (`./break.sh`). `reads` reads the value, such as JSON, and raises
    ValueError with what is wrong with it. Only other values are compared with the pattern.
    """

    means: str
    pattern: str = r".+"
    example: str = ""
    default: str | None = None
    is_target: bool = False
    is_text: bool = False
    reads: Callable[[str], object] | None = None

    def problem_with(self, name: str, value: str) -> str | None:
        """What is wrong with a value as written."""
        if self.is_target or (self.is_text and is_path(value)):
            return None  # looked up when the fault is injected, read from its file
        if self.reads:
            try:
                self.reads(value)
            except ValueError as error:
                return f"{name}: {error}"
        elif not self.is_text and not re.fullmatch(self.pattern, value):
            such_as = f", such as {self.example}" if self.example else ""
            return f"{name}: should be {self.means}{such_as}, not {value}"
        return None


@dataclass(frozen=True)
class Fault:
    """`does` is a sentence for people. `needs` are capabilities (halab/faults/capabilities.py).

    `target` says on which machines the fault makes sense: a control plane (the default), a machine with a member of
    etcd, a node (a control plane or a worker), the load balancer, or any machine.

    `target_by` narrows the target by the options, such as the option that names a static pod.

    `rule` yields what is wrong with the options together, such as two that exclude each other.

    `check` runs before anything is recorded or done, and raises Unable if this lab cannot do it, or BadUsage if it
    makes no sense. `remembers` returns what the heal must know of the lab as it was before the fault: the journal keeps
    it with the options.
    """

    name: str
    does: str
    inject: Callable[[Site, Entry], str]
    heal: Callable[[Site, Entry], None]
    options: Mapping[str, Option] = field(default_factory=dict)
    target: FaultTarget = FaultTarget.CONTROL_PLANE
    target_by: Callable[[Mapping[str, str]], FaultTarget] | None = None
    needs: frozenset[Capability] = frozenset()
    check: Callable[[Site, Entry], None] | None = None
    rule: Callable[[Mapping[str, str]], Iterator[str]] | None = None
    remembers: Callable[[Site], Mapping[str, str]] | None = None

    def target_with(self, given: Mapping[str, str]) -> FaultTarget:
        """The machines that it makes sense on with some options."""
        return self.target_by(given) if self.target_by else self.target

    @property
    def place(self) -> str:
        """The machines that it makes sense on, with all options, in words."""
        if self.target_by and self.target is FaultTarget.MEMBER:
            # the pod decides: with external etcd, a control plane has no member
            return f"{FaultTarget.CONTROL_PLANE} or {FaultTarget.MEMBER}"
        return str(self.target)

    @property
    def facts(self) -> FaultFacts:
        return facts_of(self.name)

    def problems_with(self, given: Mapping[str, str]) -> Iterator[str]:
        """Yield a line for everything that is wrong with the options as written."""
        wrong = list(self._problems_with(given))
        yield from wrong
        if self.rule and not wrong:
            yield from self.rule(given)

    def _problems_with(self, given: Mapping[str, str]) -> Iterator[str]:
        for name, option in sorted(self.options.items()):
            if name not in given and option.default is None:
                yield f"{self.name} needs the option {name} ({option.means})"
        for name, value in sorted(given.items()):
            if name not in self.options:
                yield f"{self.name} has no option {name}{_known(self.options)}"
            elif wrong := self.options[name].problem_with(name, value):
                yield wrong

    def complete(self, given: Mapping[str, str]) -> dict[str, str]:
        """The options, with the defaults of those that were not given. An option with an empty default is left out."""
        defaults = {name: option.default for name, option in self.options.items() if option.default}
        return {**defaults, **given}


def settings_or_file(
    name: str, options: Mapping[str, Option], file: str
) -> Callable[[Mapping[str, str]], Iterator[str]]:
    """The rule of a fault that changes some settings, or replaces all of them by the option `file`."""

    def problems(given: Mapping[str, str]) -> Iterator[str]:
        if not given:
            yield f"{name} changes nothing: set {', '.join(options)}"
        others = sorted(given.keys() - {file})
        if file in given and others:
            yield f"{file} replaces the whole configuration: leave {', '.join(others)} out"

    return problems


def nothing_to_heal(site: Site, entry: Entry) -> None:
    """The fault is over, or its supervisor starts the process again."""


def _known(options: Mapping[str, Option]) -> str:
    return f"; it takes {', '.join(sorted(options))}" if options else "; it takes none"
