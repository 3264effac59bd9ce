"""Find recorded runs below folders, and judge them again. Nothing is written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from halab.config.twin import Verdict
from halab.errors import BadUsage, HalabError
from halab.report.bounds import JudgedRun
from halab.report.recorded_campaign import is_campaign, run_folders
from halab.scenario.record.folder import Meta, RunFolder
from halab.scenario.verdict.verdict import judge


@dataclass(frozen=True)
class Refused:
    """A folder whose evidence is broken, or that another version of halab made."""

    folder: Path
    why: str


@dataclass
class RecordedRuns:
    """The runs in some folders, each once. `left_out` counts those that do not count, by the reason."""

    refused: list[Refused] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    _judged: dict[tuple[str, str, str, int], JudgedRun] = field(default_factory=dict)

    @property
    def runs(self) -> list[JudgedRun]:
        return list(self._judged.values())

    def add(self, path: Path, names: Sequence[str] = ()) -> None:
        """Judge a run and add it. With `names`, only runs of these scenarios."""
        try:
            folder = RunFolder.existing(path, or_proof=True)
            meta = folder.read_meta()
            if names and meta.scenario not in names:
                return
            if folder.is_proof:
                self.left_out["proofs of drills"] += 1
            elif meta.is_twin or meta.is_game_day:
                self.left_out["losing twins" if meta.is_twin else "game days"] += 1
            else:
                self._judge(folder, meta)
        except (HalabError, OSError) as error:
            self.refused.append(
                Refused(path, error.with_hint if isinstance(error, HalabError) else str(error))
            )

    def _judge(self, folder: RunFolder, meta: Meta) -> None:
        run = meta.started, meta.lab, meta.scenario, meta.seed
        copy = self._judged.get(run)
        # a copy may lack files that another one has
        if copy is None or copy.result.verdict is Verdict.ERROR:
            evidence = folder.read()
            self._judged[run] = JudgedRun(meta, evidence.scenario, judge(evidence))
        if copy is not None:
            self.left_out["copies"] += 1


def find(folders: Sequence[Path]) -> list[Path]:
    """The folders of all runs and proofs in these folders and below, once each.

    A folder may also be a run or a campaign.

    Raises BadUsage for a folder that does not exist or has no runs, and OSError for one that cannot be read.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise BadUsage(f"no such folder: {folder}")
        runs = {path.resolve(): path for path in _below(folder)}
        if not runs:
            hint = "name a run, a campaign, or a folder of runs such as .halab/runs"
            raise BadUsage(f"no recorded runs in {folder}", hint=hint)
        found = {**found, **runs}
    return list(found.values())


def _below(folder: Path) -> Iterator[Path]:
    if is_campaign(folder):
        yield from (run.path for run in run_folders(folder))
        return
    for path, names, files in os.walk(folder, onerror=_raise):
        names.sort()
        if _is_run(Path(path), files):
            names.clear()
            yield Path(path)


def _is_run(path: Path, files: Sequence[str]) -> bool:
    """True if it has most of the files that every run has: without one of them, it is a broken run."""
    run = RunFolder(path)
    return (
        run.proof.name in files
        or len({run.meta.name, run.scenario.name, run.timeline.name} & set(files)) > 1
    )


def _raise(error: OSError) -> None:
    raise error
