"""A result as one self-contained HTML page, for someone who was not there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from halab.config.lab import Balancer
from halab.config.quantities import spelled, spelled_share
from halab.config.scenario import Verdict
from halab.report.drawing import draw
from halab.scenario import events
from halab.scenario.folder import Evidence, Meta
from halab.scenario.result import Kind, Lane, Outcome, Result, Standing
from halab.topology import render

VERDICTS = {
    Verdict.PASS: "Every promise was kept.",
    Verdict.FAIL: "A promise was broken.",
    Verdict.ERROR: "Nothing can be concluded: something that had to be judged was not.",
    Verdict.SKIP: "This lab cannot do it.",
}
MARKS = {
    Standing.KEPT: "✓",
    Standing.BROKEN: "✗",
    Standing.UNJUDGED: "?",
    Standing.LEFT_OUT: "–",
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
    shown = [each for each in result.outcomes if each.kind not in (Kind.CHECK, Kind.STEADY, Kind.HEAL)]
    # what went as it should is not worth a row: steady before, healing, a whole run
    quiet = [each for each in result.outcomes if each.kind in (Kind.STEADY, Kind.HEAL)]
    remarkable = [each for each in quiet if each.standing is not Standing.KEPT]
    return render.page(
        "report.html",
        result=result,
        meta=evidence.meta,
        teaches=evidence.scenario.teaches.strip(),
        meaning=VERDICTS[result.verdict],
        tiles=list(_tiles(result)),
        drawing=draw(evidence, result),
        promises=[*remarkable, *shown],
        checks=[each for each in result.outcomes if each.kind is Kind.CHECK],
        lanes=result.lanes,
        happenings=list(_happenings(evidence)),
        versions=_versions(evidence.meta),
        balancer=_balancer(evidence.meta),
        command=shlex.join(evidence.meta.command),
        logs=logs,
        marks=MARKS,
        limit=limit,
        measured=measured,
        duration=spelled,
        milliseconds=milliseconds,
        share=share,
        started=result.started.replace("T", " at ", 1),
    )


def limit(outcome: Outcome) -> str:
    """The bound of a promise; with patience both figures."""
    if outcome.limit_seconds is None:
        return ""
    written = spelled(outcome.limit_seconds)
    if outcome.patient_seconds is None or outcome.patient_seconds == outcome.limit_seconds:
        return written
    return f"{written} (with patience {spelled(outcome.patient_seconds)})"


def measured(outcome: Outcome) -> str:
    if outcome.measured is None:
        return ""
    return (
        spelled(outcome.measured) if outcome.limit_seconds is not None else spelled_share(outcome.measured)
    )


def milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f}ms"


def share(lane: Lane) -> str:
    return spelled_share(lane.failed / lane.samples) if lane.samples else ""


def _tiles(result: Result) -> Iterator[Tile]:
    expectations = [each for each in result.outcomes if each.kind is Kind.EXPECTATION]
    judged = [each for each in expectations if each.standing is not Standing.LEFT_OUT]
    kept = [each for each in judged if each.standing is Standing.KEPT]
    if judged:
        unjudged = sum(each.standing is Standing.UNJUDGED for each in judged)
        note = f"{unjudged} could not be judged" if unjudged else ""
        yield Tile("expectations kept", f"{len(kept)} of {len(judged)}", note, _kind_of_all(judged))
    through = [lane for lane in result.lanes if "@" not in lane.name]
    if through:
        worst = max(through, key=lambda lane: lane.longest_outage_seconds)
        outage = worst.longest_outage_seconds
        note = worst.name if outage else "no sample failed"
        yield Tile("longest outage for clients", spelled(outage) if outage else "none", note)
    for outcome in result.outcomes:
        if outcome.kind is Kind.RECOVERY and outcome.measured is not None:
            value = spelled(outcome.measured)
            yield Tile("steady again after", value, f"promised within {limit(outcome)}", _kind(outcome))
        if outcome.kind is Kind.LEDGER:
            lost = {Standing.KEPT: "none", Standing.BROKEN: "some"}.get(outcome.standing, "unknown")
            yield Tile("acknowledged writes lost", lost, outcome.seen, _kind(outcome))
    checks = [each for each in result.outcomes if each.kind is Kind.CHECK]
    if checks:
        passed = sum(each.standing is Standing.KEPT for each in checks)
        note = "testinfra, on the machines"
        yield Tile("checks passed", f"{passed} of {len(checks)}", note, _kind_of_all(checks))


def _kind(outcome: Outcome) -> str:
    return {Standing.KEPT: "good", Standing.BROKEN: "bad"}.get(outcome.standing, "")


def _kind_of_all(outcomes: Sequence[Outcome]) -> str:
    kinds = {_kind(outcome) for outcome in outcomes if outcome.standing is not Standing.LEFT_OUT}
    return "bad" if "bad" in kinds else "" if "" in kinds else "good"


def _balancer(meta: Meta) -> str:
    if meta.load_balancer is Balancer.NGINX:
        return "nginx, learns of a bad backend from clients that fail"
    return f"{meta.load_balancer}, asks every backend ({meta.load_balancer_check})"


def _versions(meta: Meta) -> list[tuple[str, str]]:
    known = {"kubernetes": meta.kubernetes, **meta.versions}
    return [(name, version) for name, version in known.items() if version]


def _happenings(evidence: Evidence) -> Iterator[tuple[float, str]]:
    """The timeline in sentences, without what the drawing shows better."""
    for record in evidence.records:
        text = _told(record.what)
        if text:
            yield record.t, text


def _told(what: events.Event) -> str:
    match what:
        case events.Steady(when=when, ok=ok, seconds=seconds, seen=seen):
            again = " again" if when is events.When.AFTER else ""
            return f"{'steady' if ok else 'not steady'}{again} after a wait of {spelled(seconds)}: {seen}"
        case events.FaultStarted(name=name, fault=fault, machine=machine, target=target):
            return f"inject {name}: {fault} on {machine} ({target})"
        case events.FaultInjected(name=name, effect=effect):
            return f"{name} is real: {effect}"
        case events.HealStarted(name=name, machine=machine):
            return f"heal {name} on {machine}"
        case events.Healed(name=name):
            return f"{name} is healed"
        case events.HealFailed(name=name, why=why):
            return f"{name} could not be healed: {why}"
        case events.Fact(fact=fact, machine=machine, value=value):
            where = f" on {machine}" if machine else ""
            return f"{fact}{where} is {value if value is not None else 'nothing'}"
        case events.SamplerStarted():
            return "the sampler starts"
        case events.SamplerStopped(samples=samples):
            return f"the sampler stops: {sum(samples.values())} samples"
        case events.Interrupted(signal=signal):
            return f"interrupted by {signal}"
        case events.Error(what=text):
            return f"error: {text}"
    return ""
