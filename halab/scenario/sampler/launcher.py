"""The sampler: probes at a fixed rate from outside the cluster, in a process of its own.

This is the side of halab: it says what is to be asked, starts the process (`sampler_process`), and looks after it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from halab import process
from halab.clock import Deadline, NotYet, RealClock, wait_for
from halab.cluster import balancer
from halab.cluster.api import Credentials
from halab.config.lab import Balancer
from halab.config.probe import Question, Way
from halab.errors import HalabError, HostProblem, TunnelLost
from halab.scenario.record.lanes import TIME_LIMIT_SECONDS, time_limit_seconds
from halab.scenario.sampler.probes import (
    RATE_HERTZ,
    STATE_LIMIT_SECONDS,
    Probe,
    most_hertz,
    probes,
    state_limit_seconds,
)
from halab.topology.lab import Lab

# The process has read its order and its certificates after 0.4 s.
_START_SECONDS = 20.0
# What the process ends with when it could not write what it learned: that is a problem of this host.
NOT_WRITTEN = 74
# And when the tunnel to the lab's host has gone: what it would go on to see says nothing of the lab.
TUNNEL_LOST = 75


@dataclass(frozen=True)
class SamplerConfig:
    """What a sampler is told. `origin` is the moment of a run's start on this host's monotonic clock.

    Addresses are by machine, and reached through the SOCKS5 proxy at the socket `tunnel` where the lab is on another
    host; `statistics` is where the load balancer says what it believes of its backends. A state is asked for no
    more often than at `state_hertz`.
    """

    probes: list[Probe]
    origin: float
    samples: str
    states: str
    namespace: str
    credentials: str
    control_planes: dict[str, str]
    nodes: list[str]
    statistics: str | None
    time_limit_seconds: float = TIME_LIMIT_SECONDS
    state_limit_seconds: float = STATE_LIMIT_SECONDS
    state_hertz: float = RATE_HERTZ
    tunnel: str | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SamplerConfig:
        words = json.loads(text)
        words["probes"] = [
            Probe(**{**each, "question": Question(each["question"]), "way": Way(each["way"])})
            for each in words["probes"]
        ]
        return cls(**words)


def order(
    lab: Lab,
    credentials: Credentials,
    more: Collection[str] = (),
    *,
    origin: float,
    samples: Path,
    states: Path,
    namespace: str,
    tunnel: str | None = None,
) -> SamplerConfig:
    """What there is to sample of a lab; `more` are probes beside those that every run is watched with."""
    return SamplerConfig(
        probes=probes(lab, more),
        origin=origin,
        samples=str(samples),
        states=str(states),
        namespace=namespace,
        credentials=str(credentials.folder),
        control_planes={machine.name: str(machine.address) for machine in lab.control_planes},
        nodes=[machine.name for machine in lab.nodes],
        # open-source NGINX shows no state of its backends
        statistics=balancer.statistics_url(lab) if lab.load_balancer.kind is Balancer.HAPROXY else None,
        time_limit_seconds=time_limit_seconds(lab.is_emulated),
        state_limit_seconds=state_limit_seconds(lab),
        state_hertz=most_hertz(lab),
        tunnel=tunnel,
    )


@contextmanager
def sampling(order: SamplerConfig, log: Path) -> Iterator[Callable[[], None]]:
    """Sample while the block lasts. What it is given raises HalabError if the sampler has ended by itself.

    It begins when the sampler does, and asks at the end as well.
    """
    credentials = Credentials.in_folder(Path(order.credentials))
    for each in (credentials, credentials.of_etcd):
        each.context()
    argv = [sys.executable, "-m", "halab.scenario.sampler.process"]
    grace = order.time_limit_seconds + 5
    with process.background(argv, log=log, env=_paths(), with_input=True, grace_seconds=grace) as child:

        def require_alive() -> None:
            if child.poll() is not None:
                raise _ended(child.returncode, order, log)

        assert child.stdin is not None
        # that a child has ended already is found by who asks next
        with suppress(BrokenPipeError):
            child.stdin.write(order.to_json().encode() + b"\n")
            child.stdin.flush()
        _await_start(Path(order.states), require_alive)
        yield require_alive
        require_alive()


def _await_start(states: Path, require_alive: Callable[[], None]) -> None:
    def look() -> None:
        require_alive()
        if not states.exists():
            raise NotYet("it reads its order")

    wait_for("the sampler", look, Deadline.after(RealClock(), _START_SECONDS), every_seconds=0.02)


def _ended(code: int, order: SamplerConfig, log: Path) -> HalabError:
    if code == NOT_WRITTEN:
        folder = Path(order.samples).parent
        return HostProblem(f"the sampler could not write into {folder}", hint=f"is the disk full? see {log}")
    if code == TUNNEL_LOST:
        return TunnelLost("the tunnel to the lab's host has gone", hint=f"see {log}")
    return HalabError(f"the sampler ended with {code}", hint=f"see {log}")


def _paths() -> dict[str, str]:
    """The child finds the same halab: a checkout may not be installed."""
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
