"""A result as one self-contained HTML page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from halab import templates
from halab.config.load_balancer_choices import BackendCheck
from halab.config.quantities import format_duration
from halab.report import changes, game_day, narrative, wording
from halab.report.drawing import Drawing, draw
from halab.scenario.record.folder import Evidence, Meta
from halab.scenario.record.lanes import Lane
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus, Result

_PASSIVE = "which notices a bad backend only when connections to it fail"
# The legend of the bars, by their kinds. Kinds with a word on the bar need no legend.
_LEGEND = {
    "ok": "answers, or is in its normal state",
    "failed": "fails; the label is the length of the outage",
    "fault": "the fault is active",
    "changing": "being injected or healed",
    "recovering": "recovering",
    "down": "out of the load balancer, or not ready",
    "unknown": "unknown",
}


@dataclass(frozen=True)
class Tile:
    """An important figure at the top of the page."""

    name: str
    value: str
    note: str
    kind: str = ""


def legend(drawing: Drawing) -> list[tuple[str, str]]:
    """The kinds of bars in a picture that need an explanation, each with its text."""
    return [(kind, text) for kind, text in _LEGEND.items() if kind in drawing.kinds]


def html(result: Result, evidence: Evidence, *, logs: Sequence[str]) -> str:
    """The page of one run. `logs` are paths relative to the run's folder."""
    checks = _of_kind(result, PromiseKind.CHECK)
    preconditions = _of_kind(result, PromiseKind.STEADY, PromiseKind.HEAL)
    # show the steady check and the heals only if they failed
    unmet = [outcome for outcome in preconditions if outcome.standing is not PromiseStatus.KEPT]
    shown_elsewhere = (PromiseKind.CHECK, PromiseKind.STEADY, PromiseKind.HEAL)
    others = [outcome for outcome in result.outcomes if outcome.kind not in shown_elsewhere]
    pictures = draw(evidence, result)
    lanes = sorted(result.lanes, key=lambda figures: (figures.name.machine or "", str(figures.name)))
    return templates.page(
        "report.html",
        result=result,
        meta=evidence.meta,
        teaches=evidence.scenario.teaches.strip(),
        meaning=wording.VERDICTS[result.verdict],
        busy_host=wording.busy_host(result),
        twin_verdict=evidence.scenario.twin.verdict if result.is_twin else None,
        tiles=list(_tiles(result, evidence)),
        pictures=pictures,
        legend=legend(pictures.main),
        promises=[*unmet, *others],
        checks=checks,
        failed_lanes=[lane for lane in lanes if lane.failed or lane.unsampled_seconds],
        good_lanes=[lane for lane in lanes if not (lane.failed or lane.unsampled_seconds)],
        impacts=[impact for impact in result.impacts if impact.lane.machine is None],
        log=game_day.log(evidence) if evidence.meta.is_game_day else [],
        narrative=narrative.narrative(evidence),
        versions=wording.versions(evidence.meta),
        balancer=_balancer(evidence.meta),
        command=shlex.join(evidence.meta.command),
        how_to_repeat=wording.how_to_repeat(evidence.meta.command),
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
    judged = [
        outcome
        for outcome in _of_kind(result, PromiseKind.EXPECTATION)
        if outcome.standing is not PromiseStatus.LEFT_OUT
    ]
    if judged:
        kept = _count(judged, PromiseStatus.KEPT)
        unjudged = _count(judged, PromiseStatus.UNJUDGED)
        note = f"{unjudged} could not be judged" if unjudged else ""
        yield Tile("expectations kept", f"{kept} of {len(judged)}", note, _kind_of_all(judged))
    worst = wording.worst_for_clients(result)
    if worst:
        outage = worst.longest_outage_seconds
        note = str(worst.name) if outage else "no sample failed"
        yield Tile("longest outage for clients", format_duration(outage) if outage else "none", note)
    for change in changes.changes(evidence.history, Lane("etcd-leader")):
        if change.act and change.seconds is not None:
            note = f"{change.after} replaces {change.before}; counted from {change.act}"
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
    checks = _of_kind(result, PromiseKind.CHECK)
    if checks:
        passed = _count(checks, PromiseStatus.KEPT)
        note = "testinfra checks on the machines"
        yield Tile("checks passed", f"{passed} of {len(checks)}", note, _kind_of_all(checks))


def _of_kind(result: Result, *kinds: PromiseKind) -> list[PromiseOutcome]:
    return [outcome for outcome in result.outcomes if outcome.kind in kinds]


def _count(outcomes: Sequence[PromiseOutcome], status: PromiseStatus) -> int:
    return sum(outcome.standing is status for outcome in outcomes)


def _kind(outcome: PromiseOutcome) -> str:
    return {PromiseStatus.KEPT: "good", PromiseStatus.BROKEN: "bad"}.get(outcome.standing, "")


def _kind_of_all(outcomes: Sequence[PromiseOutcome]) -> str:
    kinds = {_kind(outcome) for outcome in outcomes if outcome.standing is not PromiseStatus.LEFT_OUT}
    return "bad" if "bad" in kinds else "" if "" in kinds else "good"


def _balancer(meta: Meta) -> str:
    kind = f"{meta.load_balancer} on two machines" if meta.setting.balancers > 1 else str(meta.load_balancer)
    if meta.load_balancer.is_on_every_node:
        kind = f"{meta.load_balancer.program} on every node"
        return f"{kind}, {_checks(meta.load_balancer_check) if meta.load_balancer.checks_backends else _PASSIVE}"
    if not meta.load_balancer.has_machines:
        return f"{kind} on every control plane, which gives the address to one of them"
    if meta.load_balancer.has_dns:
        return f"{kind}, a name with the addresses of all API servers, and no load balancer"
    if not meta.load_balancer.checks_backends:
        return f"{kind}, {_PASSIVE}"
    own = f" with {meta.load_balancer_config}" if meta.load_balancer_config else ""
    if not meta.reports_backends:
        return f"{kind}{own}, without checks of its backends that halab can read"
    return f"{kind}{own}, {_checks(meta.load_balancer_check if not own else '')}"


def _checks(check: str) -> str:
    if check == BackendCheck.NONE:
        return "which does not check its backends"
    return f"which checks every backend{f' ({check})' if check else ''}"
