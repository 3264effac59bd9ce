"""Where the labs of `halab matrix` are played, and how they are built there."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from halab.lifecycle.temporary_lab import LabDeps
    from halab.matrix.hosts.cluster import Cluster
    from halab.matrix.places import Places
    from halab.matrix.plan import MatrixPlan


@contextmanager
def chosen(
    plan: MatrixPlan, folder: Path, scheduler: str | None, certificates: Path | None, at_once: int | None
) -> Iterator[tuple[Places, int]]:
    """Where the labs are played, and how many at once."""
    from halab.cli.console import progress
    from halab.matrix.places import ThisHost

    if scheduler is None:
        if certificates is not None:
            raise click.UsageError("--certificates needs --scheduler")
        size = at_once or fitting(plan)
        yield ThisHost(size, progress(), progress, lab_deps), size
        return
    if at_once is not None:
        raise click.UsageError("--at-once is about this host, and --scheduler about others: use one of them")
    from halab.clock import RealClock
    from halab.matrix.hosts import agent
    from halab.matrix.hosts.fleet import Fleet

    with _connected(scheduler, certificates) as cluster:
        fleet = Fleet(cluster, agent.name_of(folder), RealClock(), progress(), progress, agent.describe())
        yield fleet, max(1, fleet.size)


def _connected(scheduler: str, certificates: Path | None) -> AbstractContextManager[Cluster]:
    from halab.errors import HostProblem
    from halab.matrix.hosts.certificates import Certificates

    try:
        from halab.matrix.hosts import dask_cluster
    except ImportError as error:
        raise HostProblem(
            f"--scheduler needs dask.distributed, the extra `matrix` of halab: {error}",
            hint=f"{sys.executable} -m pip install 'distributed>=2026.1'",
        ) from error
    return dask_cluster.connected(scheduler, Certificates(certificates) if certificates else None)


def fitting(plan: MatrixPlan) -> int:
    """How many labs of a matrix this host can have at once. Another host is not known so well: one."""
    from halab.doctor.real_host import RealHost
    from halab.lifecycle.lab import open_file, remote_of
    from halab.matrix import at_once

    if remote_of(open_file(plan.lab_file, reads_own_files=False)):
        return 1
    return at_once.fitting([lab.written for lab in plan.labs], RealHost(None))


def lab_deps(file: Path) -> LabDeps:
    from dataclasses import replace

    from halab.cli.lab import temporary_deps

    hint = (
        f"halab has removed the lab; to look at it, build it with `halab up -f {shlex.quote(str(file))}`: "
        "it stays up until the next `halab matrix run`, which removes it"
    )
    return replace(temporary_deps(keep=False), removed_hint=hint)
