"""A built run with everything on its page: leaders, backends, nodes, an alarm, and dozens of lanes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from halab.config.probe import ProbeName
from halab.scenario.record.events import StateReading
from halab.scenario.record.folder import Evidence, MachineNote
from halab.scenario.record.states import States
from support.run_builder import META, MadeRun, samples, with_values

MACHINES = ("cp1", "cp2", "cp3", "cp4", "cp5")
THROUGH = tuple(str(probe) for probe in ProbeName if not probe.is_direct)
DIRECT = tuple(str(probe) for probe in ProbeName if probe.is_direct)
# In the power cut, these fail as well as everything that is asked of cp2.
_OUT = {
    "write-via-lb": [(5.6, 7.2)],
    "read-kept-via-lb": [(5.6, 8.6)],
    "quiet-watch-via-lb": [(5.6, 5.8)],
}
QUIET_DIRECT = len(DIRECT) * (len(MACHINES) - 1)
QUIET_PROBES = QUIET_DIRECT + len(THROUGH) - len(_OUT)
# The backends and nodes of the other machines.
QUIET_STATES = 2 * (len(MACHINES) - 1)

# cp2 is switched off at 5.51 s, while it leads everything, and gets its power back 13 s later.
POWER_CUT = """
title: The machine of every leader loses its power
teaches: The others elect new leaders and carry on; the load balancer takes the dead machine out at once.
needs: {control_planes: 3}
steps:
  - inject: hold-static-pod
    name: power-cut
    on: any-cp
    with: {pod: kube-apiserver}
  - expect: {probe: ready-direct, on: power-cut, fails: within 10s}
  - wait: 10s
  - heal: power-cut
  - expect: {probe: write-via-lb, longest_outage: 5s, during: power-cut}
recover: {steady: within 90s}
twin: {replace: {power-cut: nothing}}
"""


def readings(
    state: str,
    machine: str | None,
    values: Sequence[tuple[float, str | None]],
    *,
    end: float,
    hertz: float = 5.0,
) -> list[StateReading]:
    """Readings at a fixed rate. `values` says from when on which is read."""
    made = []
    for number in range(round((end - 0.6) * hertz)):
        t = round(0.6 + number / hertz, 4)
        value = next(value for start, value in reversed(values) if start <= t)
        made.append(StateReading(t, 0.01, state, machine, value, "" if value else "no leader"))
    return made


def power_cut(machines: Sequence[str] = MACHINES, *, end: float = 31.0) -> Evidence:
    """The evidence of such a run, with 3 × machines + 3 states and all probes."""
    notes = tuple(MachineNote(name, "cp", f"10.213.7.1{number}") for number, name in enumerate(machines, 1))
    meta = replace(META, machines=(META.machines[0], *notes), scenario="power-cut")
    probes = [
        each for probe in THROUGH for each in samples(probe, start=0.6, end=end, out=_OUT.get(probe, ()))
    ]
    for name in machines:
        gone = [(5.6, 22.0)] if name == "cp2" else []
        probes += [each for probe in DIRECT for each in samples(probe, name, start=0.6, end=end, out=gone)]
    made = MadeRun(text=POWER_CUT, meta=meta, changed_samples=lambda _: probes).evidence()
    records = [replace(each, what=with_values(each.what, fault="cut-power")) for each in made.records]
    return replace(made, records=records, states=States(_states(machines, end)))


def _states(machines: Sequence[str], end: float) -> Iterable[StateReading]:
    yield from readings("etcd-leader", None, [(0, "cp2"), (5.6, None), (6.8, "cp3")], end=end)
    yield from readings("kcm-leader", None, [(0, "cp2"), (9.4, None), (12.2, "cp1")], end=end)
    yield from readings("scheduler-leader", None, [(0, "cp2"), (21.0, "cp1")], end=end)
    yield from readings("etcd-term", None, [(0, "4"), (6.8, "5")], end=end)
    for name in machines:
        hit = name == "cp2"
        backend = [(0, "up"), (7.6, "down"), (24.4, "up")] if hit else [(0, "up")]
        node = [(0, "true"), (16.0, "unknown"), (25.0, "true")] if hit else [(0, "true")]
        alarm = [(0, "none"), (5.6, None), (23.0, "none")] if hit else [(0, "none")]
        yield from readings("backend", name, backend, end=end)
        yield from readings("node-ready", name, node, end=end, hertz=2)
        yield from readings("etcd-alarm", name, alarm, end=end)
