"""The lanes of what clients saw: one for every probe and every machine that it asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from halab.config.expectation import ProbeExpectation
from halab.config.quantities import format_duration
from halab.config.step import Expect
from halab.report.axis import Label, Scale, Span, Strip, placed, width_of
from halab.scenario.record.events import Sample
from halab.scenario.record.history import History
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import GAP_SECONDS, Outage, figures

_MOST_LABELS = 8
_ORDER = ("ready-", "read-via", "read-direct", "write-")


def through_balancer(history: History, scale: Scale) -> list[Strip]:
    """What was promised of a lane is shown even where nothing failed: that it did not is the news."""
    promised = {
        str(step.expectation.probe)
        for step in history.scenario.steps
        if isinstance(step, Expect) and isinstance(step.expectation, ProbeExpectation)
    }
    lanes = sorted((lane for lane in history.samples.lanes if lane.machine is None), key=_rank)
    return [_strip(history, lane, scale, is_news=lane.name in promised) for lane in lanes]


def direct(history: History, scale: Scale) -> list[Strip]:
    lanes = [lane for lane in history.samples.lanes if lane.machine]
    by_machine = sorted(lanes, key=lambda lane: (lane.machine or "", _rank(lane)))
    return [_strip(history, lane, scale) for lane in by_machine]


def _rank(lane: Lane) -> tuple[int, str]:
    """The plain questions first: what a client is told, then what it reads, then what it writes."""
    known = [number for number, start in enumerate(_ORDER) if lane.name.startswith(start)]
    return (known[0] if known else len(_ORDER), lane.name)


def _strip(history: History, lane: Lane, scale: Scale, *, is_news: bool = False) -> Strip:
    samples = history.samples.of(lane)
    found = figures(samples, samples[0].t, samples[-1].end + 1e-6)
    longest = found.longest
    # an outage goes on until a question is answered, which was asked before its end
    out = [Span(outage.start, outage.end, "failed") for outage in found.outages]
    bars = [
        scale.bar(span.start, span.end, span.kind, thin=span.kind == "ok")
        for span in scale.merged([*_spans(samples), *out], _is_louder)
    ]
    return Strip(
        lane.name,
        f"longest {format_duration(longest.seconds)}" if longest else "never out",
        bars,
        _labels(found.outages, scale),
        lane.machine,
        is_quiet=not (found.failed or found.gaps or is_news),
    )


def _spans(samples: Sequence[Sample]) -> Iterator[Span]:
    """A sample stands for the time until the next one, where that comes in time."""
    for number, sample in enumerate(samples):
        following = samples[number + 1].t if number + 1 < len(samples) else sample.end
        end = following
        if following - sample.t > GAP_SECONDS:
            end = min(sample.end, following)
            yield Span(end, following, "unknown")
        yield Span(sample.t, end, "ok" if sample.ok else "failed")


def _is_louder(span: Span, other: Span) -> bool:
    """A column in which anything failed shows it, and one in which anything was asked shows the answer."""
    volume = {"unknown": 0, "ok": 1, "failed": 2}
    return volume[span.kind] > volume[other.kind]


def _labels(outages: Sequence[Outage], scale: Scale) -> list[Label]:
    """How long each outage was, on its bar or above; the longest first, for there may not be room for all."""
    labels = [_label(outage, scale) for outage in sorted(outages, key=lambda outage: -outage.seconds)]
    above = [label for label in labels if label.is_above]
    return [*(label for label in labels if not label.is_above), *placed(above, most=_MOST_LABELS)]


def _label(outage: Outage, scale: Scale) -> Label:
    text = format_duration(outage.seconds) + ("+" if outage.is_open else "")
    left, right = scale(outage.start), scale(outage.end)
    if right - left > width_of(text) + 8:
        return Label((left + right) / 2, text, "middle", "on-bar")
    return Label((left + right) / 2, text, "middle", "outage", is_above=True)
