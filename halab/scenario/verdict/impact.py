"""The figures of a run beside what was promised: what each lane went through, and what each fault did to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import dropwhile

from halab.scenario.record.events import Sample
from halab.scenario.record.history import History, Window
from halab.scenario.record.outage import GAP_SECONDS, figures
from halab.scenario.verdict.result import Impact, Lane


def lanes(history: History) -> Iterator[Lane]:
    """The figures of every lane over the whole run."""
    for name in history.samples.lanes:
        samples = history.samples.of(name)
        found = figures(samples, samples[0].t, samples[-1].end + 1e-6)
        yield Lane(
            name=name,
            samples=found.samples,
            failed=found.failed,
            outages=len(found.outages),
            longest_outage_seconds=found.longest_outage_seconds,
            longest_outage_start=found.longest.start if found.longest else None,
            p50_seconds=found.p50_seconds,
            p95_seconds=found.p95_seconds,
            unsampled_seconds=sum(gap.seconds for gap in found.gaps),
        )


def impacts(history: History) -> Iterator[Impact]:
    """What each fault did to each lane, up to the fault after it; nothing of lanes that never failed."""
    names = list(dict.fromkeys(fault.name for fault in history.faults()))
    windows = [(name, window) for name in names if (window := history.window(name))]
    starts = [window.start for _name, window in windows]
    for (name, window), until in zip(windows, [*starts[1:], math.inf], strict=False):
        for lane in history.samples.lanes:
            samples = history.samples.between(lane, window.start, until)
            before = history.samples.between(lane, window.start - GAP_SECONDS, window.start)
            if before and not before[-1].ok:
                # what was out when the fault began is not its doing
                samples = list(dropwhile(lambda sample: not sample.ok, samples))
            found = _impact(name, lane, window, samples)
            if found:
                yield found


def _impact(name: str, lane: str, window: Window, samples: Sequence[Sample]) -> Impact | None:
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
