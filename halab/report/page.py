"""A result as one self-contained HTML page, for someone who was not there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from halab import templates
from halab.config.lab import Balancer
from halab.config.quantities import format_duration
from halab.report import changes, narrative, wording
from halab.report.drawing import draw
from halab.scenario.record.folder import Evidence, Meta
from halab.scenario.record.lanes import Lane
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus, Result

# What the bars of a drawing mean, by their kinds; a kind that explains itself by a word on it is not here.
_KEY = {
    "ok": "answers, or is as it should be",
    "failed": "fails, with the length of the outage",
    "fault": "a fault holds",
    "changing": "being injected or healed",
    "recovering": "recovering",
    "down": "taken out, or not ready",
    "unknown": "not known",
}


@dataclass(frozen=True)
class Tile:
    """One figure that a reader should see first."""

    name: str
    value: str
    note: str
    kind: str = ""


def html(result: Result, evidence: Evidence, *, logs: Sequence[str]) -> str:
    """The page of one run. `logs` are paths relative to its folder."""
    shown = [
        each
        for each in result.outcomes
        if each.kind not in (PromiseKind.CHECK, PromiseKind.STEADY, PromiseKind.HEAL)
    ]
    # what went as it should is not worth a row: steady before, healing, a whole run
    quiet = [each for each in result.outcomes if each.kind in (PromiseKind.STEADY, PromiseKind.HEAL)]
    remarkable = [each for each in quiet if each.standing is not PromiseStatus.KEPT]
    checks = [each for each in result.outcomes if each.kind is PromiseKind.CHECK]
    pictures = draw(evidence, result)
    lanes = sorted(result.lanes, key=lambda figures: (figures.name.machine or "", str(figures.name)))
    return templates.page(
        "report.html",
        result=result,
        meta=evidence.meta,
        teaches=evidence.scenario.teaches.strip(),
        meaning=wording.VERDICTS[result.verdict],
        twin_verdict=evidence.scenario.twin.verdict if result.is_twin else None,
        tiles=list(_tiles(result, evidence)),
        pictures=pictures,
        key=[(kind, text) for kind, text in _KEY.items() if kind in pictures.main.kinds],
        promises=[*remarkable, *shown],
        checks=checks,
        failed_lanes=[lane for lane in lanes if lane.failed or lane.unsampled_seconds],
        whole_lanes=[lane for lane in lanes if not (lane.failed or lane.unsampled_seconds)],
        impacts=[impact for impact in result.impacts if impact.lane.machine is None],
        happenings=narrative.narrative(evidence),
        versions=wording.versions(evidence.meta),
        balancer=_balancer(evidence.meta),
        command=shlex.join(evidence.meta.command),
        logs=logs,
        has_states=bool(evidence.states.lanes),
        marks=wording.MARKS,
        limit=wording.limit,
        measured=wording.measured,
        duration=format_duration,
        milliseconds=wording.milliseconds,
        share=wording.share,
        started=result.started.replace("T", " at ", 1),
    )


def _tiles(result: Result, evidence: Evidence) -> Iterator[Tile]:
    expectations = [each for each in result.outcomes if each.kind is PromiseKind.EXPECTATION]
    judged = [each for each in expectations if each.standing is not PromiseStatus.LEFT_OUT]
    kept = [each for each in judged if each.standing is PromiseStatus.KEPT]
    if judged:
        unjudged = sum(each.standing is PromiseStatus.UNJUDGED for each in judged)
        note = f"{unjudged} could not be judged" if unjudged else ""
        yield Tile("expectations kept", f"{len(kept)} of {len(judged)}", note, _kind_of_all(judged))
    worst = wording.worst_for_clients(result)
    if worst:
        outage = worst.longest_outage_seconds
        note = str(worst.name) if outage else "no sample failed"
        yield Tile("longest outage for clients", format_duration(outage) if outage else "none", note)
    for change in changes.changes(evidence.history, Lane("etcd-leader")):
        if change.act and change.seconds is not None:
            note = f"{change.after} instead of {change.before}, since {change.act}"
            yield Tile("new etcd leader after", format_duration(change.seconds), note)
            break
    for outcome in result.outcomes:
        if outcome.kind is PromiseKind.RECOVERY and outcome.measured is not None:
            value = format_duration(outcome.measured)
            yield Tile(
                "steady again after", value, f"promised within {wording.limit(outcome)}", _kind(outcome)
            )
        if outcome.kind is PromiseKind.LEDGER:
            lost = {PromiseStatus.KEPT: "none", PromiseStatus.BROKEN: "some"}.get(
                outcome.standing, "unknown"
            )
            yield Tile("acknowledged writes lost", lost, outcome.seen, _kind(outcome))
    checks = [each for each in result.outcomes if each.kind is PromiseKind.CHECK]
    if checks:
        passed = sum(each.standing is PromiseStatus.KEPT for each in checks)
        note = "testinfra, on the machines"
        yield Tile("checks passed", f"{passed} of {len(checks)}", note, _kind_of_all(checks))


def _kind(outcome: PromiseOutcome) -> str:
    return {PromiseStatus.KEPT: "good", PromiseStatus.BROKEN: "bad"}.get(outcome.standing, "")


def _kind_of_all(outcomes: Sequence[PromiseOutcome]) -> str:
    kinds = {_kind(outcome) for outcome in outcomes if outcome.standing is not PromiseStatus.LEFT_OUT}
    return "bad" if "bad" in kinds else "" if "" in kinds else "good"


def _balancer(meta: Meta) -> str:
    if meta.load_balancer is Balancer.NGINX:
        return "nginx, learns of a bad backend from clients that fail"
    return f"{meta.load_balancer}, asks every backend ({meta.load_balancer_check})"
