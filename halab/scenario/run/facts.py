"""Facts that are read off the machines when they are needed, and that show whether a fault really did something."""

from __future__ import annotations

from contextlib import suppress

from halab.config.expectation import FactName
from halab.errors import HalabError
from halab.faults import processes
from halab.faults.site import Site
from halab.scenario.record import events
from halab.scenario.record.timeline import Timeline

# The first process of a machine: of a container it is as old as the container's start.
_MACHINE_STARTED = "sed 's/.*) //' /proc/1/stat | cut -d' ' -f20; cat /proc/sys/kernel/random/boot_id"


class Reader:
    """Reads facts into the timeline of a run."""

    def __init__(self, site: Site, timeline: Timeline) -> None:
        self._site = site
        self._timeline = timeline

    def read(self, fact: FactName, machine: str) -> None:
        """Record the value before a fault."""
        self._record(fact, machine, self._value(fact, machine))

    def read_again(self, fact: FactName, machine: str, *, final: bool) -> None:
        """Record what is news; and, when the time is over, that there was none."""
        # a machine that does not answer now may do so at the next try
        with suppress(HalabError):
            value = self._value(fact, machine)
            if final or self._last(fact, machine) != value:
                self._record(fact, machine, value)

    def _value(self, fact: FactName, machine: str) -> str | None:
        """The value now; None where there is nothing to read: the process does not run."""
        if fact is FactName.MACHINE_STARTED:
            return " ".join(self._site.guests.run(machine, _MACHINE_STARTED).output.split())
        if fact is FactName.BALANCER_STARTED:
            name = str(self._site.lab.load_balancer.kind)
        else:
            name = fact.removesuffix("-started")
        return processes.started(self._site.guests, machine, name)

    def _record(self, fact: FactName, machine: str, value: str | None) -> None:
        self._timeline.add(events.Fact(str(fact), machine, value))

    def _last(self, fact: FactName, machine: str) -> str | None:
        for record in reversed(self._timeline.records):
            what = record.what
            if isinstance(what, events.Fact) and (what.fact, what.machine) == (fact, machine):
                return what.value
        return None
