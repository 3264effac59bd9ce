"""The lanes of probes: one per probe, and one per machine for probes that ask machines directly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from halab.config.expectation import ProbeExpectation
from halab.config.quantities import format_duration
from halab.config.step import Expect
from halab.report.axis import Label, Scale, Span, Strip, place_labels, width_of
from halab.scenario.record.events import Sample
from halab.scenario.record.history import History
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import GAP_SECONDS, Outage, figures

_MOST_LABELS = 8
_ORDER = ("ready-", "read-via", "read-direct", "write-")


def through_balancer(history: History, scale: Scale) -> list[Strip]:
    """A lane with a promise is shown even if nothing failed in it: that is what the reader wants to know."""
    promised = {
        str(step.expectation.probe)
        for step in history.scenario.steps
        if isinstance(step, Expect) and isinstance(step.expectation, ProbeExpectation)
    }
    lanes = sorted((lane for lane in history.samples.lanes if lane.machine is None), key=_rank)
    return [_strip(history, lane, scale, is_promised=lane.name in promised) for lane in lanes]


def direct(history: History, scale: Scale) -> list[Strip]:
    lanes = [lane for lane in history.samples.lanes if lane.machine]
    by_machine = sorted(lanes, key=lambda lane: (lane.machine or "", _rank(lane)))
    return [_strip(history, lane, scale) for lane in by_machine]


def _rank(lane: Lane) -> tuple[int, str]:
    """Readiness first, then reads, then writes, then everything else."""
    ranks = [number for number, prefix in enumerate(_ORDER) if lane.name.startswith(prefix)]
    return (ranks[0] if ranks else len(_ORDER), lane.name)


def _strip(history: History, lane: Lane, scale: Scale, *, is_promised: bool = False) -> Strip:
    samples = history.samples.of(lane)
    measured = figures(samples, samples[0].t, samples[-1].end + 1e-6)
    longest = measured.longest
    # an outage ends with an answer; the request for that answer began during the outage
    out = [Span(outage.start, outage.end, "failed") for outage in measured.outages]
    bars = [
        scale.bar(span.start, span.end, span.kind, thin=span.kind == "ok")
        for span in scale.merged([*_spans(samples), *out], _outranks)
    ]
    return Strip(
        lane.name,
        f"longest {format_duration(longest.seconds)}" if longest else "no outage",
        bars,
        _labels(measured.outages, scale),
        lane.machine,
        is_quiet=not (measured.failed or measured.gaps or is_promised),
    )


def _spans(samples: Sequence[Sample]) -> Iterator[Span]:
    """A sample covers the time until the next one, or only its own duration if the next one is late."""
    for number, sample in enumerate(samples):
        following = samples[number + 1].t if number + 1 < len(samples) else sample.end
        end = following
        if following - sample.t > GAP_SECONDS:
            end = min(sample.end, following)
            yield Span(end, following, "unknown")
        yield Span(sample.t, end, "ok" if sample.ok else "failed")


def _outranks(span: Span, other: Span) -> bool:
    """A failed sample outranks a good one, and any sample outranks a gap."""
    rank = {"unknown": 0, "ok": 1, "failed": 2}
    return rank[span.kind] > rank[other.kind]


def _labels(outages: Sequence[Outage], scale: Scale) -> list[Label]:
    """The lengths of outages, on their bars or above; the longest first, as there may not be space for all."""
    labels = [_label(outage, scale) for outage in sorted(outages, key=lambda outage: -outage.seconds)]
    above = [label for label in labels if label.is_above]
    return [*(label for label in labels if not label.is_above), *place_labels(above, most=_MOST_LABELS)]


def _label(outage: Outage, scale: Scale) -> Label:
    text = ("at least " if outage.is_open else "") + format_duration(outage.seconds)
    left, right = scale(outage.start), scale(outage.end)
    if right - left > width_of(text) + 8:
        return Label((left + right) / 2, text, "middle", "on-bar")
    return Label((left + right) / 2, text, "middle", "outage", is_above=True)
