"""Draws a live lab: a screen on terminals, one line elsewhere. Readable without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from halab.config.expectation import FactName
from halab.config.leader_roles import LEADER_ROLES
from halab.printable import printable
from halab.scenario.watch import picture
from halab.scenario.watch.live import WINDOW_SECONDS, Live, LiveChange
from halab.scenario.watch.picture import Mark, MarkKind

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from halab.topology.lab import Lab

# A mark for each level of how slow an answer was (picture.LEVEL_LIMITS).
_LEVELS = "▁▂▃▄▅▆"
# The other marks, with their styles.
_MARKS = {
    MarkKind.FAILED: ("×", "bold red"),
    MarkKind.SOME_FAILED: ("×", "yellow"),
    MarkKind.NOT_ASKED: ("·", "dim"),
    MarkKind.PENDING: (" ", "dim"),
}
_MOST_MARKS, _FEWEST_MARKS = 60, 10
# Columns beside the marks: the gaps, `fails`, `12 ms`, `100 %`.
_BESIDE_MARKS = 26
_FEWEST_CHANGES = 3


@dataclass(frozen=True)
class LiveScreen:
    """The lab on the screen. `began` is the wall-clock time at second 0 of the view."""

    lab: Lab
    began: datetime

    def clock(self, t: float) -> str:
        return f"{self.began + timedelta(seconds=t):%H:%M:%S}"


def screen(view: LiveScreen, live: Live, t: float, width: int, height: int) -> RenderableType:
    """Machines, probes, and as many of the last changes as fit."""
    from rich.console import Group
    from rich.text import Text

    lab = view.lab
    head = f"lab {lab.name}, Kubernetes {lab.release.kubernetes}, {lab.load_balancer.kind}  {view.clock(t)}"
    parts: list[RenderableType] = [
        Text(head, "bold", no_wrap=True, overflow="ellipsis"),
        Text(),
        _machines(lab, live, t),
        Text(),
        _probes(live, t, width),
    ]
    parts += [
        Text(printable(f"a fault is open: {fault}"), "bold red", no_wrap=True, overflow="ellipsis")
        for fault in live.faults
    ]
    # the title, two empty lines, an empty last line and two table headings
    used = 6 + len(lab.machines) + len(live.lanes) + len(live.faults)
    changes = live.changes(max(_FEWEST_CHANGES, height - used - 1))
    if changes:
        parts += [Text(), *(_change(view, change) for change in changes)]
    return Group(*parts)


def summary(view: LiveScreen, live: Live, t: float) -> str:
    """The whole lab in one line, with exceptions by name."""
    return f"{view.clock(t)}  " + "; ".join(_summed(view.lab, live, t))


def change_line(view: LiveScreen, change: LiveChange) -> str:
    return f"{view.clock(change.t)}  {change.text}"


def _machines(lab: Lab, live: Live, t: float) -> Table:
    table = _table("MACHINE", "POWER", "NODE", "RECORD" if lab.has_dns else "BACKEND", "LEADS")
    for machine in picture.machines(lab, live, t):
        table.add_row(
            machine.name,
            _styled(machine.power, machine.power == "running"),
            _styled(machine.node, machine.node == "ready"),
            _styled(machine.record, machine.record == "listed")
            if lab.has_dns
            else _styled(machine.backend, machine.backend == "up"),
            ", ".join(machine.leads),
        )
    return table


def _probes(live: Live, t: float, width: int) -> Table:
    longest = max((len(lane.in_words) for lane in live.lanes), default=0)
    count = max(_FEWEST_MARKS, min(_MOST_MARKS, width - longest - _BESIDE_MARKS))
    table = _table("PROBE", "", "", "FAILED", f"LAST {WINDOW_SECONDS:.0f} s")
    table.columns[2].justify = table.columns[3].justify = "right"
    for probe in picture.lanes(live, t, count):
        table.add_row(
            probe.lane.in_words,
            _styled("ok" if probe.now.ok else "fails", probe.now.ok),
            f"{probe.now.seconds * 1000:.0f} ms",
            f"{probe.failed_share:.0%}",
            _drawn(probe.marks),
        )
    return table


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    return table


def _drawn(marks: Sequence[Mark]) -> Text:
    from rich.text import Text

    drawn = Text()
    for mark in marks:
        if mark.kind is MarkKind.ANSWERED:
            drawn.append(_LEVELS[mark.level], "green")
        else:
            drawn.append(*_MARKS[mark.kind])
    return drawn


def _styled(text: str, is_good: bool) -> Text:
    from rich.text import Text

    return Text(printable(text), "green" if is_good else "bold red")


def _change(view: LiveScreen, change: LiveChange) -> Text:
    from rich.text import Text

    style = "red" if change.is_bad else "green"
    return Text.assemble(
        (f"{view.clock(change.t)}  ", "dim"),
        (printable(change.text), style),
        no_wrap=True,
        overflow="ellipsis",
    )


def _summed(lab: Lab, live: Live, t: float) -> Iterator[str]:
    yield from _exceptions(
        "running", {machine.name: live.machine(machine.name) or "?" for machine in lab.machines}
    )
    leaders = [f"{role.component} {live.state(t, role.leader) or 'unknown'}" for role in LEADER_ROLES]
    yield f"leaders: {', '.join(leaders)}"
    if lab.virtual_address:
        yield f"{lab.virtual_address} on {live.state(t, FactName.VIP_HOLDER) or 'unknown'}"
    backends = {machine.name: live.state(t, "backend", machine.name) for machine in lab.control_planes}
    known = {name: state for name, state in backends.items() if state}
    if lab.has_dns:
        records = {
            machine.name: live.state(t, FactName.DNS_RECORD, machine.name) or "unknown"
            for machine in lab.control_planes
        }
        yield from _exceptions("records in DNS", records, good="listed")
    if known:
        yield from _exceptions("backends up", known, good="up")
    if lab.load_balancer.kind.nodes_choose:
        chosen = {node.name: live.state(t, FactName.BACKEND_OF, node.name) for node in lab.nodes}
        words = [f"{node} uses {name or 'unknown'}" for node, name in chosen.items()]
        yield f"API servers of kubelets: {', '.join(words)}"
    nodes = {machine.name: picture.node(live, t, machine.name) for machine in lab.nodes}
    yield from _exceptions("nodes ready", nodes, good="ready")
    failing = [lane.in_words for lane in live.lanes if not live.now(lane).ok]
    yield f"failing: {', '.join(failing)}" if failing else f"{len(live.lanes)} probes answer"
    for fault in live.faults:
        yield f"a fault is open: {fault}"


def _exceptions(what: str, states: dict[str, str], *, good: str = "running") -> Iterator[str]:
    """`4 running`, or `3 running, cp2 off`."""
    others = [f"{name} {state}" for name, state in states.items() if state != good]
    yield ", ".join([f"{len(states) - len(others)} {what}", *others])
