"""How long the cells of a matrix take: from runs that were recorded before, else from the limits of the scenarios."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from halab import files
from halab.config.lab import ProviderKind
from halab.config.load_balancer import Balancer
from halab.config.quantities import format_minutes
from halab.config.twin import Verdict, twin_name
from halab.errors import HalabError
from halab.matrix.plan import Cell, MatrixLab
from halab.matrix.record import BuiltLab
from halab.printable import counted
from halab.scenario.record.folder import RunFolder

# On two cores, a lab of containers comes up in 75 to 102 s, and is removed in some seconds.
_BUILD_SECONDS = 120.0
# Only these runs were played to their end.
COUNTED = (Verdict.PASS, Verdict.FAIL)


class Source(StrEnum):
    """Where a time comes from."""

    SAME = "measured"  # on a lab with the same load balancer and provider
    OTHERS = "measured on other labs"
    LIMITS = "estimate"


@dataclass(frozen=True)
class MeasuredRun:
    """How long a recorded run took, and the kind of lab that it had."""

    scenario: str
    load_balancer: Balancer
    provider: ProviderKind
    seconds: float


@dataclass(frozen=True)
class Time:
    """How long something takes, and from how many runs that is known. Without any, it is an upper limit."""

    seconds: float
    source: Source
    runs: int = 0

    @property
    def is_limit(self) -> bool:
        return self.source is Source.LIMITS

    @property
    def source_in_words(self) -> str:
        match self.source:
            case Source.SAME:
                return f"the median of {counted(self.runs, 'run')}"
            case Source.OTHERS:
                return f"the median of {counted(self.runs, 'run')} on other labs"
            case Source.LIMITS:
                return "an estimate: the sum of its limits"


@dataclass(frozen=True)
class Times:
    """What was measured before."""

    runs: Sequence[MeasuredRun] = ()
    built: Sequence[BuiltLab] = ()
    _groups: dict[tuple[str, ...], list[float]] = field(default_factory=dict, init=False)
    # by scenario and patience: thousands of cells share a few
    _limits: dict[tuple[str, float], float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for run in self.runs:
            for key in ((run.scenario,), (run.scenario, run.load_balancer, run.provider)):
                self._groups.setdefault(key, []).append(run.seconds)

    def with_run(self, cell: Cell, seconds: float) -> Times:
        """The same after one run more."""
        kind, provider = cell.lab.written.load_balancer.kind, _provider(cell.lab)
        return replace(self, runs=[*self.runs, MeasuredRun(cell.name, kind, provider, seconds)])

    def of(self, cell: Cell) -> Time:
        """How long one run of a cell takes."""
        written, name = cell.lab.written, cell.name
        same = self._groups.get((name, written.load_balancer.kind, _provider(cell.lab)))
        if same:
            return Time(statistics.median(same), Source.SAME, len(same))
        if others := self._groups.get((name,)):
            return Time(statistics.median(others), Source.OTHERS, len(others))
        return Time(self._limit(cell), Source.LIMITS)

    def _limit(self, cell: Cell) -> float:
        key = cell.name, cell.lab.written.patience
        if key not in self._limits:
            self._limits[key] = cell.longest_seconds
        return self._limits[key]

    def to_build(self, lab: MatrixLab) -> Time:
        """How long a lab takes to come up and to be removed."""
        same = [built.seconds for built in self.built if built.lab == lab.name]
        if same:
            return Time(statistics.median(same), Source.SAME, len(same))
        if self.built:
            seconds = [built.seconds for built in self.built]
            return Time(statistics.median(seconds), Source.OTHERS, len(seconds))
        return Time(_BUILD_SECONDS * lab.written.patience, Source.LIMITS)


@dataclass(frozen=True)
class Total:
    """The time of a whole matrix, in seconds: what measurements say, and the limits of what was never measured."""

    measured: float
    limits: float

    @classmethod
    def of(cls, times: Iterable[Time]) -> Total:
        sums = {True: 0.0, False: 0.0}
        for time in times:
            sums[time.is_limit] += time.seconds
        return cls(measured=sums[False], limits=sums[True])

    @property
    def seconds(self) -> float:
        return self.measured + self.limits

    def with_another(self, other: Total) -> Total:
        return Total(self.measured + other.measured, self.limits + other.limits)

    def __str__(self) -> str:
        """`about 12m`; with limits, how much of it is only an upper limit."""
        measured, limits = format_minutes(self.measured), format_minutes(self.limits)
        if not self.limits:
            return f"about {measured}"
        if not self.measured:
            return f"up to {limits} (nothing was measured yet)"
        return f"about {measured}, and up to {limits} for what was never measured"


def read(folders: Sequence[Path]) -> list[MeasuredRun]:
    """The times of the runs in these folders that passed or failed. A run that cannot be read does not count."""
    measured = []
    for path in folders:
        with suppress(HalabError, OSError, ValueError, LookupError, TypeError):
            folder = RunFolder(path)
            result = json.loads(files.read(folder.result, files.RECORD_BYTES))
            meta = folder.read_meta()
            if result["verdict"] in COUNTED and not meta.is_game_day:
                seconds = float(result["seconds"])
                name = twin_name(meta.scenario) if meta.is_twin else meta.scenario
                measured.append(MeasuredRun(name, meta.load_balancer, meta.provider, seconds))
    return measured


def _provider(lab: MatrixLab) -> ProviderKind:
    """The provider of a lab that is not up yet; `auto` becomes docker."""
    provider = lab.written.provider
    return ProviderKind.DOCKER if provider is ProviderKind.AUTO else provider
