"""Questions that are asked once."""

from __future__ import annotations

import pytest

from halab.doctor.once import Once
from halab.errors import HostProblem


def test_an_error_is_kept_like_an_answer() -> None:
    asked = []

    def refuse() -> int:
        asked.append(1)
        raise HostProblem("refused")

    once = Once(refuse)
    for _ in range(2):
        with pytest.raises(HostProblem):
            once()
    assert asked == [1]
