"""Figures of a run beside its promises: the outages of every lane, and the effect of every fault on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import dropwhile

from halab.scenario.record.events import Sample
from halab.scenario.record.history import History, Window
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import GAP_SECONDS, figures
from halab.scenario.verdict.result import Impact, LaneFigures


def lanes(history: History) -> Iterator[LaneFigures]:
    """The figures of every lane over the whole run."""
    for lane in history.samples.lanes:
        samples = history.samples.of(lane)
        over_run = figures(samples, samples[0].t, samples[-1].end + 1e-6)
        yield LaneFigures(
            name=lane,
            samples=over_run.samples,
            failed=over_run.failed,
            outages=len(over_run.outages),
            longest_outage_seconds=over_run.longest_outage_seconds,
            longest_outage_start=over_run.longest.start if over_run.longest else None,
            p50_seconds=over_run.p50_seconds,
            p95_seconds=over_run.p95_seconds,
            unsampled_seconds=sum(gap.seconds for gap in over_run.gaps),
        )


def impacts(history: History) -> Iterator[Impact]:
    """The effect of every fault on every lane, until the next fault; lanes that did not fail are left out."""
    names = list(dict.fromkeys(fault.name for fault in history.faults))
    windows = [(name, window) for name in names if (window := history.window(name))]
    starts = [window.start for _name, window in windows]
    for (name, window), until in zip(windows, [*starts[1:], math.inf], strict=False):
        for lane in history.samples.lanes:
            samples = history.samples.between(lane, window.start, until)
            before = history.samples.between(lane, window.start - GAP_SECONDS, window.start)
            if before and not before[-1].ok:
                # an outage that was there when the fault began is not its effect
                samples = list(dropwhile(lambda sample: not sample.ok, samples))
            impact = _impact(name, lane, window, samples)
            if impact:
                yield impact


def _impact(name: str, lane: Lane, window: Window, samples: Sequence[Sample]) -> Impact | None:
    failed = [sample for sample in samples if not sample.ok]
    if not failed:
        return None
    good = next((sample.t for sample in samples if sample.t > failed[-1].t), None)
    return Impact(
        fault=name,
        lane=lane,
        failed_after_seconds=failed[0].t - window.start,
        good_after_seconds=None if good is None else good - window.start,
        good_after_heal_seconds=None if good is None or window.end is None else good - window.end,
    )
