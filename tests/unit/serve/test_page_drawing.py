"""How boards are drawn."""

from __future__ import annotations

from halab.serve import pages


def test_equal_marks_become_one_bar() -> None:
    assert pages.bars("00x~. ") == [
        {"kind": "ok", "x": 0, "width": 2, "height": 28},
        {"kind": "failed", "x": 2, "width": 1, "height": 100},
        {"kind": "some", "x": 3, "width": 1, "height": 100},
        {"kind": "blind", "x": 4, "width": 1, "height": 100},
    ]


def test_the_time_before_the_view_began_is_empty() -> None:
    assert pages.bars("...0.") == [
        {"kind": "ok", "x": 3, "width": 1, "height": 28}, {"kind": "blind", "x": 4, "width": 1, "height": 100},
    ]  # fmt: skip
    assert pages.bars("....") == []


def test_times_are_read_from_the_back_of_a_room() -> None:
    assert [pages.clock(seconds) for seconds in (0, 65.9, 3725)] == ["0:00", "1:05", "1:02:05"]
    assert [pages.lasting(seconds) for seconds in (0.4, 99, 240, 7200)] == ["0s", "99s", "4m", "2h"]
