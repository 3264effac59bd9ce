"""The real program that checks reads and writes, with histories made by hand. It needs Go, and no lab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from halab.images.go import Go
from halab.progress import Quiet
from halab.scenario.record.folder import RunFolder
from halab.scenario.record.linearity import Linearity
from halab.scenario.record.operations import Ended, Started, to_json
from halab.scenario.run.linearizability import check

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(Go().program is None, reason="Go is not installed on this host"),
]

Lines = Sequence[Started | Ended]
WRITES: Lines = [
    Started(1, 0, "cp1", "a", 0, "1"),
    Ended(1, 10, True, "1"),
    Started(2, 0, "cp1", "a", 20, "2"),
    Ended(2, 30, True, "2"),
]


def read(number: int, value: str | None, start: int, end: int) -> Lines:
    return [Started(number, 1, "cp2", "a", start), Ended(number, end, True, value)]


@pytest.mark.parametrize(
    ("lines", "result"),
    [
        ([*WRITES, *read(3, "2", 40, 50)], Linearity.OK),
        # an old value after the answer to the write of a new one
        ([*WRITES, *read(3, "1", 40, 50)], Linearity.ILLEGAL),
        # while that write still waited, either value is right
        ([*WRITES, *read(3, "1", 25, 50)], Linearity.OK),
        # but not the new one and then the old one
        ([*WRITES, *read(3, "2", 21, 22), *read(4, "1", 23, 24)], Linearity.ILLEGAL),
        # a write without an answer may take effect later, or never
        ([*WRITES[:3], *read(3, "1", 40, 50)], Linearity.OK),
        ([*WRITES[:3], *read(3, "1", 40, 50), *read(4, "2", 60, 70)], Linearity.OK),
        # but it cannot be undone
        ([*WRITES[:3], *read(3, "2", 40, 50), *read(4, "1", 60, 70)], Linearity.ILLEGAL),
        # a lost write, and a value that nobody wrote
        ([*WRITES, *read(3, None, 40, 50)], Linearity.ILLEGAL),
        ([*WRITES, *read(3, "7", 40, 50)], Linearity.ILLEGAL),
        # of another key
        ([*WRITES, Started(3, 1, "cp2", "b", 40), Ended(3, 50, True)], Linearity.OK),
    ],
)
def test_a_stale_read_is_found(lines: Lines, result: Linearity, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.operations.write_text("".join(f"{to_json(line)}\n" for line in lines))
    found = check(folder, Quiet())
    assert found.result is result
    assert folder.operations_page.exists() is (result is Linearity.ILLEGAL)
    assert bool(found.seen) is (result is Linearity.ILLEGAL)


def test_a_stale_read_is_found_among_many_writes_without_an_answer(tmp_path: Path) -> None:
    """As they are after hours of faults. An answer "unknown" would hide it: a soak goes on after an error."""
    lines: list[Started | Ended] = []
    for number in range(1, 3000, 3):
        at = 100 * number
        lines += [Started(number, 0, "cp1", "a", at, str(number)), Ended(number, at + 10, True, str(number))]
        lines += read(number + 1, str(number), at + 20, at + 30)
        if number % 50 == 1:
            lines.append(Started(number + 2, 2, "cp3", "a", at, str(number + 2)))
    folder = RunFolder(tmp_path)
    for last, result in (("2998", Linearity.OK), ("2995", Linearity.ILLEGAL)):
        shown = [*lines, *read(9000, last, 400_000, 400_010)]
        folder.operations.write_text("".join(f"{to_json(line)}\n" for line in shown))
        found = check(folder, Quiet())
        assert (found.result, found.unknown) == (result, 20)
