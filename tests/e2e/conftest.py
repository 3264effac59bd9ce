"""End to end: real machines, shared by the tests that leave them as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, engine_names, lab_in

HAPROXY = "e2e-haproxy"


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Tests with a lab of their own come before those that share one, which is not there yet.

    What a scenario promises is measured beside nobody else's load: with six control planes on two cores, the median
    answer took 0.5 to 1.2 s before anything was broken, and an etcd that no fault touches did not answer in time.
    """
    items.sort(key=lambda item: haproxy_lab.__name__ in item.fixturenames)


@pytest.fixture(scope="session")
def haproxy_lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    """The lab that most tests share: each of them leaves it steady."""
    yield from lab_in(tmp_path_factory.mktemp("haproxy"), f"name: {HAPROXY}\n")
    # asserted here, and not in a test: it must hold whatever the tests did
    assert engine_names("container", HAPROXY) == ""
    assert engine_names("network", HAPROXY) == ""
