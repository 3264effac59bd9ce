"""Expectations in words and limits, and how long a run waits for them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from halab.config.expectation import Expectation
from halab.scenario.verdict.judgement import Unit
from halab.scenario.verdict.promises import Limit, limit_seconds, limits, promised, waited_seconds


def expectation(**values: Any) -> Expectation:
    found: Expectation = TypeAdapter(Expectation).validate_python(values)
    return found


WRITES = {"probe": "write-via-lb"}
LEADER = {"fact": "etcd-leader"}
OVER = {"during": "f"}
SECONDS, SHARE, COUNT = Unit.SECONDS, Unit.SHARE, Unit.COUNT


@pytest.mark.parametrize(
    ("values", "words", "waited", "limit", "bounds"),
    [
        ({**WRITES, "ok": "within 5s"}, "write-via-lb ok within 5s", 5, 5, [("ok within", SECONDS, 5, 0)]),
        (
            {"probe": "ready-direct", "on": "f", "fails": "within 10s"},
            "ready-direct on f fails within 10s", 10, 10, [("fails within", SECONDS, 10, 0)],
        ),
        ({**WRITES, **OVER, "ok": "always"}, "write-via-lb ok always during f", None, None, []),
        ({**WRITES, **OVER, "fails": "always"}, "write-via-lb fails always during f", None, None, []),
        (
            {**WRITES, **OVER, "longest_outage": "2s to 5s"},
            "write-via-lb longest outage 2s to 5s during f", None, 5, [("longest outage", SECONDS, 5, 2)],
        ),
        (
            {**WRITES, **OVER, "longest_outage": "at least 2s"},
            "write-via-lb longest outage at least 2s during f", None, None, [("longest outage", SECONDS, None, 2)],
        ),
        (
            {**WRITES, **OVER, "failed_share": "20%", "outages": 3},
            "write-via-lb failed share at most 20%, outages at most 3 during f", None, None,
            [("failed share", SHARE, 0.2, 0), ("outages", COUNT, 3, 0)],
        ),
        (
            {**LEADER, "changed": "within 5s"},
            "etcd-leader changed within 5s", 5, 5, [("changed within", SECONDS, 5, 0)],
        ),
        # what is only looked at once more
        ({**LEADER, "unchanged": True}, "etcd-leader unchanged", 0, None, []),
        ({**LEADER, **OVER, "unchanged": True}, "etcd-leader unchanged during f", None, None, []),
        (
            {"fact": "backend", "on": "f", "value": "down", "reached": "within 5s"},
            "backend on f is down within 5s", 5, 5, [("reached within", SECONDS, 5, 0)],
        ),
        ({"fact": "backend", "on": "f", "value": "down", **OVER}, "backend on f is down during f", None, None, []),
        (
            {"fact": "etcd-term", **OVER, "increase": "1 to 3"},
            "etcd-term increases by 1 to 3 during f", None, None, [("increase", COUNT, 3, 1)],
        ),
    ],
)  # fmt: skip
def test_a_promise_in_words_and_limits(
    values: dict[str, Any],
    words: str,
    waited: float | None,
    limit: float | None,
    bounds: list[tuple[str, Unit, float | None, float]],
) -> None:
    promise = expectation(**values)
    assert promised(promise) == words
    assert (waited_seconds(promise), limit_seconds(promise)) == (waited, limit)
    assert limits(promise) == [Limit(*each) for each in bounds]


def test_a_limit_for_programs() -> None:
    assert Limit("outages", COUNT, 3).as_data() == {
        "what": "outages",
        "unit": "count",
        "least": 0.0,
        "most": 3,
    }
