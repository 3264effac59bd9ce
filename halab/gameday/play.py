"""Play a game day on a lab: record it, heal everything at the end, also after an error, and judge it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from halab.errors import afterwards
from halab.gameday import book, notice
from halab.gameday.library import GameDayScript
from halab.gameday.run import GameDayRun
from halab.lifecycle.lab import LabDir
from halab.progress import Progress
from halab.report.render import render
from halab.scenario.record.folder import RunFolder
from halab.scenario.run.session import opened
from halab.scenario.verdict.result import Result

_DOING = "game day (`halab gameday heal` heals its breaks)"


def play(
    lab_dir: LabDir,
    found: GameDayScript,
    progress: Progress,
    *,
    seed: int,
    on_result: Callable[[RunFolder, Result], None],
) -> Result:
    """Play a game day to its end. `on_result` gets its folder and its result, also after Ctrl-C.

    Raises HalabError if it cannot start: the lab is not up or is in use, or a fault is open. After Ctrl-C, everything
    is healed and the report is written before KeyboardInterrupt is raised again.
    """
    results: list[Result] = []

    def judge() -> None:
        results.append(render(folder))
        on_result(folder, results[0])

    with opened(lab_dir, progress, seed=seed, doing=_DOING) as session, book.opened(lab_dir.work) as reader:
        folder = session.prepare(found.script)
        folder.game_day.write_bytes(found.content)
        notice.post(lab_dir.work, notice.of(found, seed), folder)
        progress.say(f"the record is in {folder.path}")
        with afterwards(judge), afterwards(session.heal):
            run = partial(GameDayRun, day=found.day, plan=found.plan, book=reader)
            session.play(found.script, folder, run=run)
    return results[0]
