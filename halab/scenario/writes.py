"""Writes: which of them the API acknowledged, and which of those a lab must still have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from halab.scenario.events import Sample


def numbers_written(samples: Iterable[Sample]) -> set[int]:
    """All that were tried, whether or not an answer came."""
    return {sample.number for sample in samples if sample.number is not None}


def acknowledged(samples: Iterable[Sample]) -> set[int]:
    return {number for _, number in _acknowledged(samples)}


def acknowledged_beside(samples: Iterable[Sample], snapshot: float, restored: float) -> set[int]:
    """Those that count where a lab went back to a snapshot, by when that was begun, and when it had been restored.

    What was acknowledged before the snapshot is in it, and what was asked for after the restore came upon it. In
    between, a write may be gone: nobody promised more.
    """
    return {
        number for sample, number in _acknowledged(samples) if sample.end <= snapshot or sample.t >= restored
    }


def _acknowledged(samples: Iterable[Sample]) -> Iterator[tuple[Sample, int]]:
    for sample in samples:
        if sample.ok and sample.number is not None:
            yield sample, sample.number
