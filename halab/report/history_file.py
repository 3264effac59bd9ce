"""The figures of recorded runs in one SQLite file. It can be made again at any time: the runs are the truth."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from halab import files
from halab.errors import Corrupted, HalabError, HostProblem, LabProblem
from halab.report.history import HistoryFigure, HistoryRun
from halab.scenario.record.lines import first_problem

SCHEMA = 1
# Another command writes for a fraction of a second.
_WAIT_SECONDS = 5.0

_RUN = [each.name for each in fields(HistoryRun) if each.name != "figures"]
_FIGURE = [each.name for each in fields(HistoryFigure)]
_TABLES = f"""
CREATE TABLE runs (run INTEGER PRIMARY KEY, {", ".join(_RUN)}, UNIQUE (scenario, started, lab, seed, is_twin));
CREATE TABLE figures (run INTEGER NOT NULL REFERENCES runs (run) ON DELETE CASCADE, {", ".join(_FIGURE)});
CREATE INDEX figures_of_a_run ON figures (run);
PRAGMA user_version = {SCHEMA};
"""
_KEY = "scenario = ? AND started = ? AND lab = ? AND seed = ? AND is_twin = ?"
_PROBLEMS_OF_THE_DISK = {
    sqlite3.SQLITE_FULL: ("the disk is full", "make room, and run the command again"),
    sqlite3.SQLITE_READONLY: ("it is read-only", "check whether you may write there"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "check whether you may write to its folder"),
    sqlite3.SQLITE_PERM: ("permission denied", "check whether you may write there"),
    sqlite3.SQLITE_IOERR: ("the disk reports an error", "check whether the disk is full"),
}


class HistoryFile:
    """The file is made when the first run is added. Every method raises HalabError with what to do about it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[HistoryRun]:
        """All runs, without their figures."""
        return self._validated(dict(row) for row in self._rows(f"SELECT {', '.join(_RUN)} FROM runs"))

    def runs(self, scenario: str, *, is_twin: bool = False) -> list[HistoryRun]:
        """The runs of a scenario with their figures."""
        query = "SELECT * FROM runs WHERE scenario = ? AND is_twin = ?"
        runs = {row["run"]: {**row, "figures": []} for row in self._rows(query, (scenario, is_twin))}
        figures = f"SELECT figures.* FROM figures JOIN runs USING (run) WHERE {query.partition('WHERE ')[2]}"
        for row in self._rows(figures, (scenario, is_twin)):
            runs[row["run"]]["figures"].append(dict(row))
        return self._validated(runs.values())

    def add(self, runs: Iterable[HistoryRun]) -> None:
        """Add runs, each in the place of an earlier entry of the same run. All of them are added, or none."""
        entries = list(runs)
        if not entries:
            return
        with self._opened() as connection, connection:
            # the lock comes first, so that two commands do not make the tables at the same time
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
            for run in entries:
                connection.execute(f"DELETE FROM runs WHERE {_KEY}", run.key)
                values = [getattr(run, name) for name in _RUN]
                number = connection.execute(_insert("runs", _RUN), values).lastrowid
                connection.executemany(
                    _insert("figures", ["run", *_FIGURE]),
                    [(number, *(getattr(figure, name) for name in _FIGURE)) for figure in run.figures],
                )

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        if not self.path.exists():
            return []
        with self._opened() as connection:
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                return []
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if self.path.exists():
            files.require_regular(self.path)
        try:
            # only the user may read it, as the runs
            os.close(os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(
                sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)
            ) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA foreign_keys = ON")
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version not in (0, SCHEMA):
                    raise self._unreadable("another version of halab made it")
                yield connection
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def _validated(self, rows: Iterable[Mapping[str, Any]]) -> list[HistoryRun]:
        try:
            runs = TypeAdapter(list[HistoryRun]).validate_python(list(rows))
            for run in runs:
                _ = run.moment
        except ValidationError as error:
            raise self._unreadable(first_problem(error)) from error
        except ValueError as error:
            raise self._unreadable(str(error)) from error
        return runs

    def _problem(self, error: sqlite3.Error) -> HalabError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return LabProblem(
                f"another program writes the history: {self.path}", hint="wait until it ends, and try again"
            )
        if code in _PROBLEMS_OF_THE_DISK:
            why, hint = _PROBLEMS_OF_THE_DISK[code]
            return HostProblem(f"cannot use the history: {self.path}: {why}", hint=hint)
        return self._unreadable(str(error))

    def _unreadable(self, why: str) -> Corrupted:
        return Corrupted(
            f"cannot read the history: {self.path}: {why}",
            hint=f"remove it (`rm {shlex.quote(str(self.path))}`): "
            "the next `halab history` makes it again from the runs; the figures of runs that you have removed are lost",
        )


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
