"""Which recorded runs come into the history, and that each is in it once."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from support.recorded_runs import copy_run

from halab.errors import HalabError
from halab.report import history_update
from halab.report.history_file import HistoryFile
from halab.report.history_update import HistoryUpdate
from halab.report.recorded_runs import find
from halab.report.render import render
from halab.scenario.record.folder import RunFolder

HAPROXY, NGINX = "stop-apiserver-haproxy", "stop-apiserver-nginx"


def finished(name: str, to: Path) -> RunFolder:
    run = copy_run(name, to)
    render(run)
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder of the runs of a lab, with two of them."""
    folder = tmp_path / "runs"
    folder.mkdir()
    finished(HAPROXY, folder / "1-stop-apiserver")
    finished(NGINX, folder / "2-stop-apiserver")
    return folder


def updated(runs: Path) -> HistoryUpdate:
    update = HistoryUpdate(HistoryFile(runs / "history.sqlite"))
    update.add_all(find([runs]))
    return update


def folders(runs: Path) -> list[str]:
    return [run.folder for run in HistoryFile(runs / "history.sqlite").entries()]


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_finished_runs_are_added_once(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert updated(runs).added == 2
    monkeypatch.setattr(
        history_update, "judge", lambda evidence: pytest.fail("a known run was judged again")
    )
    again = updated(runs)
    assert (again.added, again.left_out, again.refused) == (0, {}, [])
    assert folders(runs) == ["1-stop-apiserver", "2-stop-apiserver"]


def test_the_history_can_be_made_again(runs: Path) -> None:
    updated(runs)
    kept = HistoryFile(runs / "history.sqlite")
    before = kept.runs("stop-apiserver")
    kept.path.unlink()
    updated(runs)
    assert kept.runs("stop-apiserver") == before
    assert before[0].figures


def test_a_result_that_was_written_again_replaces_the_old_one(runs: Path) -> None:
    updated(runs)
    render(RunFolder(runs / "1-stop-apiserver"))
    os.utime(runs / "1-stop-apiserver/result.json", (1, 1))
    assert updated(runs).added == 1
    assert sorted(folders(runs)) == ["1-stop-apiserver", "2-stop-apiserver"]


def test_runs_that_go_on_game_days_and_copies_do_not_count(runs: Path) -> None:
    copy_run(HAPROXY, runs / "3-running")
    change(finished(HAPROXY, runs / "4-game-day").meta, is_game_day=True)
    finished(HAPROXY, runs / "5-copy")
    update = updated(runs)
    assert update.added == 2
    assert update.left_out == {"not finished": 1, "game days": 1, "copies": 1}


def test_a_run_that_was_moved_is_known_at_its_new_place(runs: Path) -> None:
    updated(runs)
    shutil.move(runs / "1-stop-apiserver", runs / "9-moved")
    assert updated(runs).added == 1
    assert sorted(folders(runs)) == ["2-stop-apiserver", "9-moved"]


def test_figures_of_a_run_that_was_removed_stay(runs: Path) -> None:
    updated(runs)
    shutil.rmtree(runs / "1-stop-apiserver")
    assert updated(runs).added == 0
    assert folders(runs) == ["1-stop-apiserver", "2-stop-apiserver"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("samples.jsonl", "x\n" * 3),
        ("meta.json", "{"),
        ("scenario.yml", "steps: 1\n"),
        ("timeline.jsonl", None),
    ],
)
def test_a_broken_run_is_refused_and_the_others_count(name: str, content: str | None, runs: Path) -> None:
    file = runs / "1-stop-apiserver" / name
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    update = updated(runs)
    assert update.added == 1 and len(update.refused) == 1
    assert update.refused[0].folder.name == "1-stop-apiserver" and name in update.refused[0].why


def test_a_run_that_did_not_begin_at_a_time_is_refused(runs: Path) -> None:
    change(runs / "1-stop-apiserver/meta.json", started="yesterday")
    update = updated(runs)
    assert "meta.json: started: " in update.refused[0].why and update.added == 1


def test_a_file_that_cannot_be_read_is_refused(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: RunFolder) -> None:
        raise PermissionError(13, "Permission denied", str(self.meta))

    monkeypatch.setattr(RunFolder, "read_meta", refuse)
    assert "Permission denied" in updated(runs).refused[0].why


def test_what_was_judged_before_an_interrupt_stays(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_update, "_BATCH", 1)
    paths = find([runs])

    def interrupt(text: str) -> None:
        if text.startswith("2 of 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HistoryUpdate(HistoryFile(runs / "history.sqlite")).add_all(paths, interrupt)
    assert folders(runs) == ["1-stop-apiserver"]


def test_a_history_that_cannot_be_written_ends_the_update(runs: Path) -> None:
    (runs / "history.sqlite").write_text("no database" * 100)
    with pytest.raises(HalabError, match="not a database"):
        updated(runs)
