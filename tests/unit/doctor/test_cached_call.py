"""A call whose value or error is remembered."""

from __future__ import annotations

import pytest

from halab.doctor.cached_call import CachedCall
from halab.errors import HostProblem


def test_an_error_is_remembered_like_a_value() -> None:
    calls = []

    def refuse() -> int:
        calls.append(1)
        raise HostProblem("refused")

    once = CachedCall(refuse)
    for _ in range(2):
        with pytest.raises(HostProblem):
            once()
    assert calls == [1]
