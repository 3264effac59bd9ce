"""Judge a recorded run and write its report into the run's folder."""

from __future__ import annotations

from halab.files import replace
from halab.report import game_day, junit, page
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result
from halab.scenario.verdict.verdict import judge


def render(folder: RunFolder) -> Result:
    """Judge a run from its folder alone, and write result.json, junit.xml and report.html.

    A game day also gets its log.
    """
    evidence = folder.read()
    result = judge(evidence)
    replace(folder.result, result.to_json())
    replace(folder.junit, junit.text(result))
    if evidence.meta.is_game_day:
        replace(folder.log, game_day.to_json(evidence))
    replace(folder.page, page.html(result, evidence, logs=_more_files(folder)))
    return result


def _more_files(folder: RunFolder) -> list[str]:
    """The log files of the run and what only some runs have, as paths relative to its folder."""
    paths = [path for path in folder.logs.rglob("*") if path.is_file()] if folder.logs.is_dir() else []
    paths += [path for path in (folder.operations, folder.operations_page) if path.is_file()]
    return sorted(path.relative_to(folder.path).as_posix() for path in paths)
