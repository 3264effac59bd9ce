"""The fixtures of check files: a pytest plugin, and the only module that uses testinfra.

Testinfra's own `host` is not used: a check names its machine (`lb`, `control_planes`, `members`, `machine`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from halab.errors import Unreachable
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.machines.work import Work
from halab.printable import brief_value, one_line
from halab.scenario.record.events import Record
from halab.scenario.record.folder import Evidence, RunFolder
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Figures, figures
from halab.topology.lab import Lab

_CONNECT_SECONDS = 5
_SHARED_SECONDS = 5


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("halab")
    group.addoption("--halab-work", help="the work folder of the lab")
    group.addoption("--halab-run", help="the folder of the run")


class MachineHost(Host):  # type: ignore[misc]
    """Testinfra's host with one plain line about a command that failed, instead of ten lines of internals."""

    @property
    def name(self) -> str:
        return str(self.backend.host.name)

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        __tracebackhide__ = True
        try:
            return super().run(command, *args, **kwargs)
        except RuntimeError as error:
            failed = error.args[0]
            if not isinstance(failed, CommandResult):
                raise
            # warnings of ssh come before the reason
            why = (failed.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unreachable(f"{self.name} does not answer over SSH: {one_line(why)}")

    def run_expect(self, expected: list[int], command: str, *args: str, **kwargs: Any) -> CommandResult:
        __tracebackhide__ = True
        done = self.run(command, *args, **kwargs)
        if done.rc not in expected:
            output = one_line(done.stderr or done.stdout) or "it printed nothing"
            shown = brief_value(command)
            raise AssertionError(f"on {self.name}, a command exited with code {done.rc}: {shown}: {output}")
        return done

    def check_output(self, command: str, *args: str, **kwargs: Any) -> str:
        __tracebackhide__ = True
        return str(self.run_expect([0], command, *args, **kwargs).stdout.rstrip("\r\n"))


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> LabDir:
    folder = RunFolder(Path(request.config.getoption("--halab-run")))
    return lab_dir_of(folder, Work(Path(request.config.getoption("--halab-work"))))


def lab_dir_of(folder: RunFolder, work: Work) -> LabDir:
    """The lab of a run, by its lab file as it was at the start of the run."""
    return labs.open_file(folder.lab, work=work, locate=folder.lab_option)


@pytest.fixture(scope="session")
def lab(place: LabDir) -> Lab:
    """The lab: its machines, addresses, versions."""
    return labs.existing(place)


@pytest.fixture(scope="session")
def machine(place: LabDir, lab: Lab) -> Iterator[Callable[[str], Host]]:
    """A function from a machine's name to its testinfra host, with root rights."""
    with TemporaryDirectory(prefix="halab-") as sockets:
        # The checks of a machine share one connection, as no fault is open meanwhile: without it, a command takes 0.2 s
        # more. Testinfra's own default of 60 s would make later commands hang after a power cut.
        shared: dict[str, Any] = {
            "controlpersist": _SHARED_SECONDS,
            "ssh_extra_args": f"-o ControlPath={sockets}/%n",
        }

        def connect(name: str) -> Host:
            config = str(place.work.ssh_config)
            return MachineHost.get_host(
                f"ssh://{name}", ssh_config=config, timeout=_CONNECT_SECONDS, sudo=True, **shared
            )

        # Open all connections at once: one after another takes 0.2 s each. The check that uses one reports its failure.
        with ThreadPoolExecutor(max_workers=len(lab.machines)) as pool:
            for known in lab.machines:
                pool.submit(connect(known.name).run, "true")
        yield connect


@pytest.fixture(scope="session")
def lb(lab: Lab, machine: Callable[[str], Host]) -> Host:
    """The load balancer; if there are two, lb1. With DNS, it is the DNS server.

    A check that asks for it is skipped where no machine is one.
    """
    if not lab.balancers:
        pytest.skip(f"no machine of the lab is a load balancer: it has {lab.load_balancer.kind}")
    return machine(lab.balancers[0].name)


@pytest.fixture(scope="session")
def control_planes(lab: Lab, machine: Callable[[str], Host]) -> dict[str, Host]:
    """Name → control plane."""
    return {known.name: machine(known.name) for known in lab.control_planes}


@pytest.fixture(scope="session")
def members(lab: Lab, machine: Callable[[str], Host]) -> dict[str, Host]:
    """Name → machine with an etcd member: the control planes, or the etcd machines."""
    return {known.name: machine(known.name) for known in lab.members}


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Evidence:
    """The run so far: its scenario, records and samples."""
    return RunFolder(Path(request.config.getoption("--halab-run"))).read()


@pytest.fixture(scope="session")
def timeline(run: Evidence) -> Sequence[Record]:
    """The records of the run so far, in order."""
    return run.records


@pytest.fixture(scope="session")
def outage(run: Evidence) -> Callable[..., Figures]:
    """The figures of a probe: `outage("write-via-lb", during="stopped")`, `outage("ready-direct", on="cp1")`.

    They are those of halab/scenario/record/outage.py: longest_outage_seconds, failed_share, outages, samples …
    """

    def figures_of(probe: str, *, on: str | None = None, during: str | None = None) -> Figures:
        lane = Lane(probe, on)
        samples = run.samples.of(lane)
        if not samples:
            pytest.fail(
                f"no sample of {lane}; the run has {', '.join(map(str, run.samples.lanes))}", pytrace=False
            )
        window = run.history.window(during) if during else None
        if during and window is None:
            pytest.fail(f"no fault of that name was injected: {during}", pytrace=False)
        start = window.start if window else samples[0].t
        end = window.end if window and window.end is not None else samples[-1].end
        return figures(samples, start, end)

    return figures_of
