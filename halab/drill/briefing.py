"""What the learner of an attempt may know of it, as data and in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from halab.config.quantities import format_duration
from halab.printable import counted

if TYPE_CHECKING:
    # lists and histories need no running attempt, and not what it imports
    from halab.drill.attempt import ClientsSaw, Outcome
    from halab.drill.grade import TaskResult
    from halab.drill.play import View

IN_WORDS = {
    "done": "done",
    "not-yet": "not yet",
    "unchecked": "could not be checked",
    "waiting": "waiting",
    "closed": "closed",
}
ENDINGS = {
    "complete": "all tasks are done or have no tries left",
    "final": "ended before all tasks were done",
    "time": "the time limit has passed",
    "gave-up": "given up",
    "violation": "something happened that must not happen",
    "reset": "ended without a grade",
}
VIOLATIONS = {
    "lost-write": "A write that the API has acknowledged is lost.",
    "new-cluster": "The cluster is set up again, or etcd begins without its data.",
    "reset-node": "A control plane is reset (`kubeadm reset`) and joins again.",
}
VERDICTS = {"pass": "passed", "fail": "failed", "error": "could not be graded", None: "not graded"}

_MOST_OUTAGES = 3
_ITEM = re.compile(r"^(?:-|\d+\.) ", re.MULTILINE)

# Replaces the placeholders in a text of the drill with machines.
FillText = Callable[[str], str]


def as_data(view: View, fill: FillText) -> dict[str, Any]:
    """The attempt for programs; `verdict` and `ending` are null while it goes on."""
    drill, attempt, outcome = view.drill, view.attempt, view.outcome
    data: dict[str, Any] = {
        "drill": attempt.drill,
        "title": fill(drill.title),
        "seed": attempt.seed,
        "situation": fill(drill.initial_situation),
        "objective": fill(drill.objective),
        "seconds": round(view.seconds, 1),
        "time_limit_seconds": drill.time_limit,
        "tasks": [
            {"name": task.name, "text": fill(task.text), "points": task.points, "state": str(task.state),
             "is_question": task.name in drill.questions, "seen": _seen(view, task)}
            for task in view.grade.tasks
        ],
        "must_not_happen": [
            {"name": str(name), "text": VIOLATIONS[name], "state": str(sighting.state), "seen": sighting.seen}
            for name, sighting in view.grade.violations.items()
        ],
        "hints": [{"text": fill(hint.text), "cost": hint.cost} for hint in view.hints],
        "hints_left": len(drill.hints) - len(view.hints),
        "next_hint": _next_hint(view),
        "points": view.grade.points,
        "cost": view.grade.cost,
        "total": view.grade.total,
        "score": view.grade.score,
        "passing_score": drill.passing_score,
        "verdict": str(outcome.verdict) if outcome and outcome.verdict else None,
        "ending": str(outcome.ending) if outcome else None,
    }  # fmt: skip
    if outcome:
        data["debrief"] = fill(drill.debrief)
        data["detected_seconds"] = outcome.detected_seconds
        data["repaired_seconds"] = outcome.repaired_seconds
        data["timeline"] = [asdict(moment) for moment in outcome.timeline]
        data["clients"] = {
            name: {**asdict(saw), "in_words": clients_in_words(saw)} for name, saw in outcome.clients.items()
        }
    return data


def _next_hint(view: View) -> dict[str, Any] | None:
    """The cost of the next hint, and when it is free. `cost` is null if it cannot be bought before that."""
    following = view.next_hint
    if following is None:
        return None
    return {"cost": following.price(0), "free_after_seconds": following.after}


def next_hint_in_words(view: View) -> str:
    """`the next one costs 5 points, and is free after 10m`; empty if there is none."""
    following = view.next_hint
    if following is None:
        return ""
    price = following.price(view.seconds)
    free = f"after {format_duration(following.after)}" if following.after is not None else ""
    if price is None:
        return f"the next one comes {free}"
    if not price:
        return "the next one is free"
    return f"the next one costs {counted(price, 'point')}{f', and is free {free}' if free else ''}"


def times(outcome: Outcome) -> list[tuple[str, float]]:
    """What a check or an answer has shown, in words, and its seconds since the start; what is known of it."""
    known = {
        "first progress seen": outcome.detected_seconds,
        "all repairs seen": outcome.repaired_seconds,
    }
    return [(what, seconds) for what, seconds in known.items() if seconds is not None]


def note(view: View, task: TaskResult) -> str:
    """The state of a task in words, and what was seen."""
    if task.state == "done" or not view.attempt.checks and task.state == "not-yet" and not task.seen:
        return ""
    shown = _seen(view, task)
    return f"{IN_WORDS[task.state]}: {shown}" if shown else IN_WORDS[task.state]


def clients_in_words(saw: ClientsSaw) -> str:
    """`12 of 400 requests failed, from 0s to 3m5s`."""
    if not saw.failed:
        text = f"all {saw.asked} requests were answered"
    else:
        periods = [
            f"from {format_duration(round(start))} to {format_duration(round(end))}"
            for start, end in saw.outages
        ]
        shown = ", ".join(periods[:_MOST_OUTAGES]) + (" …" if len(periods) > _MOST_OUTAGES else "")
        text = f"{saw.failed} of {saw.asked} requests failed, {shown}"
    unknown = sum(end - start for start, end in saw.unknown)
    return f"{text}; nothing was recorded for {format_duration(round(unknown))}" if unknown else text


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The paragraphs of a text as (`prose`, text), its lists as (`list`, lines), its indented lines as (`code`, lines).

    Lists with numbers are (`steps`, lines). Each item of a list is one line, without its dash or number.
    """
    lines = text.strip("\n").splitlines()
    for is_code, group in groupby(lines, key=lambda line: line.startswith("    ") and bool(line.strip())):
        if is_code:
            yield "code", "\n".join(line[4:] for line in group)
            continue
        for paragraph in "\n".join(group).split("\n\n"):
            prose, *items = (" ".join(part.split()) for part in _ITEM.split(paragraph))
            if prose:
                yield "prose", prose
            if items:
                is_numbered = re.search(r"^\d+\. ", paragraph, re.MULTILINE)
                yield "steps" if is_numbered else "list", "\n".join(items)


def answers(view: View) -> dict[str, str]:
    """The right answers, by task. Only for somebody who may know the solution."""
    return {name: " or ".join(task.answer or ()) for name, task in view.drill.questions.items()}


def scripts(view: View, fill: FillText) -> list[tuple[str, str]]:
    """The machines and the scripts of the solution. Only for somebody who may know it."""
    return [
        (", ".join(view.attempt.chosen.get(act.on, [act.on])), fill(act.run)) for act in view.drill.solve
    ]


def _seen(view: View, task: TaskResult) -> str:
    """What was seen of a task. What the sampler saw names machines: it is shown when the attempt has ended."""
    is_sampled = view.drill.tasks[task.name].expect is not None
    return "" if is_sampled and task.state == "not-yet" and view.outcome is None else task.seen
