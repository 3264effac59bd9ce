"""Measure the sampler's error and cost, with cuts of known length and without a lab. Part of scripts/bench."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cuts import Cut, CutServer, make_credentials

from halab.config.probe import Question, Way
from halab.scenario.record.events import Sample
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Samples, figures
from halab.scenario.record.timeline import read_samples
from halab.scenario.sampler import launcher
from halab.scenario.sampler.probes import Probe

LENGTHS_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
RATES_HERTZ = (5.0, 10.0)
# Each lane measures every cut.
LANES = 4
# Longer than the sampler's time limit: questions that were asked in one cut end before the next.
_BETWEEN_SECONDS = 2.6
_COST_SECONDS = 20
# Other work that takes all of the processor, for each core.
_BUSY_PER_CORE = 6
_BUSY_SECONDS = 10


@dataclass(frozen=True)
class Known:
    """A cut as it really was, in seconds on the clock of the samples."""

    how: Cut
    length: float
    start: float
    end: float


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="halab-bench-") as name:
        folder = Path(name)
        make_credentials(folder)
        with CutServer(folder).running() as server:
            cost(folder, server.port)
            beside_work(folder, server.port)
            errors(folder, server)


def errors(folder: Path, server: CutServer) -> None:
    """Print the measured length minus the real length of the cuts, in milliseconds."""
    probes = [
        _probe(f"lane-{rate:g}-{number}", server.port, rate)
        for rate in RATES_HERTZ
        for number in range(LANES)
    ]
    config = _config(folder, probes)
    cuts = []
    with launcher.sampling(config, folder / "sampler.log"):
        time.sleep(1)
        for how in Cut:
            for length in LENGTHS_SECONDS:
                start, end = server.cut(how, length)
                cuts.append(Known(how, length, start - config.origin, end - config.origin))
                time.sleep(_BETWEEN_SECONDS)
    samples = Samples(read_samples(Path(config.samples)))
    for rate in RATES_HERTZ:
        by_kind = defaultdict(list)
        for cut in cuts:
            for number in range(LANES):
                seen = _longest(samples.of(Lane(f"lane-{rate:g}-{number}")), cut)
                by_kind[cut.how].append((cut.length, 1000 * (seen - (cut.end - cut.start))))
        for how, found in by_kind.items():
            # questions that hung for less than the time limit were answered: no outage
            counted = [
                error
                for length, error in found
                if how is not Cut.HANGS or length > config.time_limit_seconds
            ]
            off = sorted(map(abs, counted))
            show = f"p50 {statistics.median(off):4.0f}, worst {off[-1]:4.0f}, mean {statistics.mean(counted):+5.0f}"
            print(f"{f'sampler: error at {rate:g} Hz, server {how}, ms':<52} {show}", flush=True)


def cost(folder: Path, port: int) -> None:
    """Print the CPU time of one probe at 10 Hz, in percent of a core, without the start of the process."""
    probes = [_probe(f"lane-{number}", port, 10.0) for number in range(LANES)]
    started = _cpu_seconds(_config(folder, []), 0.0)
    used = _cpu_seconds(_config(folder, probes), _COST_SECONDS) - started
    share = 100 * used / _COST_SECONDS / len(probes)
    print(f"{'sampler: a probe at 10 Hz, % of a core':<52} {share:8.1f}", flush=True)


def beside_work(folder: Path, port: int) -> None:
    """Print in how many questions the sampler stood still while all cores had other work, in percent."""
    count = _BUSY_PER_CORE * (os.cpu_count() or 1)
    config = _config(folder, [_probe(f"lane-{number}", port, 10.0) for number in range(LANES)])
    # each in its own session, because Linux divides the processor by sessions
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
        for _ in range(count)
    ]
    try:
        with launcher.sampling(config, folder / "sampler.log"):
            time.sleep(_BUSY_SECONDS)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    samples = list(read_samples(Path(config.samples)))
    share = 100 * sum(sample.stalled > 0 for sample in samples) / len(samples)
    print(f"{f'sampler: stood still beside {count} busy processes, %':<52} {share:8.1f}", flush=True)


def _cpu_seconds(config: launcher.SamplerConfig, seconds: float) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with launcher.sampling(config, Path(config.credentials) / "sampler.log"):
        time.sleep(seconds)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _probe(name: str, port: int, rate_hertz: float) -> Probe:
    return Probe(name, None, Question.READ, Way.NEW, "127.0.0.1", port, rate_hertz)


def _config(folder: Path, probes: list[Probe]) -> launcher.SamplerConfig:
    names = f"{time.monotonic_ns()}"
    return launcher.SamplerConfig(
        probes=probes,
        origin=time.monotonic(),
        samples=str(folder / f"{names}.samples"),
        states=str(folder / f"{names}.states"),
        namespace="bench",
        credentials=str(folder),
        control_planes={},
        nodes={},
        statistics=None,
    )


def _longest(samples: Sequence[Sample], cut: Known) -> float:
    return figures(samples, cut.start - 0.3, cut.end + _BETWEEN_SECONDS - 0.4).longest_outage_seconds


if __name__ == "__main__":
    main()
