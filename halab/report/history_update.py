"""Bring recorded runs that the history does not have yet into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from halab import files
from halab.errors import Corrupted, HalabError
from halab.report import proof
from halab.report.history import HistoryRun, digest_of, key_of, run_of
from halab.report.history_file import HistoryFile
from halab.report.recorded_runs import Refused
from halab.report.run_entries import relative
from halab.scenario.record.folder import Meta, RunFolder
from halab.scenario.verdict.verdict import judge

# Judging a run takes a moment: what was read before Ctrl-C stays.
_BATCH = 50


@dataclass
class HistoryUpdate:
    """What became of the runs in some folders: `left_out` counts those that do not count, by the reason."""

    file: HistoryFile
    added: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)

    def __post_init__(self) -> None:
        entries = self.file.entries()
        self._by_key = {run.key: run for run in entries}
        self._stamps = {run.folder: run.stamp for run in entries}
        self._batch: list[HistoryRun] = []

    def add_all(self, paths: Sequence[Path], note: Callable[[str], None] = lambda text: None) -> None:
        """Add the finished runs in these folders, each once. A result that was written again replaces the old one."""
        for number, path in enumerate(paths, 1):
            note(f"{number} of {len(paths)}: {path.name}")
            try:
                self._add(RunFolder(path))
            except (HalabError, OSError) as error:
                why = error.with_hint if isinstance(error, HalabError) else str(error)
                self.refused.append(Refused(path, why))
            if len(self._batch) == _BATCH:
                self._write()
        self._write()

    def _add(self, run: RunFolder) -> None:
        if not run.result.is_file():
            self.left_out["not finished"] += 1
            return
        status = run.result.stat()
        stamp = f"{status.st_mtime_ns} {status.st_size}"
        folder = relative(run.path.resolve(), self.file.path.parent.resolve())
        if self._stamps.get(folder) == stamp:
            return
        run = RunFolder.existing(run.path, or_proof=True)
        meta = run.read_meta()
        if meta.is_game_day:
            self.left_out["game days"] += 1
            return
        known = self._by_key.get(key_of(meta))
        if known and known.folder != folder and (self.file.path.parent / known.folder).is_dir():
            self.left_out["copies"] += 1
            return
        entry = _entry(run, meta, folder, stamp)
        try:
            _ = entry.moment
        except ValueError as error:
            raise Corrupted(f"cannot read {run.meta}: started: {error}") from error
        self._by_key[entry.key] = entry
        self._stamps[folder] = stamp
        self._batch.append(entry)

    def _write(self) -> None:
        self.file.add(self._batch)
        self.added += len(self._batch)
        self._batch = []


def _entry(run: RunFolder, meta: Meta, folder: str, stamp: str) -> HistoryRun:
    if run.is_proof:
        record = proof.read(run)
        result = proof.result_of(record, meta)
        return run_of(meta, None, result, steps=record.digest[:12], folder=folder, stamp=stamp)
    evidence = run.read()
    steps = digest_of(files.read(run.scenario, files.WRITTEN_BYTES).decode("utf-8-sig"))
    return run_of(meta, evidence.scenario, judge(evidence), steps=steps, folder=folder, stamp=stamp)
