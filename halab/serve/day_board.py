"""What the pages show of a game day, as data that can be written as JSON. Pure.

While it runs, a learner's board has the title, the clock and the stop conditions, which are about what clients see. It
does not have the breaks, the log, the seed, the file, or what the team should learn. When it is over, it has all.
"""

from __future__ import annotations

import shlex
from typing import Any

from halab.gameday.seen import BreakSeen, BreakState, DaySeen, Phase
from halab.printable import printable
from halab.scenario.record.folder import RunFolder

Board = dict[str, Any]

# The newest lines of a log are shown; the debrief has all.
_LINES = 60
PHASES = {
    Phase.PREPARING: "Preparing: halab checks that the lab is steady",
    Phase.ON: "Running",
    Phase.ENDING: "Ending: halab heals everything and writes the report",
    Phase.OVER: "Over",
}
_VERDICTS = {"pass": "passed", "fail": "failed", "error": "error", "skip": "skipped"}


def for_learner(seen: DaySeen) -> Board:
    """The game day as its team may see it. With `debrief` when it is over."""
    board = {
        "title": seen.notice.title,
        "phase": str(seen.phase),
        "phase_in_words": PHASES[seen.phase],
        "seconds": round(seen.seconds),
        "lasts": seen.notice.lasts,
        "conditions": [
            {
                "probe": each.probe,
                "bound": each.bound,
                "now": round(each.now, 1),
                "longest": round(each.longest, 1),
                "share": _percent(each.now, each.bound),
                "longest_share": _percent(each.longest, each.bound),
            }
            for each in seen.conditions
        ],
        "lost_write_stops": seen.notice.stop.lost_write,
        "writes": {
            "acknowledged": seen.writes.acknowledged,
            "lost": seen.writes.lost,
            "ago": round(seen.writes.ago),
        }
        if seen.writes
        else None,
        "stopped": seen.stopped,
        "is_over": seen.phase is Phase.OVER,
    }
    if seen.phase is Phase.OVER:
        board["debrief"] = _hidden(seen)
    return board


def for_trainer(seen: DaySeen) -> Board:
    """What the team must not know before the end, and where the record is."""
    return {**_hidden(seen), "folder": shlex.quote(str(seen.folder.path))}


def report_of(seen: DaySeen | None) -> RunFolder | None:
    """The folder whose report may be opened: that of a game day that is over."""
    return seen.folder if seen and seen.phase is Phase.OVER else None


def _percent(outage: float, bound: float) -> int:
    """The part of its bound that an outage takes, at most 100."""
    return min(100, round(100 * outage / bound)) if bound else 100


def _hidden(seen: DaySeen) -> Board:
    plan = seen.notice
    return {
        "about": plan.about,
        "seed": plan.seed,
        "file": plan.file,
        "verdict": seen.verdict,
        "verdict_in_words": _VERDICTS.get(seen.verdict or "", "no verdict"),
        "reasons": [printable(reason) for reason in seen.reasons],
        "breaks": [_break(each, seen) for each in sorted(seen.breaks, key=lambda each: each.planned.begins)],
        "log": [
            {"clock": row.clock, "who": row.who, "what": printable(row.what)}
            for row in reversed(seen.log[-_LINES:])
        ],
        "earlier_lines": max(0, len(seen.log) - _LINES),
        "has_report": seen.has_report,
    }


def _break(each: BreakSeen, seen: DaySeen) -> Board:
    """A break, with its planned and real times in seconds after the start."""
    planned, lasts = each.planned, seen.notice.lasts
    end = lasts if planned.healed is None else min(planned.healed, lasts)
    return {
        "name": planned.name,
        "state": str(each.state),
        "begins": planned.begins,
        "heals": planned.healed if planned.healed is not None and planned.healed < lasts else None,
        "planned_until": end,
        "begun": each.begun,
        "until": None if each.begun is None else min(each.healed or seen.seconds, lasts),
        "healed": each.healed,
        "machines": list(each.machines),
        "faults": [f"{fault.fault} on {fault.on}" for fault in planned.faults],
        "can_be_healed": each.state in (BreakState.OPEN, BreakState.BEGINNING, BreakState.NOT_HEALED),
    }
