"""The SQLite file of the history: runs are in it once, and whatever is wrong with it is one clear error."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from halab.config.load_balancer import Balancer
from halab.config.twin import Verdict
from halab.errors import BadUsage, Corrupted, HostProblem, LabProblem
from halab.report import history_file
from halab.report.history import HistoryFigure, HistoryRun
from halab.report.history_file import HistoryFile
from halab.scenario.verdict.judgement import Unit

RUN = HistoryRun(
    scenario="stop-apiserver",
    started="2026-11-29T10:15:00+01:00",
    lab="ha",
    seed=7,
    is_twin=False,
    title="One API server is stopped",
    verdict=Verdict.PASS,
    seconds=61.5,
    load_balancer=Balancer.HAPROXY,
    provider="libvirt",
    acceleration="kvm",
    setting="",
    kubernetes="1.37.2",
    halab="1.0",
    revision="",
    steps="abc",
    folder="1-stop-apiserver",
    stamp="1 2",
    figures=(
        HistoryFigure("step 2", "ok within 5s", "ok", 1, Unit.SECONDS, 0.25, 0.0, 5.0),
        HistoryFigure("clients", "longest outage", "longest outage", 1, Unit.SECONDS, 1.5, 0.0, None),
    ),
)


@pytest.fixture
def kept(tmp_path: Path) -> HistoryFile:
    return HistoryFile(tmp_path / "history.sqlite")


def connected_with(statement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every connection begin with a statement."""
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def limited(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*given, **named)
        connection.execute(statement)
        return connection

    monkeypatch.setattr(sqlite3, "connect", limited)


def test_without_a_file_there_are_no_runs_and_none_is_made(kept: HistoryFile) -> None:
    kept.add([])
    assert kept.entries() == [] and kept.runs("stop-apiserver") == []
    assert not kept.path.exists()


def test_runs_come_back_as_they_were_added(kept: HistoryFile) -> None:
    twin = replace(RUN, is_twin=True, verdict=Verdict.FAIL, figures=())
    other = replace(RUN, scenario="kill-etcd-member")
    kept.add([RUN, twin, other])
    assert kept.runs("stop-apiserver") == [RUN]
    assert kept.runs("stop-apiserver", is_twin=True) == [twin]
    assert kept.entries() == [replace(run, figures=()) for run in (RUN, twin, other)]
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def test_a_run_that_is_added_again_replaces_the_old_entry_and_its_figures(kept: HistoryFile) -> None:
    again = replace(RUN, verdict=Verdict.FAIL, stamp="3 4", figures=RUN.figures[:1])
    kept.add([RUN])
    kept.add([again])
    assert kept.runs("stop-apiserver") == [again]
    with sqlite3.connect(kept.path) as connection:
        assert connection.execute("SELECT count(*) FROM figures").fetchone() == (1,)


def test_of_runs_that_are_added_together_all_are_added_or_none(kept: HistoryFile) -> None:
    kept.add([RUN])
    wrong = replace(RUN, scenario="other", figures=(replace(RUN.figures[0], value=object()),))  # type: ignore[arg-type]
    with pytest.raises(Corrupted):
        kept.add([replace(RUN, scenario="another"), wrong])
    assert len(kept.entries()) == 1


def test_users_can_ask_it_with_sql(kept: HistoryFile) -> None:
    kept.add([RUN])
    with sqlite3.connect(kept.path) as connection:
        rows = connection.execute(
            "SELECT started, kubernetes, value FROM figures JOIN runs USING (run) WHERE what = 'longest outage'"
        ).fetchall()
    assert rows == [("2026-11-29T10:15:00+01:00", "1.37.2", 1.5)]


def spoil(kept: HistoryFile, statement: str) -> None:
    kept.add([RUN])
    with sqlite3.connect(kept.path) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("PRAGMA user_version = 9", "another version of halab made it"),
        ("UPDATE runs SET verdict = 'perhaps'", "verdict"),
        ("UPDATE runs SET started = 'yesterday'", "yesterday"),
        ("UPDATE runs SET title = x'ff'", "title"),
        ("DROP TABLE figures", "no such table: figures"),
    ],
)
def test_a_file_that_was_changed_is_an_error_with_the_fix(
    statement: str, why: str, kept: HistoryFile
) -> None:
    spoil(kept, statement)
    with pytest.raises(Corrupted, match=why) as error:
        kept.runs("stop-apiserver")
    assert error.value.hint and error.value.hint.startswith(f"remove it (`rm {kept.path}`)")


def test_a_file_of_another_program_is_an_error(kept: HistoryFile) -> None:
    kept.path.write_text("no database, but long enough for the header of one" * 50)
    for act in (kept.entries, lambda: kept.add([RUN])):
        with pytest.raises(Corrupted, match="file is not a database"):
            act()


def test_tables_of_another_program_are_not_touched(kept: HistoryFile) -> None:
    with sqlite3.connect(kept.path) as connection:
        connection.execute("CREATE TABLE runs (mine)")
    assert kept.entries() == []
    with pytest.raises(Corrupted, match="table runs already exists"):
        kept.add([RUN])


def test_a_damaged_file_is_an_error(kept: HistoryFile) -> None:
    kept.add([replace(RUN, seed=seed) for seed in range(200)])
    content = bytearray(kept.path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    kept.path.write_bytes(content)
    with pytest.raises(Corrupted, match="malformed"):
        kept.entries()


def test_an_empty_file_is_filled(kept: HistoryFile) -> None:
    kept.path.touch()
    assert kept.entries() == []
    kept.add([RUN])
    assert len(kept.entries()) == 1


def test_a_locked_file_is_an_error(kept: HistoryFile, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.add([RUN])
    monkeypatch.setattr(history_file, "_WAIT_SECONDS", 0)
    other = sqlite3.connect(kept.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        for act in (kept.entries, lambda: kept.add([RUN])):
            with pytest.raises(LabProblem, match="another program writes the history"):
                act()
    finally:
        other.close()
    assert len(kept.entries()) == 1


def test_a_full_disk_is_an_error_and_the_earlier_runs_stay(
    kept: HistoryFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.add([RUN])
    connected_with("PRAGMA max_page_count = 1", monkeypatch)
    with pytest.raises(HostProblem, match="the disk is full") as error:
        kept.add([replace(RUN, seed=seed) for seed in range(100)])
    assert error.value.hint == "make room, and run the command again"
    assert kept.entries() == [replace(RUN, figures=())]


def test_a_file_that_must_not_be_written_can_still_be_read(
    kept: HistoryFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.add([RUN])
    connected_with("PRAGMA query_only = ON", monkeypatch)
    assert len(kept.entries()) == 1
    with pytest.raises(HostProblem, match="it is read-only"):
        kept.add([replace(RUN, seed=8)])


def test_a_pipe_is_an_error(kept: HistoryFile) -> None:
    os.mkfifo(kept.path)
    with pytest.raises(BadUsage, match="not a regular file"):
        kept.entries()
