"""Probes: which questions are asked of which address, how, and how often."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

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


class Question(StrEnum):
    READY = "ready"
    READ = "read"
    WRITE = "write"
    HEALTH = "health"  # of an etcd member: it answers after a round of its quorum
    EVENTS = "events"
    SILENCE = "silence"


class Way(StrEnum):
    """A connection for each question, one for all, or a stream that stays open."""

    NEW = "new"
    KEPT = "kept"
    WATCH = "watch"


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


_THROUGH_BALANCER = {
    "ready-via-lb": (Question.READY, Way.NEW),
    "read-via-lb": (Question.READ, Way.NEW),
    "write-via-lb": (Question.WRITE, Way.NEW),
    "read-kept-via-lb": (Question.READ, Way.KEPT),
    "watch-via-lb": (Question.EVENTS, Way.WATCH),
    "quiet-watch-via-lb": (Question.SILENCE, Way.WATCH),
}
_DIRECT = {
    "ready-direct": (Question.READY, API_PORT),
    "read-direct": (Question.READ, API_PORT),
    "write-direct": (Question.WRITE, API_PORT),
    "etcd-direct": (Question.HEALTH, ETCD_PORT),
}
NAMES = (*_THROUGH_BALANCER, *_DIRECT)
_ALWAYS = ("ready-via-lb", "read-via-lb", "write-via-lb", "ready-direct", "write-direct")


def probes(lab: Lab, more: Collection[str] = ()) -> list[Probe]:
    """What every run is watched with, and what else is named. A question costs CPU, here and on the lab's machines."""
    wanted = {*_ALWAYS, *map(str, more)}
    balancer, most = str(lab.balancer.address), most_hertz(lab)
    through = [
        Probe(name, None, question, way, balancer, API_PORT, min(RATE_HERTZ, most))
        for name, (question, way) in _THROUGH_BALANCER.items()
        if name in wanted
    ]
    return through + [probe for machine in lab.control_planes for probe in _direct(machine, wanted, most)]


def most_hertz(lab: Lab) -> float:
    """How often a question may be asked, and a state."""
    return EMULATED_RATE_HERTZ if lab.is_emulated else RATE_HERTZ


def state_limit_seconds(lab: Lab) -> float:
    return EMULATED_STATE_LIMIT_SECONDS if lab.is_emulated else STATE_LIMIT_SECONDS


def _direct(machine: Machine, wanted: Collection[str], most: float) -> list[Probe]:
    return [
        Probe(
            name, machine.name, question, Way.NEW, str(machine.address), port, min(RATE_DIRECT_HERTZ, most)
        )
        for name, (question, port) in _DIRECT.items()
        if name in wanted
    ]
