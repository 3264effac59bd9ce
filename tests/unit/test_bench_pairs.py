"""scripts/bench --against: the order of pairs, what is counted as work, and that nothing is left behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def pairs() -> Iterator[Any]:
    sys.path.insert(0, str(SCRIPTS))
    import bench_pairs

    yield bench_pairs
    sys.path.remove(str(SCRIPTS))


def tool(pairs: Any, folder: Path, name: str, make: str = "true") -> Any:
    return pairs.Tool(name, f"echo make {name} >>order && {make}", f"echo remove {name} >>order", folder)


def test_idle_waiting_and_stolen_time_is_no_work(pairs: Any) -> None:
    stat = "cpu  100 20 30 9000 800 4 6 700 50 60\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    assert pairs.work_seconds(stat, 100) == pytest.approx(1.60)


def test_every_second_pair_begins_with_the_other_tool(
    pairs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []
    mine, other = tool(pairs, tmp_path, "halab"), tool(pairs, tmp_path, "other")
    pairs.compare(mine, other, 2, tmp_path / "log", pauses.append)
    order = [
        line.split()[1] for line in (tmp_path / "order").read_text().splitlines() if line.startswith("make")
    ]
    assert order == ["halab", "other", "other", "halab"]
    assert pauses == [pairs.QUIET_SECONDS] * 4
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "halab",
        "pair",
        "pair",
        "median",
    ]


def test_the_ratio_of_the_last_line_is_the_median_of_the_ratios(
    pairs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = iter([(60, 80), (90, 60), (60, 30), (30, 30), (50, 90), (100, 60)])
    monkeypatch.setattr(pairs, "_timed", lambda tool, log: pairs.Spent(*next(spent)))
    mine, other = tool(pairs, tmp_path, "halab"), tool(pairs, tmp_path, "other")
    pairs.compare(mine, other, 3, tmp_path / "log", lambda seconds: None)
    lines = capsys.readouterr().out.splitlines()
    # the other tool was first in the second pair
    assert lines[2].split() == ["pair", "2", "30.0", "60.0", "0.50", "30.0", "30.0", "1.00"]
    assert lines[-1].split() == ["median", "50.0", "90.0", "0.50", "80.0", "60.0", "1.33"]


def test_a_failure_removes_what_was_made_and_shows_the_end_of_the_output(pairs: Any, tmp_path: Path) -> None:
    mine = tool(pairs, tmp_path, "halab", "{ echo no room; exit 7; }")
    with pytest.raises(pairs.CommandFailed, match=r"^halab: exit code 7: .*\nno room$"):
        pairs.compare(mine, tool(pairs, tmp_path, "other"), 1, tmp_path / "log")
    assert (tmp_path / "order").read_text().splitlines() == ["make halab", "remove halab"]


def test_an_interrupt_removes_what_was_made(
    pairs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, real = tool(pairs, tmp_path, "halab"), pairs._run

    def run(of: Any, command: str, log: Path) -> None:
        if command == mine.make:
            raise KeyboardInterrupt
        real(of, command, log)

    monkeypatch.setattr(pairs, "_run", run)
    with pytest.raises(KeyboardInterrupt):
        pairs.compare(mine, mine, 1, tmp_path / "log")
    assert (tmp_path / "order").read_text().splitlines() == ["remove halab"]
