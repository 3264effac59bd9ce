"""End to end: real machines, shared by the tests that leave them as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from users import UserLab, engine_names, lab_in

HAPROXY = "e2e-haproxy"


@pytest.fixture(scope="session")
def haproxy_lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    """The lab that most tests share: each of them leaves it steady."""
    yield from lab_in(tmp_path_factory.mktemp("haproxy"), f"name: {HAPROXY}\n")
    # asserted here, and not in a test: it must hold whatever the tests did
    assert engine_names("container", HAPROXY) == ""
    assert engine_names("network", HAPROXY) == ""
