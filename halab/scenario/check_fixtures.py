"""The fixtures of check files: a pytest plugin, and the one home of testinfra.

`host` of testinfra itself is not used: a check says which machine it means (`lb`, `control_planes`, `machine`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from halab.lifecycle import lab as labs
from halab.lifecycle.lab import Place
from halab.topology.lab import Lab

_CONNECT_SECONDS = 5


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("halab")
    group.addoption("--halab-file", help="the lab file")
    group.addoption("--halab-run", help="the folder of the run")


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> Place:
    return labs.open_file(Path(request.config.getoption("--halab-file")))


@pytest.fixture(scope="session")
def lab(place: Place) -> Lab:
    """The lab: its machines, addresses, versions."""
    return labs.existing(place)


@pytest.fixture(scope="session")
def machine(place: Place) -> Callable[[str], Host]:
    """A machine by its name, as testinfra's host, with root's rights."""

    def connect(name: str) -> Host:
        # controlpersist=0: a connection shared with a machine that was killed would hang
        backend: dict[str, Any] = {"controlpersist": 0, "timeout": _CONNECT_SECONDS, "sudo": True}
        return testinfra.get_host(f"ssh://{name}", ssh_config=str(place.work.ssh_config), **backend)

    return connect


@pytest.fixture(scope="session")
def lb(lab: Lab, machine: Callable[[str], Host]) -> Host:
    """The load balancer."""
    return machine(lab.balancer.name)


@pytest.fixture(scope="session")
def control_planes(lab: Lab, machine: Callable[[str], Host]) -> dict[str, Host]:
    """Name → control plane."""
    return {each.name: machine(each.name) for each in lab.control_planes}


@pytest.fixture(scope="session")
def timeline(request: pytest.FixtureRequest) -> Path:
    """The record of the run so far."""
    return Path(request.config.getoption("--halab-run")) / "timeline.jsonl"
