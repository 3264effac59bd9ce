"""The hosts of a matrix: who is there, who is refused or set aside, and what each one does."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from halab.config.lab import LabFile
from halab.errors import HalabError
from halab.matrix.hosts import agent
from halab.matrix.hosts.cluster import Cluster, HostGone, Task
from halab.matrix.hosts.fetch import Donor, Fetch
from halab.matrix.hosts.host import Errors, HostFacts
from halab.matrix.lab_process import EndedLab
from halab.matrix.places import LabOrders
from halab.matrix.plan import Planned
from halab.printable import one_line
from halab.progress import Progress


@dataclass
class Lab:
    """A lab or a part of it that is still to be played: the runs that are `left`, the names of the hosts that tried it.

    `why` says why the last of them did not play all of it.
    """

    orders: LabOrders
    written: LabFile
    left: list[Planned]
    tries: list[str] = field(default_factory=list)
    why: str = ""

    @property
    def name(self) -> str:
        return self.orders.lab


@dataclass
class Act:
    """What a host does: it plays a lab, or removes what is left of one (`lab` is None then).

    `known` are the names of the runs that have arrived. `printed` counts the bytes of the log that were shown, `rest`
    is the part of a line at their end.
    """

    name: str
    lab: Lab | None
    task: Task[EndedLab] | None
    known: set[str] = field(default_factory=set)
    # what the host fetches before it begins
    fetch: Fetch | None = None
    printed: int = 0
    rest: bytes = b""
    is_stopped: bool = False

    def lines(self, printed: bytes) -> list[str]:
        """The lines that are complete with what was printed since."""
        self.printed += len(printed)
        *lines, self.rest = (self.rest + printed).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


@dataclass
class Host:
    """A host that is there. `leftovers` are the labs of which it has something that must be taken and removed."""

    address: str
    name: str
    facts: HostFacts
    leftovers: deque[str]
    errors: Errors = field(default_factory=Errors.none)
    # the runs behind these errors, with the hashes of their archives
    erred: list[tuple[Lab, Planned, str]] = field(default_factory=list)
    act: Act | None = None


class Roster:
    """The hosts that a cluster has. `matrix` is the name of the matrix on them, `own` describes this halab."""

    def __init__(self, cluster: Cluster, matrix: str, shown: Progress, own: HostFacts) -> None:
        self._cluster = cluster
        self._matrix = matrix
        self._shown = shown
        self._own = own
        self._hosts: dict[str, Host] = {}
        # by address: the names of workers that are not used, and why
        self._refused: dict[str, tuple[str, str]] = {}
        # by name: why a host gets no more labs
        self.set_aside: dict[str, str] = {}

    @property
    def hosts(self) -> list[Host]:
        return list(self._hosts.values())

    @property
    def usable(self) -> list[Host]:
        """The hosts that get labs."""
        return [host for host in self.hosts if host.name not in self.set_aside]

    @property
    def uncollected(self) -> set[str]:
        """The labs of which hosts may have runs that have not arrived."""
        names = {name for host in self.hosts for name in host.leftovers}
        acts = [host.act for host in self.hosts if host.act]
        return names | {act.name for act in acts if act.lab is None and act.task is None}

    def others(self, lab: Lab) -> list[Host]:
        """The hosts that could play a lab and have not tried it."""
        return [
            host for host in self.usable if host.name not in lab.tries and not host.facts.lacks(lab.written)
        ]

    def plays(self, lab: Lab) -> bool:
        """Whether a host plays this lab or part of one."""
        return any(host.act and host.act.lab is lab for host in self.hosts)

    def donors(self, host: Host) -> list[Donor]:
        """The other hosts whose cache a host can use. One that is set aside may have what is needed, too."""
        return [
            Donor(other.address, other.name)
            for other in self.hosts
            if other is not host and other.facts.architecture == host.facts.architecture
        ]

    def look(self) -> list[Host]:
        """Meet the hosts that have come, and return those that are gone. Raises HostProblem if nobody knows."""
        now = self._cluster.hosts()
        gone = [self._hosts.pop(address) for address in list(self._hosts) if address not in now]
        # one that was refused as a second worker of a host may be the only one now
        self._refused = (
            {} if gone else {address: which for address, which in self._refused.items() if address in now}
        )
        for address, name in now.items():
            if address not in self._hosts and address not in self._refused:
                self._meet(address, name)
        return gone

    def _meet(self, address: str, name: str) -> None:
        try:
            facts = self._cluster.ask(address, agent.describe)
            why = facts.refusal(self._own) or self._double(name, facts)
            left = [] if why else self._cluster.ask(address, agent.labs, self._matrix)
        except HostGone:
            return
        except HalabError as error:
            why = error.message
        except Exception as error:
            # such as a module that an older halab does not have
            why = f"its halab is not compatible: {type(error).__name__}: {error}"
        if why:
            self._refused[address] = name, one_line(why)
            self._shown.say(one_line(f"host {name} is not used: {why}"))
            return
        self._shown.say(f"host {name}: {facts}")
        self._hosts[address] = Host(address, name, facts, deque(left))

    def _double(self, name: str, facts: HostFacts) -> str:
        """Whether a worker is a second one of a host: their labs would be mixed up. Empty if it is not."""
        for host in self.hosts:
            if host.name == name:
                return "another host has the same name"
            if host.facts.state == facts.state:
                return f"it is a second worker on the host {host.name}"
        return ""

    def why_nobody_plays(self, lab: Lab) -> str:
        """The reasons of all hosts why a lab was not played."""
        reasons = [f"{host.name}: {host.facts.lacks(lab.written)}" for host in self.usable]
        reasons += [f"{name} is set aside: {why}" for name, why in self.set_aside.items()]
        reasons += [f"{name}: {why}" for name, why in self._refused.values()]
        why = "; ".join(reasons) or "no host is connected"
        return f"{lab.why}; no other host can play it: {why}" if lab.why else f"no host can play it: {why}"
