"""Facts: values read off the machines, that show whether a fault really did something."""

from __future__ import annotations

from contextlib import suppress

from halab.cluster import etcd
from halab.config.scenario import FactName
from halab.errors import HalabError
from halab.faults import processes
from halab.faults.site import Site
from halab.scenario import events
from halab.scenario.timeline import Timeline

_PROCESSES = {FactName.ETCD_STARTED: "etcd", FactName.API_SERVER_STARTED: "kube-apiserver"}


class Reader:
    """Reads facts into the timeline of a run. `machine` is None for a fact of the whole lab."""

    def __init__(self, site: Site, timeline: Timeline) -> None:
        self._site = site
        self._timeline = timeline

    def read(self, fact: FactName, machine: str | None) -> None:
        """Record the value before a fault."""
        self._record(fact, machine, self._value(fact, machine))

    def read_again(self, fact: FactName, machine: str | None, *, final: bool) -> None:
        """Record what is news; and, when the time is over, that there was none."""
        # a machine that does not answer now may do so at the next try
        with suppress(HalabError):
            value = self._value(fact, machine)
            if final or self._last(fact, machine) != value:
                self._record(fact, machine, value)

    def _value(self, fact: FactName, machine: str | None) -> str | None:
        """The value now; None where there is nothing to read (the process does not run, nobody leads)."""
        if fact is FactName.ETCD_LEADER:
            with suppress(HalabError):
                return etcd.leader(self._site.guests, self._site.lab)
            return None
        assert machine is not None, fact
        return processes.started(self._site.guests, machine, _PROCESSES[fact])

    def _record(self, fact: FactName, machine: str | None, value: str | None) -> None:
        self._timeline.add(events.Fact(str(fact), machine, value))

    def _last(self, fact: FactName, machine: str | None) -> str | None:
        for record in reversed(self._timeline.records):
            what = record.what
            if isinstance(what, events.Fact) and (what.fact, what.machine) == (fact, machine):
                return what.value
        return None
