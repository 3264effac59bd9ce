"""What the tests of the pages share: a lab without machines that is served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serve_room import ServeRoom


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ServeRoom]:
    made = ServeRoom(tmp_path)
    yield made
    made.day.close()
