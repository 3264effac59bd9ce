"""Promises about a join: it succeeds, fails or ends within a limit, and says something."""

from __future__ import annotations

from halab.config.quantities import format_duration
from halab.config.step import Join, JoinEnding
from halab.printable import brief_line
from halab.scenario.record.events import JoinEnded
from halab.scenario.record.history import History
from halab.scenario.verdict.judgement import Figure, Judgement, JudgementState, Unit, combine


def evaluate(history: History, index: int) -> Judgement:
    """Judge the join of a step by how it ended on every machine of its fault."""
    step = history.scenario.steps[index]
    assert isinstance(step, Join)
    machines = history.machines_of(step.fault)
    if not machines:
        return Judgement(JudgementState.OPEN, f"{step.fault} was not injected")
    return combine([_on(history, index, step, machine) for machine in machines])


def _on(history: History, index: int, step: Join, machine: str) -> Judgement:
    ends = [(t, end) for t, end in history.events(JoinEnded) if (end.index, end.machine) == (index, machine)]
    if not ends:
        seen = f"no join ended on {machine}: the machine was in the cluster already, or the run ended before"
        return Judgement(JudgementState.OPEN, seen)
    t, end = ends[-1]
    limit = step.limit_seconds * history.patience
    figures = (Figure("ended after", Unit.SECONDS, end.seconds, limit),)
    wrong = difference(step, end, limit)
    if wrong:
        return Judgement(JudgementState.BROKEN, f"{end.in_words}{wrong}", t, figures=figures)
    line = next((line for line in end.output if step.says and step.says in line), end.reason)
    said = f": {brief_line(line)}" if step.says or end.code else ""
    return Judgement(JudgementState.MET, f"{end.in_words}{said}", t, figures=figures)


def difference(step: Join, end: JoinEnded, limit: float) -> str:
    """What is not as promised, as the rest of a sentence; empty if everything is. The join may take `limit` seconds."""
    reason = f": {brief_line(end.reason or 'no output')}"
    if end.code is None:
        return reason
    if end.seconds > limit:
        return f", but {format_duration(limit)} was promised"
    if step.ending is JoinEnding.OK and end.code != 0:
        return reason
    if step.ending is JoinEnding.FAILS and end.code == 0:
        return ", but should have failed"
    if step.says and not any(step.says in line for line in end.output):
        return f' and did not say "{step.says}"{reason}'
    return ""
