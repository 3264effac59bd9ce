"""Watch a lab with a separate sampler, its power states and open faults. Holds no lock and changes nothing."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from halab import files
from halab.clock import RealClock
from halab.cluster.api import Api
from halab.config.expectation import FactName
from halab.config.probe import ProbeName
from halab.config.probe_options import ListOptions
from halab.errors import BadUsage, HalabError
from halab.faults.journal import Journal
from halab.lifecycle import access, providers
from halab.lifecycle.lab import LabDir
from halab.machines.power import Power
from halab.progress import Quiet
from halab.scenario.record.timeline import SampleReader, StateReader
from halab.scenario.run import ledger, probe_objects
from halab.scenario.sampler import launcher
from halab.scenario.sampler.probes import Objects, Probe
from halab.scenario.watch.live import Live
from halab.topology.lab import Lab

# How often the provider is asked for the power states; it answers in about 10 ms.
_POWER_SECONDS = 1.0
# Exists on every cluster: read probes use it if nothing is written.
_READ_NAMESPACE = "kube-system"

# Updates a live view.
Refresh = Callable[[Live], None]


@contextmanager
def watching(
    lab_dir: LabDir,
    lab: Lab,
    origin: float,
    *,
    writes: bool = False,
    extra: Collection[ProbeName] = (),
) -> Iterator[Refresh]:
    """Sample during the block. Times count from `origin`, a moment of this host's monotonic clock.

    With `writes`, probes also write, into a namespace that is removed at the end; else nothing is written.
    `extra` are probes in addition to those of every run; BadUsage if one of them writes, and `writes` is off.
    """
    for name in extra:
        traits = name.question.traits
        if not writes and (traits.needs_objects or traits.needs_writes):
            raise BadUsage(f"{name} needs objects in the cluster", hint="add --writes")
    with ExitStack() as undo:
        folder = undo.enter_context(files.scratch("halab-view-"))
        namespace, objects = _READ_NAMESPACE, Objects()
        if writes:
            api = undo.enter_context(access.api(lab_dir, lab))
            namespace = undo.enter_context(_namespace(api))
            objects = _objects(api, lab, extra, undo)
        there = access.tunnel_of(lab_dir)
        config = launcher.sampler_config(
            lab,
            access.credentials(lab_dir),
            extra,
            objects=objects,
            origin=origin,
            samples=folder / "samples.jsonl",
            states=folder / "states.jsonl",
            namespace=namespace,
            ssh_config=lab_dir.work.ssh_config,
            named_states=[FactName.BACKEND_OF] if lab.load_balancer.kind.nodes_choose else [],
            tunnel=there.socket if there else None,
        )
        probes = [_slower(probe) for probe in config.probes if writes or not needs_writes(probe)]
        config = replace(config, probes=probes)
        require_alive = undo.enter_context(launcher.sampling(config, folder / "sampler.log"))
        powers = undo.enter_context(_polled(providers.machines(lab_dir, lab).power(), lab))
        samples, states = SampleReader(Path(config.samples)), StateReader(Path(config.states))
        journal = Journal(lab_dir.work.journal)

        def refresh(live: Live) -> None:
            require_alive()
            live.add_samples(samples.new())
            live.add_readings(states.new())
            t = time.monotonic() - origin
            live.see_machines(t, powers.states)
            open_faults = [] if lab_dir.work.hides_faults else journal.open_faults()
            live.see_faults(t, [str(entry) for entry in open_faults])

        yield refresh


def needs_writes(probe: Probe) -> bool:
    """True if a probe writes, or watches the writes of others."""
    return probe.question.traits.needs_writes


def _slower(probe: Probe) -> Probe:
    """At half the rate, which is enough for a person and leaves the processors to a run."""
    return replace(probe, rate_hertz=probe.rate_hertz / 2)


@dataclass
class Powers:
    """The last known power states, by machine; empty until the provider has answered."""

    states: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def _polled(power: Power, lab: Lab) -> Iterator[Powers]:
    """Ask for power states in a separate thread, so that a slow provider does not block the view."""
    powers, ended = Powers(), threading.Event()

    def ask() -> None:
        while not ended.is_set():
            powers.states = {machine.name: _state(power, machine.name) for machine in lab.machines}
            ended.wait(_POWER_SECONDS)

    threading.Thread(target=ask, daemon=True).start()
    try:
        yield powers
    finally:
        ended.set()


def _state(power: Power, machine: str) -> str:
    try:
        return str(power.state(machine))
    except HalabError:
        return "unknown"


def _objects(api: Api, lab: Lab, extra: Collection[ProbeName], undo: ExitStack) -> Objects:
    """What the extra probes need in the cluster, until the view ends."""
    probes = probe_objects.needed(extra)
    if not probes:
        return Objects()
    namespace = undo.enter_context(_namespace(api))
    return probe_objects.make(
        api, lab, namespace, probes, ListOptions(), clock=RealClock(), progress=Quiet()
    )


@contextmanager
def _namespace(api: Api) -> Iterator[str]:
    name = f"{probe_objects.WATCH_PREFIX}{uuid.uuid4().hex[:8]}"
    ledger.open_namespace(api, name)
    try:
        yield name
    finally:
        # if the lab does not answer, the namespace stays until `down`
        with suppress(HalabError):
            ledger.close_namespace(api, name)
