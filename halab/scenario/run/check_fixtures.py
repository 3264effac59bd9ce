"""The fixtures of check files: a pytest plugin, and the one home of testinfra.

`host` of testinfra itself is not used: a check says which machine it means (`lb`, `control_planes`, `machine`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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
from halab.printable import one_line, shortened
from halab.scenario.record.events import Record, lane
from halab.scenario.record.folder import Evidence, RunFolder
from halab.scenario.record.outage import Figures, figures
from halab.topology.lab import Lab

_CONNECT_SECONDS = 5
_SHARED_SECONDS = 5


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("halab")
    group.addoption("--halab-work", help="the work folder of the lab")
    group.addoption("--halab-run", help="the folder of the run")


class MachineHost(Host):  # type: ignore[misc]
    """Testinfra's host, which says in one plain line why a command failed; its own words are ten lines of internals."""

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
            # what ssh warns of comes first
            why = (failed.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unreachable(f"{self.name} does not answer over SSH: {one_line(why)}")

    def run_expect(self, expected: list[int], command: str, *args: str, **kwargs: Any) -> CommandResult:
        __tracebackhide__ = True
        done = self.run(command, *args, **kwargs)
        if done.rc not in expected:
            said = one_line(done.stderr or done.stdout) or "it printed nothing"
            asked = shortened(" ".join(command.split()))
            raise AssertionError(f"on {self.name}, a command ended with {done.rc}: {asked}: {said}")
        return done

    def check_output(self, command: str, *args: str, **kwargs: Any) -> str:
        __tracebackhide__ = True
        return str(self.run_expect([0], command, *args, **kwargs).stdout.rstrip("\r\n"))


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> LabDir:
    # the lab as the run knows it: its file may have been edited since
    opened = labs.open_file(RunFolder(Path(request.config.getoption("--halab-run"))).lab)
    return replace(opened, work=Work(Path(request.config.getoption("--halab-work"))))


@pytest.fixture(scope="session")
def lab(place: LabDir) -> Lab:
    """The lab: its machines, addresses, versions."""
    return labs.existing(place)


@pytest.fixture(scope="session")
def machine(place: LabDir, lab: Lab) -> Iterator[Callable[[str], Host]]:
    """A machine by its name, as testinfra's host, with root's rights."""
    with TemporaryDirectory(prefix="halab-") as sockets:
        # One connection for the checks of a machine, which nobody kills meanwhile: 0.2 s a command without. testinfra
        # would keep it for 60 s, and then it would hang what comes after a power cut.
        shared: dict[str, Any] = {
            "controlpersist": _SHARED_SECONDS,
            "ssh_extra_args": f"-o ControlPath={sockets}/%n",
        }

        def connect(name: str) -> Host:
            config = str(place.work.ssh_config)
            return MachineHost.get_host(
                f"ssh://{name}", ssh_config=config, timeout=_CONNECT_SECONDS, sudo=True, **shared
            )

        # All connections at once: one after another, 0.2 s each. Whether one fails is seen by the check that needs it.
        with ThreadPoolExecutor(max_workers=len(lab.machines)) as pool:
            for each in lab.machines:
                pool.submit(connect(each.name).run, "true")
        yield connect


@pytest.fixture(scope="session")
def lb(lab: Lab, machine: Callable[[str], Host]) -> Host:
    """The load balancer."""
    return machine(lab.balancer.name)


@pytest.fixture(scope="session")
def control_planes(lab: Lab, machine: Callable[[str], Host]) -> dict[str, Host]:
    """Name → control plane."""
    return {each.name: machine(each.name) for each in lab.control_planes}


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Evidence:
    """The run so far: its scenario, its records, what clients saw."""
    return RunFolder(Path(request.config.getoption("--halab-run"))).read()


@pytest.fixture(scope="session")
def timeline(run: Evidence) -> Sequence[Record]:
    """The records of the run so far, in the order in which things happened."""
    return run.records


@pytest.fixture(scope="session")
def outage(run: Evidence) -> Callable[..., Figures]:
    """What a probe saw: `outage("write-via-lb", during="stopped")`, `outage("ready-direct", on="cp1")`.

    The figures of halab/scenario/record/outage.py: longest_outage_seconds, failed_share, outages, samples …
    """

    def figures_of(probe: str, *, on: str | None = None, during: str | None = None) -> Figures:
        name = lane(probe, on)
        samples = run.samples.of(name)
        if not samples:
            pytest.fail(f"no sample of {name}; there are {', '.join(run.samples.lanes)}", pytrace=False)
        window = run.history.window(during) if during else None
        if during and window is None:
            pytest.fail(f"no fault of that name was injected: {during}", pytrace=False)
        start = window.start if window else samples[0].t
        end = window.end if window and window.end is not None else samples[-1].end
        return figures(samples, start, end)

    return figures_of
