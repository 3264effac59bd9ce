"""The sampler: probes at a fixed rate from outside the cluster, in its own process.

This is halab's side: it configures and starts the process (sampler/process.py) and checks that it runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from halab import packages, process
from halab.clock import Deadline, NotYet, RealClock, wait_for
from halab.cluster import balancer
from halab.cluster.api import Credentials
from halab.cluster.names import NameServer, name_server
from halab.config.probe import Question, Way
from halab.config.probe_options import DEFAULT_OPTIONS, ProbeOptions
from halab.errors import HalabError, HostProblem, TunnelLost
from halab.scenario.record.lanes import TIME_LIMIT_SECONDS, time_limit_seconds
from halab.scenario.sampler.probes import (
    RATE_HERTZ,
    STATE_LIMIT_SECONDS,
    Objects,
    Probe,
    most_hertz,
    probes,
    state_limit_seconds,
)
from halab.topology.lab import Lab

# The process has read its configuration and its certificates after 0.4 s. On two cores with three labs and tests, 20 s
# were not enough.
_START_SECONDS = 60.0
# The exit code of the process if it cannot write its files: a problem of this host.
NOT_WRITTEN = 74
# Its exit code if the tunnel to the lab's host is lost: later samples would say nothing about the lab.
TUNNEL_LOST = 75
_COMMAND = [sys.executable, "-m", "halab.scenario.sampler.process"]


@dataclass(frozen=True)
class SamplerConfig:
    """What a sampler asks, and where it writes. `origin` is the start of the run on this host's monotonic clock.

    `control_planes` and `members` (the machines with etcd) map machines to addresses, `nodes` to host names. If the lab
    is on a remote host, they are reached through the SOCKS5 proxy at the socket `tunnel`. `statistics` is the URL where
    HAProxy shows the state of its backends. No state is read more often than at `state_hertz`. `named_states` are the
    facts and systemd units that are read in addition to those of every run; some of them are read over SSH. Writes are
    numbered from `first_write` on: a namespace may have writes of an earlier sampler. One of `address_machines` has the
    `virtual_address`. The host of the probes through the load balancer may be a name: it has the `api_addresses`.
    With DNS, clients ask the `name_server` for them. Without `reads_states`, the sampler only asks probes. A sampler
    with `operations` also reads and writes keys of etcd, and records that in this file. One with a `permit` runs in the
    background, until that file is gone, but at most a day.
    """

    probes: list[Probe]
    origin: float
    samples: str
    states: str
    namespace: str
    credentials: str
    control_planes: dict[str, str]
    nodes: dict[str, str]
    statistics: str | None
    time_limit_seconds: float = TIME_LIMIT_SECONDS
    state_limit_seconds: float = STATE_LIMIT_SECONDS
    state_hertz: float = RATE_HERTZ
    tunnel: str | None = None
    ssh_config: str = ""
    members: dict[str, str] = field(default_factory=dict)
    machines: list[str] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)
    address_machines: list[str] = field(default_factory=list)
    virtual_address: str | None = None
    api_addresses: list[str] = field(default_factory=list)
    name_server: NameServer | None = None
    named_states: list[str] = field(default_factory=list)
    objects: Objects = Objects()
    first_write: int = 1
    reads_states: bool = True
    operations: str | None = None
    permit: str | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SamplerConfig:
        values = json.loads(text)
        values["probes"] = [
            Probe(**{**probe, "question": Question(probe["question"]), "way": Way(probe["way"])})
            for probe in values["probes"]
        ]
        values["objects"] = Objects(**values["objects"])
        values["name_server"] = values["name_server"] and NameServer(**values["name_server"])
        return cls(**values)


def sampler_config(
    lab: Lab,
    credentials: Credentials,
    extra: Collection[str] = (),
    *,
    origin: float,
    samples: Path,
    states: Path,
    namespace: str,
    ssh_config: Path,
    named_states: Collection[str] = (),
    objects: Objects | None = None,
    options: ProbeOptions = DEFAULT_OPTIONS,
    tunnel: str | None = None,
    first_write: int = 1,
    operations: Path | None = None,
) -> SamplerConfig:
    """The configuration for a lab; `extra` are probes in addition to those of every run."""
    return SamplerConfig(
        probes=probes(lab, extra, options),
        origin=origin,
        samples=str(samples),
        states=str(states),
        namespace=namespace,
        credentials=str(credentials.folder),
        control_planes={machine.name: str(machine.address) for machine in lab.control_planes},
        members={machine.name: str(machine.address) for machine in lab.members},
        nodes={machine.name: machine.hostname for machine in lab.nodes},
        statistics=balancer.statistics_url(lab) if lab.load_balancer.kind.has_one_view else None,
        time_limit_seconds=time_limit_seconds(lab.is_emulated),
        state_limit_seconds=state_limit_seconds(lab),
        state_hertz=most_hertz(lab),
        tunnel=tunnel,
        ssh_config=str(ssh_config),
        machines=[machine.name for machine in lab.machines],
        workers=[machine.name for machine in lab.workers],
        address_machines=[machine.name for machine in lab.address_machines],
        virtual_address=str(lab.virtual_address) if lab.virtual_address else None,
        api_addresses=[str(address) for address in lab.api_addresses] if lab.has_several_addresses else [],
        name_server=name_server(lab, tunnel),
        named_states=sorted(named_states),
        objects=objects or Objects(),
        first_write=first_write,
        operations=str(operations) if operations else None,
    )


@contextmanager
def sampling(config: SamplerConfig, log: Path) -> Iterator[Callable[[], None]]:
    """Run the sampler during the block. The block gets a function that raises HalabError if the sampler has died.

    The block begins when the sampler has started. The function is also called after the block.
    """
    credentials = Credentials.in_folder(Path(config.credentials))
    for certificates in (credentials, credentials.of_etcd):
        certificates.context()
    grace = max([config.time_limit_seconds, *(probe.limit_seconds or 0.0 for probe in config.probes)]) + 5
    with process.background(
        _COMMAND, log=log, env=process.same_modules(), with_input=True, grace_seconds=grace
    ) as child:

        def require_alive() -> None:
            if child.poll() is not None:
                raise _ended(child.returncode, config, log)

        assert child.stdin is not None
        # if the child has already ended, require_alive reports it
        with suppress(BrokenPipeError):
            child.stdin.write(config.to_json().encode() + b"\n")
            child.stdin.flush()
        _await_start(Path(config.states), require_alive)
        yield require_alive
        require_alive()


def start_in_background(config: SamplerConfig, log: Path) -> None:
    """Start a sampler that outlives this process: it ends with its permit. Raises HalabError if it cannot start.

    If another process holds the permit, the new one ends at once.
    """
    assert config.permit is not None
    # setsid ends as soon as it has started the sampler, which then belongs to no command
    setsid = process.find("setsid", hint=packages.install("util-linux"))
    process.run(
        [setsid, "--fork", *_COMMAND],
        input=config.to_json() + "\n", log=log, env=process.same_modules(), timeout_seconds=_START_SECONDS,
    )  # fmt: skip


def _await_start(states: Path, require_alive: Callable[[], None]) -> None:
    def look() -> None:
        require_alive()
        if not states.exists():
            raise NotYet("it is reading its configuration")

    wait_for("the sampler", look, Deadline.after(RealClock(), _START_SECONDS), every_seconds=0.02)


def _ended(code: int, config: SamplerConfig, log: Path) -> HalabError:
    if code == NOT_WRITTEN:
        folder = Path(config.samples).parent
        return HostProblem(
            f"the sampler could not write into {folder}",
            hint=f"check whether the disk is full, and see {log}",
        )
    if code == TUNNEL_LOST:
        return TunnelLost("the tunnel to the lab's host is lost", hint=f"see {log}")
    return HalabError(f"the sampler exited with code {code}", hint=f"see {log}")
