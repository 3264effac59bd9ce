"""Rules for the faults of a scenario file: they must exist, take the given options, and fit their machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from halab.config import placeholders
from halab.config.etcd import Topology
from halab.config.fault_spec import FaultSpec, with_texts
from halab.config.lab_traits import ADDRESS_NEEDS, Condition, Needs
from halab.config.load_balancer import choosing_nodes
from halab.config.loading import nearest
from halab.config.step import Heal, Inject, Options, conditions, format_options
from halab.config.targets import (
    EVERYONE,
    MOST,
    OTHERS,
    ROLES,
    SEVERAL,
    VIP_HOLDER,
    TargetKind,
    kind_of,
    kinds_of,
    node_in,
    number_of,
)
from halab.config.yaml_source import Path

# Where (the path from the top of the file), and what is wrong.
Finding = tuple[Path, str]


@dataclass(frozen=True)
class Known:
    """A fault of an earlier step. `kinds` are the kinds of its machines, in labs of each topology of etcd.

    `hits_all` is true if it hits every control plane or every etcd member.
    """

    index: int
    kinds: Mapping[Topology, frozenset[TargetKind]]
    hits_all: bool


@dataclass
class KnownFaults:
    """The faults of the catalogue, and the faults of the steps so far, by their names in the scenario.

    `texts` has the texts of the files that options name, by path.
    """

    faults: Mapping[str, FaultSpec]
    needs: Needs
    texts: Mapping[str, str] = field(default_factory=dict)
    injected: dict[str, Known] = field(default_factory=dict)
    healed: dict[str, int] = field(default_factory=dict)

    def kinds(self, target: str, topology: Topology | None = None) -> frozenset[TargetKind]:
        """The kinds of machines that a target can mean in labs of a topology, or in any; empty if it is no target."""
        if target == VIP_HOLDER:
            return frozenset({self.needs.holder_kind})
        if target not in self.injected:
            return kinds_of(target, topology)
        kinds = self.injected[target].kinds
        return kinds[topology] if topology else frozenset().union(*kinds.values())

    def topologies(self, conditions: Iterable[Condition] = ()) -> list[Topology]:
        """The topologies of etcd for which a step with these conditions is written."""
        named = [condition.etcd for condition in (self.needs.condition, *conditions) if condition.etcd]
        return [topology for topology in Topology if all(name is topology for name in named)]

    def fits(
        self,
        target: str,
        needed: Callable[[Topology], frozenset[TargetKind]],
        conditions: Iterable[Condition] = (),
    ) -> bool:
        """True if all machines that a target can mean are of the needed kinds, in labs of a topology that is allowed.

        One topology is enough: on labs of the other one, the step is left out, or the scenario is skipped.
        """
        kinds = [
            (self.kinds(target, topology), needed(topology)) for topology in self.topologies(conditions)
        ]
        return not kinds or any(found and found <= wanted for found, wanted in kinds)

    def inject(self, path: Path, index: int, step: Inject) -> Iterator[Finding]:
        """Check one fault and remember its name."""
        if step.fault not in self.faults:
            yield (*path, "inject"), f"no such fault: {step.fault}{nearest(step.fault, self.faults)}"
        else:
            yield from self.option_problems((*path, "with"), step.fault, step.options, step.targets)
        for number, target in enumerate(step.targets):
            at = (*path, "on") if isinstance(step.on, str) else (*path, "on", number)
            if target in step.targets[:number]:
                yield at, f"is listed twice: {target}"
                continue
            for what in self._target_problems(step, target):
                yield at, what
        if step.name in self.injected:
            earlier = self.injected[step.name].index
            where = f"step {earlier + 1}" if earlier >= 0 else "an earlier entry"
            yield (*path, "name"), f"is already the name of the fault of {where}: {step.name}"
        elif kinds_of(step.name) or step.name in (OTHERS, EVERYONE):
            yield (*path, "name"), f"is a machine or a role; choose another name: {step.name}"
        hits_all = any(
            self.injected[target].hits_all
            if target in self.injected
            else target in ("all", "all-cp", "all-etcd")
            for target in step.targets
        )
        kinds = {
            topology: frozenset(kind for target in step.targets for kind in self.kinds(target, topology))
            for topology in Topology
        }
        self.injected.setdefault(step.name, Known(index, kinds, hits_all))

    def heal(self, path: Path, index: int, step: Heal, later: Mapping[str, int]) -> Iterator[Finding]:
        if step.name not in self.injected:
            yield (*path, "heal"), self.unknown_fault(step.name, later)
        elif step.name in self.healed:
            yield (*path, "heal"), f"is already healed in step {self.healed[step.name] + 1}: {step.name}"
        self.healed.setdefault(step.name, index)

    def unknown_fault(self, name: str, later: Mapping[str, int]) -> str:
        """The problem with a name that should be the name of an earlier fault."""
        if name in later:
            return f"is injected later, in step {later[name] + 1}: {name}"
        return f"no earlier step injects a fault of that name: {name}{nearest(name, self.injected)}"

    def option_problems(
        self, path: Path, fault: str, options: Options, targets: tuple[str, ...]
    ) -> Iterator[Finding]:
        """Yield what is wrong with the options of a fault, including options that name machines."""
        given = with_texts(self.faults[fault], format_options(options), self.texts)
        for what in [
            *self.faults[fault].problems_with(given),
            *self._target_option_problems(fault, given, targets),
            *self._placeholder_problems(fault, given),
        ]:
            # a problem begins with the name of its option
            name = what.split(" ", 1)[0].rstrip(":")
            yield (*path, name) if name in given else path, what.removeprefix(f"{name}: ")

    def _target_option_problems(
        self, fault: str, given: Mapping[str, str], targets: tuple[str, ...]
    ) -> Iterator[str]:
        for name, option in sorted(self.faults[fault].options.items()):
            value = given.get(name)
            if not option.is_target or value is None or value in (OTHERS, EVERYONE):
                continue
            if not self.kinds(value):
                known = [EVERYONE, OTHERS, *ROLES, "cp1", *self.injected]
                yield f"{name}: is not a target: {value}{nearest(value, known)}"
            elif targets == (value,) and value not in SEVERAL and value not in self.injected:
                yield f"{name}: should be a machine other than that of the fault, not {value}"
            else:
                yield from (f"{name}: {what}" for what in self.missing_machine(value))

    def _placeholder_problems(self, fault: str, given: Mapping[str, str]) -> Iterator[str]:
        """Yield a problem for every placeholder that does not name machines."""
        options = self.faults[fault].options
        for name, value in sorted(given.items()):
            is_structured = name in options and options[name].reads is not None
            for target in dict.fromkeys(placeholders.names_in(value, is_structured=is_structured)):
                yield from (f"{name}: {what}" for what in self.placeholder_problem(target))

    def placeholder_problem(self, target: str) -> Iterator[str]:
        """Yield a problem if a placeholder does not name machines."""
        if target == placeholders.SELF or target in self.injected:
            return
        if not self.kinds(target):
            known = [placeholders.SELF, *ROLES, "cp1", *self.injected]
            keep = f" (write \\{{{target}}} if it is not a placeholder)"
            yield f"{{{target}}} is neither a machine nor an earlier fault{nearest(target, known)}{keep}"
        else:
            yield from self.missing_machine(target)

    def target_problems(
        self, fault: str, options: Options, target: str, conditions: Iterable[Condition] = ()
    ) -> Iterator[str]:
        """Yield a problem if the fault makes no sense on the target."""
        needed, kinds = self.faults[fault].target_with(format_options(options)), self.kinds(target)
        kind = self.needs.load_balancer
        needed_in = partial(needed.kinds_in, on_nodes=kind is not None and kind.is_on_every_node)
        if kinds and not self.fits(target, needed_in, conditions):
            verb = "is" if not kinds & needed.kinds else "may be"
            yield f"{fault} needs {needed}, but this {verb} another machine: {target}"

    def missing_machine(self, name: str) -> Iterator[str]:
        """Yield a problem if a lab that meets the needs of the scenario may lack this machine."""
        if node := node_in(name):
            yield from self._missing_choice(name, node)
            return
        kind, number = kind_of(name), number_of(name)
        is_external = self.needs.etcd is Topology.EXTERNAL
        if kind and number > MOST[kind]:
            yield f"no lab has more than {MOST[kind]} {kind}s: {name}"
        elif kind is TargetKind.CONTROL_PLANE and number > self.needs.control_planes:
            yield f"not every lab has this machine; write `needs: {{control_planes: {number}}}`: {name}"
        elif kind is TargetKind.WORKER and number > self.needs.workers:
            yield f"not every lab has this machine; write `needs: {{workers: {number}}}`: {name}"
        elif kind is TargetKind.ETCD and not (is_external and number <= self.needs.members):
            yield f"not every lab has this machine; write `needs: {{etcd: external, members: {number}}}`: {name}"
        elif name == VIP_HOLDER and not self.needs.has_address:
            yield f"not every lab has a virtual address; {ADDRESS_NEEDS}: {name}"
        elif kind is TargetKind.BALANCER and number > self.needs.balancers:
            yield f"not every lab has a pair of load balancers; write `needs: {{balancers: 2}}`: {name}"
        elif (
            name in ("etcd-follower", "etcd-followers", OTHERS)
            and self.needs.members == 1
            and (is_external or self.needs.control_planes == 1)
        ):
            yield f"needs a lab with several etcd members: write `needs: {{members: 3}}`: {name}"

    def _missing_choice(self, target: str, node: str) -> Iterator[str]:
        """Yield a problem if the nodes of some lab do not choose an API server, or if it lacks the node."""
        needed = self.needs.load_balancer
        if needed is None or not needed.nodes_choose:
            yield f"not every lab has nodes that choose an API server; write {choosing_nodes('needs')}: {target}"
        else:
            yield from self.missing_machine(node)

    def _target_problems(self, step: Inject, target: str) -> Iterator[str]:
        if target not in self.injected and not kinds_of(target):
            known = [*ROLES, "cp1", "w1", *self.injected]
            yield f"no such target: {target}{nearest(target, known)}"
            return
        wrong = list(self.missing_machine(target)) if target not in self.injected else []
        if not wrong and step.fault in self.faults:
            wrong = list(self.target_problems(step.fault, step.options, target, conditions(step)))
        yield from wrong
