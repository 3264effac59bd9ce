"""Time `halab up` and a command of another tool in turn. Part of scripts/bench.

The processor time is that of the whole machine: also of the container engine, and of everything else that runs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# After the removal, the engine still works for a moment.
QUIET_SECONDS = 5
_STAT = Path("/proc/stat")
_TAIL_LINES = 12
_TICK_SECONDS = 0.01
# The columns of the first line of /proc/stat that are work: user, nice, system, interrupts and soft interrupts. Time of
# guests is part of user time. Idle time, waiting time and what a hypervisor took away are no work.
_WORK = (1, 2, 3, 6, 7)


@dataclass(frozen=True)
class Spent:
    """What a command took, in seconds on the clock and in seconds of a core."""

    wall: float
    processor: float

    def over(self, other: Spent) -> Spent:
        """Divide by what another command took: two ratios. Less than a tick of the kernel's clock counts as one."""
        return Spent(
            self.wall / max(other.wall, _TICK_SECONDS), self.processor / max(other.processor, _TICK_SECONDS)
        )


@dataclass(frozen=True)
class Tool:
    """A tool that is compared: a shell command that makes something, one that removes it, and where they run."""

    name: str
    make: str
    remove: str
    folder: Path


class CommandFailed(Exception):
    """A command of a pair failed. The message has the end of its output."""


def compare(
    halab: Tool, other: Tool, count: int, log: Path, pause: Callable[[float], object] = time.sleep
) -> None:
    """Time both tools `count` times in turn, and print a line for each pair and the medians.

    Every second pair begins with the other tool. What a tool has made is removed, also after a failure and Ctrl-C.
    Raises CommandFailed.
    """
    print(
        f"{'':<8}{'halab up, s':>14}{'other, s':>14}{'ratio':>8}{'processor, s':>16}{'other, s':>14}{'ratio':>8}"
    )
    pairs = []
    for number in range(1, count + 1):
        tools = (halab, other) if number % 2 else (other, halab)
        spent = {}
        for tool in tools:
            spent[tool] = _timed(tool, log)
            pause(QUIET_SECONDS)
        pairs.append((spent[halab], spent[other]))
        print(_line(f"pair {number}", *pairs[-1], pairs[-1][0].over(pairs[-1][1])), flush=True)
    ratios = [mine.over(theirs) for mine, theirs in pairs]
    print(
        _line(
            "median",
            _median([mine for mine, _ in pairs]),
            _median([theirs for _, theirs in pairs]),
            _median(ratios),
        )
    )


def work_seconds(stat: str, ticks_per_second: int) -> float:
    """The processor time that this machine has worked since its start, in seconds, from the text of /proc/stat."""
    columns = stat.splitlines()[0].split()
    return sum(int(columns[column]) for column in _WORK) / ticks_per_second


def _timed(tool: Tool, log: Path) -> Spent:
    try:
        begun, before = time.monotonic(), _worked()
        _run(tool, tool.make, log)
        return Spent(time.monotonic() - begun, _worked() - before)
    finally:
        _run(tool, tool.remove, log)


def _worked() -> float:
    return work_seconds(_STAT.read_text(), os.sysconf("SC_CLK_TCK"))


def _run(tool: Tool, command: str, log: Path) -> None:
    with log.open("wb") as output:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tool.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").rstrip().splitlines()[-_TAIL_LINES:])
        raise CommandFailed(f"{tool.name}: exit code {done.returncode}: {command}\n{tail}")


def _median(spent: Sequence[Spent]) -> Spent:
    return Spent(
        statistics.median(each.wall for each in spent), statistics.median(each.processor for each in spent)
    )


def _line(what: str, mine: Spent, theirs: Spent, ratio: Spent) -> str:
    return (
        f"{what:<8}{mine.wall:>14.1f}{theirs.wall:>14.1f}{ratio.wall:>8.2f}"
        f"{mine.processor:>16.1f}{theirs.processor:>14.1f}{ratio.processor:>8.2f}"
    )
