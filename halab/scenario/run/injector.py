"""Injects and heals the faults of a run, on all their machines at once, with journal and timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from halab.cluster.api import Api
from halab.errors import HalabError, Unable
from halab.faults import injection
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site
from halab.faults.targets import Targets, require_target
from halab.machines.guests import on_all
from halab.progress import Progress
from halab.scenario.record import events
from halab.scenario.record.timeline import Timeline


@dataclass(frozen=True)
class Injected:
    """A fault of this run on one machine."""

    name: str
    target: str
    entry: Entry

    @property
    def record(self) -> dict[str, str]:
        """The fields that all events of this fault share."""
        return {
            "name": self.name,
            "fault": self.entry.fault,
            "target": self.target,
            "machine": self.entry.machine,
        }


@dataclass
class Injector:
    """Injects and heals for one run; `chosen` maps the names of faults to their machines, until the end of the run.

    `texts` are the texts of the files that options name, by path.
    """

    site: Site
    api: Api
    journal: Journal
    timeline: Timeline
    progress: Progress
    seed: int
    texts: Mapping[str, str] = field(default_factory=dict)
    open: list[Injected] = field(default_factory=list)
    chosen: dict[str, list[str]] = field(default_factory=dict)
    first_injected_at: float | None = None

    def inject(
        self,
        fault: str,
        name: str,
        targets: Sequence[str],
        options: Mapping[str, str],
        *,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """Inject a fault on all its machines at once. `before` is called when they are chosen, before the inject."""
        target = ", ".join(targets)
        resolver = Targets(self.site.lab, self.site.guests, self.api, self.chosen, self.seed, self.texts)
        machines = resolver.machines(targets)
        self.chosen[name] = machines
        faults = [self._planned(fault, name, target, machine, resolver, options) for machine in machines]
        before()
        where = f"{', '.join(machines)} ({target})"
        with self.progress.step(f"inject {fault} on {where}") as shown:
            for injected in faults:
                started = self.timeline.add(events.FaultStarted(**injected.record))
                if self.first_injected_at is None:
                    self.first_injected_at = started.t
                self.open.append(injected)
            by_machine = {injected.entry.machine: injected for injected in faults}
            effects = on_all(machines, lambda machine: self._inject(by_machine[machine]))
            shown.done("; ".join(dict.fromkeys(effects.values())))

    def entries(self, name: str) -> list[Entry]:
        """The journal's entries of a fault that is not healed."""
        return [injected.entry for injected in self.open if injected.name == name]

    def heal(self, name: str) -> None:
        """Heal a fault on all its machines at once."""
        self._heal([injected for injected in self.open if injected.name == name])

    def heal_all(self) -> None:
        """Heal all open faults, the latest first."""
        while self.open:
            self.heal(self.open[-1].name)

    def heal_what_can_be(self) -> None:
        """Heal all open faults even if some heals fail; faults that are not healed stay in the journal."""
        for name in dict.fromkeys(injected.name for injected in reversed(self.open)):
            with suppress(Exception):
                self.heal(name)

    def _planned(
        self,
        fault: str,
        name: str,
        target: str,
        machine: str,
        resolver: Targets,
        options: Mapping[str, str],
    ) -> Injected:
        require_target(self.site.lab, FAULTS[fault], options, machine)
        resolved = resolver.options(FAULTS[fault], options, machine)
        try:
            return Injected(name, target, injection.plan(self.site, fault, machine, resolved))
        except Unable as error:
            self.timeline.add(events.FaultRefused(name, fault, target, machine, error.message))
            raise

    def _inject(self, fault: Injected) -> str:
        effect, _, detail = injection.inject(self.site, self.journal, fault.entry).partition("\n")
        self.timeline.add(events.FaultInjected(**fault.record, effect=effect, detail=detail))
        return effect

    def _heal(self, faults: Sequence[Injected]) -> None:
        if not faults:
            return
        machines = {injected.entry.machine: injected for injected in faults}
        with self.progress.step(f"heal {faults[0].entry.fault} on {', '.join(machines)}"):
            try:
                for injected in faults:
                    self.timeline.add(events.HealStarted(**injected.record))
            finally:
                # on a full disk the record has a gap and an error is raised, but the machine is healed
                on_all(machines, lambda machine: self._heal_one(machines[machine]))

    def _heal_one(self, fault: Injected) -> None:
        try:
            injection.heal(self.site, self.journal, fault.entry)
        except HalabError as error:
            with suppress(HalabError):
                self.timeline.add(events.HealFailed(**fault.record, why=error.message))
            raise
        self.open.remove(fault)
        self.timeline.add(events.Healed(**fault.record))
