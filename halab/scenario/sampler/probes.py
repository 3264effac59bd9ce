"""Probes: which questions are asked, at which addresses, how and how often."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from halab.config.kubernetes import API_PORT
from halab.config.probe import ProbeName, Question, Way
from halab.config.probe_options import DEFAULT_OPTIONS, ProbeOptions
from halab.topology.lab import ETCD_PORT, Lab

# Two samples limit the ends of an outage: at 10 Hz, half of all measurements are off by less than 30 ms.
# Probes of single machines only show which machine failed: 5 Hz are enough for them.
RATE_HERTZ = 10.0
RATE_DIRECT_HERTZ = 5.0
# A question from a node starts a curl there.
_NODE_HERTZ = 2.0
# A long list and a new pod cost the lab much more than other questions. Less than once a second would be a gap
# (outage.GAP_SECONDS).
_RATES = {Question.LIST: 2.0, Question.POD: 1.0}
# An emulated processor needs up to half a second for one TLS handshake. With 45 questions a second, an API server that
# was killed was not back after 5 minutes on 2 cores. With 9 questions a second it was back after 25 s, but on 2 slower
# cores not after 8 minutes. Once a second per probe is the lowest rate that shows how long an outage was
# (outage.GAP_SECONDS).
EMULATED_RATE_HERTZ = 1.0
# A state without an answer after a second is unknown. On an emulated processor, a handshake that is given up too early
# only has to be repeated, so the limit is longer there; but readings that are further apart than facts.GAP_SECONDS
# show nothing.
STATE_LIMIT_SECONDS = 1.0
EMULATED_STATE_LIMIT_SECONDS = 2.0


@dataclass(frozen=True)
class Probe:
    """One question to one address, asked again and again. `machine` is None for the load balancer.

    A node that asks is the machine of that probe. The host may be a name with several addresses. `limit_seconds` is a
    time limit of its own, `path` what a scenario asks for.
    """

    name: str
    machine: str | None
    question: Question
    way: Way
    host: str
    port: int
    rate_hertz: float
    limit_seconds: float | None = None
    path: str = ""


@dataclass(frozen=True)
class Objects:
    """What probes use in the cluster besides the namespace of the writes.

    `listed` is the number of objects in `namespace`. `service` is the cluster address of the Service, `image` the
    image of pods, `token` the token of a service account. All are empty if no probe needs them.
    """

    namespace: str = ""
    listed: int = 0
    service: str = ""
    image: str = ""
    token: str = ""


_ALWAYS = (
    ProbeName.READY_VIA_LB,
    ProbeName.READ_VIA_LB,
    ProbeName.WRITE_VIA_LB,
    ProbeName.READY_DIRECT,
    ProbeName.WRITE_DIRECT,
)


def probes(lab: Lab, extra: Collection[str] = (), options: ProbeOptions = DEFAULT_OPTIONS) -> list[Probe]:
    """The probes of every run, and the `extra` ones by name. Every question costs CPU, here and on the machines."""
    wanted = [name for name in ProbeName if name in {*_ALWAYS, *map(str, extra)}]
    most = most_hertz(lab)
    through = [
        _probe(
            name,
            None,
            lab.api_host,
            lab.load_balancer.port,
            min(_RATES.get(name.question, RATE_HERTZ), most),
        )
        for name in wanted
        if not name.is_direct
    ]
    endpoint, _, port = lab.endpoint.rpartition(":")
    from_nodes = [
        _probe(name, machine.name, endpoint, int(port), min(_NODE_HERTZ, most))
        for name in wanted
        if name.is_of_workers
        for machine in lab.workers
    ]
    direct = [
        _probe(name, machine.name, machine.address, _port(name), min(RATE_DIRECT_HERTZ, most))
        for name in wanted
        if name.is_direct and not name.is_of_workers
        for machine in (lab.members if name.is_of_etcd else lab.control_planes)
    ]
    return [
        replace(probe, limit_seconds=options.limits.get(probe.name), path=options.paths.get(probe.name, ""))
        for probe in through + direct + from_nodes
    ]


def _port(name: ProbeName) -> int:
    return ETCD_PORT if name.is_of_etcd else API_PORT


def most_hertz(lab: Lab) -> float:
    """The highest rate of a probe or a state."""
    return EMULATED_RATE_HERTZ if lab.is_emulated else RATE_HERTZ


def state_limit_seconds(lab: Lab) -> float:
    return EMULATED_STATE_LIMIT_SECONDS if lab.is_emulated else STATE_LIMIT_SECONDS


def _probe(
    name: ProbeName, machine: str | None, host: IPv4Address | str, port: int, rate_hertz: float
) -> Probe:
    return Probe(str(name), machine, name.question, name.way, str(host), port, rate_hertz)
