"""What the tests of the pages share: a lab without machines that is served."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.serve_room import ServeRoom


@pytest.fixture
def room(tmp_path: Path) -> ServeRoom:
    return ServeRoom(tmp_path)
