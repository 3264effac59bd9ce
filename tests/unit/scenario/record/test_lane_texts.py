"""Lanes as texts in files and in sentences."""

from __future__ import annotations

import pytest

from halab.scenario.record.lanes import Lane


@pytest.mark.parametrize(
    ("lane", "text", "words"),
    [
        (Lane("write-via-lb"), "write-via-lb", "write-via-lb"),
        (Lane("ready-direct", "cp2"), "ready-direct@cp2", "ready-direct on cp2"),
    ],
)
def test_a_lane_is_one_text_in_files_and_another_in_sentences(lane: Lane, text: str, words: str) -> None:
    assert (str(lane), lane.in_words) == (text, words)
    assert Lane.parse(text) == lane
