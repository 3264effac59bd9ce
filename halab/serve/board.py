"""What the pages of one lab show, as data that can be written as JSON. Pure: no IO, no clock.

A learner's board never has what halab hides during a drill: the drill's name and seed (they may tell the cause), its
break, the machines that it hit, what the sampler saw of open tasks, right answers, hints that were not shown, the
solution, and faults. A trainer's board has them beside the learner's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from halab.config.quantities import format_duration
from halab.config.step import Inject
from halab.drill import briefing
from halab.drill.briefing import FillText
from halab.drill.play import View
from halab.printable import printable
from halab.scenario.watch import picture
from halab.scenario.watch.live import Live
from halab.scenario.watch.picture import LaneNow, Mark, MarkKind
from halab.topology.lab import Lab

# How far the probes are shown back, and in how many marks: one for two seconds.
WINDOW_SECONDS = 300.0
MARKS = 150
_CHANGES = 8
# One character for each mark: a level, or one of these.
_CHARACTERS = {
    MarkKind.FAILED: "x",
    MarkKind.SOME_FAILED: "~",
    MarkKind.NOT_ASKED: ".",
    MarkKind.PENDING: " ",
}

Board = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """A lab that is watched: at second `t` of a view that began at `began`."""

    lab: Lab
    live: Live
    t: float
    began: datetime


def live_board(seen: Seen) -> Board:
    """The lab as it is: what `halab watch` shows."""
    lab, live, t = seen.lab, seen.live, seen.t
    lanes = picture.lanes(live, t, MARKS)
    status, headline = _headline(lanes)
    return {
        "status": status,
        "headline": headline,
        "minutes": round(WINDOW_SECONDS / 60),
        "machines": [
            {"name": machine.name, "power": machine.power, "node": machine.node, "backend": machine.backend,
             "record": machine.record, "leads": list(machine.leads)}
            for machine in picture.machines(lab, live, t)
        ],
        "lanes": [
            {"name": lane.lane.name, "machine": lane.lane.machine, "ok": lane.now.ok,
             "for_seconds": round(max(0.0, t - lane.now.since)), "milliseconds": round(lane.now.seconds * 1000),
             "failed_share": round(lane.failed_share, 3), "detail": "" if lane.now.ok else lane.now.detail,
             "marks": "".join(map(_character, lane.marks))}
            for lane in lanes
        ],
        "changes": [
            {"time": f"{seen.began + timedelta(seconds=change.t):%H:%M:%S}", "text": change.text,
             "is_bad": change.is_bad}
            for change in reversed(live.changes(_CHANGES))
        ],
        "faults": list(live.faults),
    }  # fmt: skip


def _headline(lanes: Sequence[LaneNow]) -> tuple[str, str]:
    """The status of the lab for clients (`good`, `bad`, `odd`, `unknown`), and the same in words."""
    of_clients = [lane for lane in lanes if lane.lane.machine is None]
    if not of_clients:
        return "unknown", "No probe has answered yet"
    failing = [lane for lane in of_clients if not lane.now.ok]
    if failing:
        return "bad", "Client requests fail"
    elsewhere = [lane.lane.machine or "" for lane in lanes if not lane.now.ok]
    if elsewhere:
        return "odd", f"Clients are served; probes fail on {', '.join(dict.fromkeys(elsewhere))}"
    return "good", "Clients are served"


def _character(mark: Mark) -> str:
    return _CHARACTERS.get(mark.kind, str(mark.level))


def drill_board(view: View, fill: FillText) -> Board:
    """An attempt as its learner may see it. The debrief is there when it has ended."""
    drill, attempt = view.drill, view.attempt
    data = briefing.as_data(view, fill)
    # the name of a user's own drill may reveal the cause, and so may values that the seed picks
    del data["drill"], data["seed"]
    for task, result in zip(data["tasks"], view.grade.tasks, strict=True):
        task["note"] = printable(briefing.note(view, result))
    data |= {
        "difficulty": str(drill.difficulty),
        "about": format_duration(drill.estimated_time),
        "needed": sorted({name for task in drill.tasks.values() for name in task.needs}),
        "checks": attempt.checks,
        "hints_shown": len(view.hints),
        "is_complete": view.grade.is_complete,
        "is_over": view.outcome is not None,
    }
    if view.outcome:
        data |= {
            "verdict_in_words": briefing.VERDICTS[data["verdict"]],
            "ending_in_words": briefing.ENDINGS[str(view.outcome.ending)],
            "times": briefing.times(view.outcome),
            "held": dict(sorted(view.outcome.held.items(), key=lambda item: item[1])),
        }
    return data


def hidden_board(view: View, fill: FillText) -> Board:
    """What a learner must not know of an attempt."""
    attempt = view.attempt
    return {
        "drill": attempt.drill,
        "seed": attempt.seed,
        "broken": [
            {"fault": step.fault, "machines": attempt.chosen.get(step.name, []),
             "options": ", ".join(f"{name}={value}" for name, value in step.arguments.items())}
            for step in view.drill.breaks
            if isinstance(step, Inject)
        ],
        "tasks": [
            {"name": task.name, "state": str(task.state), "seen": printable(task.seen), "points": task.points}
            for task in view.grade.tasks
        ],
        "answers": briefing.answers(view),
        "given": {name: list(answers) for name, answers in attempt.answers.items()},
        "hints": [
            {"text": fill(hint.text), "cost": hint.cost,
             "free_after": format_duration(hint.after) if hint.after is not None else None}
            for hint in view.drill.hints
        ],
        "solution": [
            {"machines": machines, "script": script} for machines, script in briefing.scripts(view, fill)
        ],
        "debrief": fill(view.drill.debrief),
    }  # fmt: skip
