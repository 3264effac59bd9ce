"""End to end, on real machines: the lab that several modules share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, engine_names, lab_in

HAPROXY = "e2e-haproxy"


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Run the tests that have labs of their own first, while the shared lab is not up yet.

    Scenarios are measured without the load of other labs: with six control planes on two cores, the median answer took
    0.5 to 1.2 s before any fault, and an etcd that no fault touched did not answer in time.
    """
    items.sort(key=lambda item: haproxy_lab.__name__ in item.fixturenames)


@pytest.fixture(scope="session")
def haproxy_lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    """The lab that most tests share. Every test leaves it steady."""
    yield from lab_in(tmp_path_factory.mktemp("haproxy"), f"name: {HAPROXY}\n")
    # asserted here and not in a test: it must hold whatever the tests did
    assert engine_names("container", HAPROXY) == ""
    assert engine_names("network", HAPROXY) == ""
