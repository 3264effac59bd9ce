"""Facts that the runner reads from machines when it needs them; they show that a fault took effect."""

from __future__ import annotations

from contextlib import suppress

from halab.cluster import node_choice, virtual_address
from halab.config.expectation import FactName
from halab.errors import HalabError
from halab.faults import processes
from halab.faults.site import Site
from halab.scenario.record import events
from halab.scenario.record.timeline import Timeline

# When the first process of the machine started; the first process of a container starts with it.
_MACHINE_STARTED = f"{processes.start_time('1')}; cat /proc/sys/kernel/random/boot_id"


class Reader:
    """Reads facts into the timeline of a run."""

    def __init__(self, site: Site, timeline: Timeline) -> None:
        self._site = site
        self._timeline = timeline

    def read(self, fact: FactName, machine: str) -> None:
        """Record the value before a fault."""
        self._record(fact, machine, self._value(fact, machine))

    def read_holder(self) -> None:
        """Record which machine has the virtual address. Right after its start, the sampler may not know it."""
        found = virtual_address.holders(self._site.guests, self._site.lab)
        self._timeline.add(events.Fact(str(FactName.VIP_HOLDER), None, "+".join(found) or None))

    def read_choice(self, node: str) -> None:
        """Record which API server a node has chosen. Right after its start, the sampler may not know it."""
        with suppress(HalabError):
            chosen = node_choice.of(self._site.guests, self._site.lab, node)
            self._record(FactName.BACKEND_OF, node, chosen)

    def read_again(self, fact: FactName, machine: str, *, final: bool) -> None:
        """Record the value if it changed; at the end of the time (`final`), record it in any case."""
        # a machine that does not answer now may answer the next time
        with suppress(HalabError):
            value = self._value(fact, machine)
            if final or self._last(fact, machine) != value:
                self._record(fact, machine, value)

    def _value(self, fact: FactName, machine: str) -> str | None:
        """The value now; None if the process does not run."""
        if fact is FactName.MACHINE_STARTED:
            return " ".join(self._site.guests.run(machine, _MACHINE_STARTED).output.split())
        if fact is FactName.BALANCER_STARTED:
            name = self._site.lab.load_balancer.kind.service
        else:
            name = fact.removesuffix("-started")
        return processes.started(self._site.guests, machine, name)

    def _record(self, fact: FactName, machine: str, value: str | None) -> None:
        self._timeline.add(events.Fact(str(fact), machine, value))

    def _last(self, fact: FactName, machine: str) -> str | None:
        recorded = events.select(self._timeline.records, events.Fact)
        values = [read.value for _, read in recorded if (read.fact, read.machine) == (fact, machine)]
        return values[-1] if values else None
