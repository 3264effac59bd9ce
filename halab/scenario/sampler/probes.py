"""Probes: which questions are asked of which address, how, and how often."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from halab.config.probe import ProbeName, Question, Way
from halab.topology.lab import API_PORT, ETCD_PORT, Lab, Machine

# An outage is measured by two samples, one at each end: at 10 Hz, half of all measurements are off by less than 30 ms.
# Questions to single machines are twice as many, and show which one it was: there, 5 Hz are enough.
RATE_HERTZ = 10.0
RATE_DIRECT_HERTZ = 5.0
# An emulated processor needs up to half a second for one TLS handshake: asked 45 times a second, an API server that had
# been killed was not back after 5 minutes on 2 cores; asked 9 times a second, after 25 s, on 2 slower ones not after 8
# minutes. Once a second for each question is the least that tells how long an outage was (outage.GAP_SECONDS).
EMULATED_RATE_HERTZ = 1.0
# A state that is not told in a second is unknown for as long; the next question does not wait longer for it. Who gives
# up a handshake before an emulated processor has ended it has it made once more, for nothing; but readings that lie
# further apart than readings.GAP_SECONDS tell nothing.
STATE_LIMIT_SECONDS = 1.0
EMULATED_STATE_LIMIT_SECONDS = 2.0


@dataclass(frozen=True)
class Probe:
    """One question to one address. `machine` is None for the load balancer."""

    name: str
    machine: str | None
    question: Question
    way: Way
    host: str
    port: int
    rate_hertz: float


_ALWAYS = (
    ProbeName.READY_VIA_LB,
    ProbeName.READ_VIA_LB,
    ProbeName.WRITE_VIA_LB,
    ProbeName.READY_DIRECT,
    ProbeName.WRITE_DIRECT,
)


def probes(lab: Lab, more: Collection[str] = ()) -> list[Probe]:
    """What every run is watched with, and what else is named. A question costs CPU, here and on the lab's machines."""
    wanted = [name for name in ProbeName if name in {*_ALWAYS, *map(str, more)}]
    most = most_hertz(lab)
    through = [
        _probe(name, None, lab.balancer, min(RATE_HERTZ, most)) for name in wanted if not name.is_direct
    ]
    direct = [
        _probe(name, machine.name, machine, min(RATE_DIRECT_HERTZ, most))
        for machine in lab.control_planes
        for name in wanted
        if name.is_direct
    ]
    return through + direct


def most_hertz(lab: Lab) -> float:
    """How often a question may be asked, and a state."""
    return EMULATED_RATE_HERTZ if lab.is_emulated else RATE_HERTZ


def state_limit_seconds(lab: Lab) -> float:
    return EMULATED_STATE_LIMIT_SECONDS if lab.is_emulated else STATE_LIMIT_SECONDS


def _probe(name: ProbeName, machine: str | None, asked: Machine, rate_hertz: float) -> Probe:
    port = ETCD_PORT if name.question is Question.HEALTH else API_PORT
    return Probe(str(name), machine, name.question, name.way, str(asked.address), port, rate_hertz)
