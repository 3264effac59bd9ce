"""What clients see during a whole attempt: a sampler in the background, and what its samples show at the end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from halab.drill import moments, observer
from halab.drill.attempt import Attempt, ClientsSaw
from halab.errors import HalabError, LabProblem
from halab.lifecycle import access
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.machines.work import Work
from halab.permit import Permit
from halab.scenario.record.events import Sample
from halab.scenario.record.outage import Samples, figures
from halab.scenario.record.timeline import SampleReader
from halab.scenario.sampler import launcher
from halab.scenario.sampler.launcher import SamplerConfig

# A tenth of the rate of a run, because a learner may work for an hour.
_RATE_HERTZ = 2.0


def ensure(lab_dir: LabDir, attempt: Attempt, now: datetime) -> None:
    """Start the sampler of an attempt, unless it runs. After a reboot of the host, it goes on.

    Raises HalabError if it cannot start. The caller holds the lab's lock.
    """
    folder = _folder(lab_dir.work)
    permit = permit_of(lab_dir.work)
    if permit.is_held:
        return
    if access.tunnel_of(lab_dir):
        raise LabProblem("the lab is on another host, and the tunnel to it is closed when each command ends")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    permit.grant()
    number = len(list(folder.glob("samples-*.jsonl")))
    # all parts of the record count from the start of the attempt
    origin = time.monotonic() - attempt.seconds(now)
    launcher.start_in_background(_config(lab_dir, folder, number, origin), folder / "sampler.log")


def _config(lab_dir: LabDir, folder: Path, number: int, origin: float) -> SamplerConfig:
    """The probes of clients only, and no states."""
    config = launcher.sampler_config(
        labs.existing(lab_dir),
        access.credentials(lab_dir),
        origin=origin,
        samples=folder / f"samples-{number}.jsonl",
        states=folder / f"states-{number}.jsonl",
        namespace=observer.NAMESPACE,
        ssh_config=lab_dir.work.ssh_config,
        # all checks write into one namespace too: see observer.watching
        first_write=int(time.time() * 1000),
    )
    probes = [
        replace(probe, rate_hertz=min(_RATE_HERTZ, probe.rate_hertz))
        for probe in config.probes
        if probe.machine is None
    ]
    return replace(config, probes=probes, reads_states=False, permit=str(folder / "permit"))


def stop(work: Work) -> None:
    """End the sampler: it notices within a second."""
    permit_of(work).end()


def forget(work: Work) -> None:
    """End the sampler of an earlier attempt, and remove what it has recorded: its writes are not those of the next."""
    stop(work)
    shutil.rmtree(_folder(work), ignore_errors=True)


def seen(work: Work, seconds: float) -> dict[str, ClientsSaw]:
    """What clients saw in the first `seconds` of the attempt, by probe. Empty if nothing was recorded."""
    samples = Samples(_read(_parts(work)))
    found: dict[str, ClientsSaw] = {}
    for lane in samples.lanes:
        whole = figures(samples.of(lane), 0.0, seconds)
        if whole.samples:
            outages = moments.merged((outage.start, min(outage.end, seconds)) for outage in whole.outages)
            unknown = tuple((round(gap.start, 1), round(gap.end, 1)) for gap in whole.gaps)
            found[str(lane)] = ClientsSaw(whole.samples, whole.failed, outages, unknown)
    return found


def require(lab_dir: LabDir) -> None:
    """Raise LabProblem if the sampler has recorded nothing, except on another host, where it never runs."""
    if not access.tunnel_of(lab_dir) and next(_read(_parts(lab_dir.work)), None) is None:
        raise LabProblem("what clients wrote during the drill was not recorded")


def acknowledged(work: Work) -> frozenset[int]:
    """The numbers of the writes that the API has acknowledged since the start of the attempt."""
    return acknowledged_in(_parts(work))


def acknowledged_in(paths: Iterable[Path]) -> frozenset[int]:
    """The numbers of the acknowledged writes among the samples in some files."""
    return frozenset(sample.number for sample in _read(paths) if sample.ok and sample.number is not None)


def _parts(work: Work) -> list[Path]:
    return sorted(_folder(work).glob("samples-*.jsonl"))


def _read(paths: Iterable[Path]) -> Iterator[Sample]:
    for path in paths:
        # a record that is damaged is no reason to lose a grade
        with suppress(HalabError, OSError):
            yield from SampleReader(path).new()


def permit_of(work: Work) -> Permit:
    return Permit(_folder(work) / "permit")


def _folder(work: Work) -> Path:
    return work.drill / "clients"
