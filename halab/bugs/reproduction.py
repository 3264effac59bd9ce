"""A bug's lab: copied into a folder, kept up while its scenario runs, and taken down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from halab.bugs.library import Bug
from halab.bugs.versions import BugAt
from halab.config import loading
from halab.errors import BadUsage, HostProblem
from halab.lifecycle import temporary_lab
from halab.lifecycle.lab import LabDir, open_file
from halab.lifecycle.temporary_lab import LabDeps
from halab.machines.work import Work
from halab.progress import Progress


@contextmanager
def lab_of(
    bug: Bug, folder: Path, progress: Progress, deps: LabDeps, *, keep: bool, at: BugAt | None = None
) -> Iterator[LabDir]:
    """Copy the files of a bug into a folder and bring its lab up. When the block ends, take the lab down.

    With `at`, the lab has another version. Whatever ends the block, no machine is left, and the folder stays only if it
    has a recorded run. With `keep`, everything stays. Raises BadUsage if the folder has other files.
    """
    copied: list[Path] = []
    contents = {name: loading.content_of(bug.folder / name) for name in bug.files}
    if at:
        contents[bug.lab_in(Path())] = at.lab
    try:
        _copy(contents, folder, copied)
        lab_dir = open_file(bug.lab_in(folder))
        with temporary_lab.removed_afterwards(lab_dir, progress, deps, keep=keep):
            deps.up(lab_dir, progress)
            yield lab_dir
    finally:
        if not Work.beside(bug.lab_in(folder)).path.exists():
            _remove(folder, copied)


def _copy(contents: Mapping[Path, bytes], folder: Path, copied: list[Path]) -> None:
    """Copy the files of a bug and note every copy in `copied`. A folder that has the same files is used as it is."""
    if folder.exists() and not folder.is_dir():
        raise BadUsage(f"not a folder: {folder}", hint="choose another folder with --in FOLDER")
    is_new = not folder.exists() or not any(folder.iterdir())
    for name, content in contents.items():
        copy = folder / name
        if is_new:
            copied.append(copy)
            _write(copy, content)
        elif not copy.is_file() or loading.content_of(copy) != content:
            raise BadUsage(
                f"{folder} is not a copy of this bug: {name} is {'different' if copy.exists() else 'missing'}",
                hint="choose another folder with --in FOLDER; to run changed files, go there: "
                "`halab up && halab run ./scenario.yml`",
            )


def _write(copy: Path, content: bytes) -> None:
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
    except OSError as error:
        raise HostProblem(f"cannot write {copy}: {(error.strerror or str(error)).lower()}") from error


def _remove(folder: Path, copied: list[Path]) -> None:
    """Remove the copies and the folders that are empty then."""
    for copy in copied:
        copy.unlink(missing_ok=True)
    below = {parent for copy in copied for parent in copy.parents if parent.is_relative_to(folder)}
    for empty in sorted(below, reverse=True):
        with suppress(OSError):  # it has other files
            empty.rmdir()
