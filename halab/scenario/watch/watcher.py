"""Watching a lab from beside it: a sampler of our own, power states and open faults. Holds no lock, changes nothing."""

from __future__ import annotations

import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from halab.cluster.api import Api
from halab.config.probe import Question
from halab.errors import HalabError
from halab.faults.journal import Journal
from halab.lifecycle import access, providers
from halab.lifecycle.lab import LabDir
from halab.machines.power import Power
from halab.scenario.record.timeline import SampleReader, StateReader
from halab.scenario.run import ledger
from halab.scenario.sampler import launcher
from halab.scenario.sampler.probes import Probe
from halab.scenario.watch.live import Live
from halab.topology.lab import Lab

# The engine is asked so often for every machine; it answers in some 10 ms.
_POWER_SECONDS = 1.0
# There on every cluster: what is read where nothing is written.
_READ_NAMESPACE = "kube-system"

# Brings a live view up to date.
Refresh = Callable[[Live], None]


@contextmanager
def watching(place: LabDir, lab: Lab, origin: float, *, writes: bool = False) -> Iterator[Refresh]:
    """Sample while the block lasts. Times count from `origin`, a moment of this host's monotonic clock.

    Unless `writes` are asked for, nothing is written to the cluster; those go into a namespace that is removed.
    """
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="halab-watch-")))
        namespace = undo.enter_context(_namespace(access.api(place, lab))) if writes else _READ_NAMESPACE
        there = access.tunnel_of(place)
        order = launcher.order(
            lab,
            access.credentials(place),
            origin=origin,
            samples=folder / "samples.jsonl",
            states=folder / "states.jsonl",
            namespace=namespace,
            tunnel=there.socket if there else None,
        )
        order = replace(
            order, probes=[_rarer(each) for each in order.probes if writes or not needs_writes(each)]
        )
        require_alive = undo.enter_context(launcher.sampling(order, folder / "sampler.log"))
        powers = undo.enter_context(_asked(providers.machines(place, lab).power(), lab))
        samples, states = SampleReader(Path(order.samples)), StateReader(Path(order.states))
        journal = Journal(place.work.journal)

        def refresh(live: Live) -> None:
            require_alive()
            live.add_samples(samples.new())
            live.add_readings(states.new())
            t = time.monotonic() - origin
            live.see_machines(t, powers.states)
            live.see_faults(t, [str(entry) for entry in journal.open_faults()])

        yield refresh


def needs_writes(probe: Probe) -> bool:
    """Whether a probe writes, or watches what others write."""
    return probe.question in (Question.WRITE, Question.EVENTS)


def _rarer(probe: Probe) -> Probe:
    """For an eye, half as often is enough: a run beside it wants the processors for itself."""
    return replace(probe, rate_hertz=probe.rate_hertz / 2)


@dataclass
class Powers:
    """The power states as they were told last; empty until the engine has answered."""

    states: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def _asked(power: Power, lab: Lab) -> Iterator[Powers]:
    """Ask for power states in a thread of its own: an engine that is slow does not hold up the view."""
    found, ended = Powers(), threading.Event()

    def ask() -> None:
        while not ended.is_set():
            found.states = {machine.name: _state(power, machine.name) for machine in lab.machines}
            ended.wait(_POWER_SECONDS)

    threading.Thread(target=ask, daemon=True).start()
    try:
        yield found
    finally:
        ended.set()


def _state(power: Power, machine: str) -> str:
    try:
        return str(power.state(machine))
    except HalabError:
        return "unknown"


@contextmanager
def _namespace(api: Api) -> Iterator[str]:
    name = f"halab-watch-{uuid.uuid4().hex[:8]}"
    try:
        ledger.open_namespace(api, name)
        try:
            yield name
        finally:
            # a lab that does not answer keeps it, and loses it with `down`
            with suppress(HalabError):
                ledger.close_namespace(api, name)
    finally:
        api.close()
