"""The folders of the labs of a comparison or a matrix: a lab file in each, and links to the user's own files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from halab.config import lab_variants
from halab.errors import BadFile, BadUsage, HalabError, HostProblem
from halab.files import write_hint
from halab.lifecycle.lab import open_file

LAB_FILE = "lab.yml"
# Every lab has a lab file and a work folder of its own: two labs in one work folder would be mixed up.
_NEVER_LINKED = ("..", LAB_FILE, ".halab")
_HINT = "choose another folder with --in FOLDER"


class LabVariant(Protocol):
    """A lab that differs from the user's in some settings."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> str: ...

    @property
    def text(self) -> str: ...


def prepare(
    original: Path, variants: Sequence[LabVariant], folder: Path, *, again: bool = False
) -> list[Path]:
    """Make a folder for each variant, and return the paths of their lab files. `original` is the user's lab file.

    With `again`, labs that have a folder keep it, and their lab files are written again if they have changed. All lab
    files are checked before anything is built. If one is wrong, no new folder is left. Raises BadUsage for a wrong lab
    file and, without `again`, for a folder that has files; and HostProblem if a folder cannot be written.
    """
    if not again and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadUsage(f"the folder of the comparison is not empty: {folder}", hint=_HINT)
    is_new = not folder.exists()
    made: list[Path] = []
    try:
        for variant in variants:
            place = folder / variant.name
            if not (again and place.is_dir()):
                _make(place)
                made.append(place)
            _fill(place, original, variant)
        return [folder / variant.name / LAB_FILE for variant in variants]
    except BaseException:
        # and no other folder: another comparison may have begun here
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
        if is_new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise _not_written(folder, error) from error


def _fill(folder: Path, original: Path, variant: LabVariant) -> None:
    """Write the lab file, link the files that it names, and check it."""
    lab_file = folder / LAB_FILE
    try:
        if not lab_file.exists() or lab_file.read_text() != variant.text:
            lab_file.write_text(variant.text)
        for name in {path.parts[0] for path in lab_variants.own_files(variant.text) if path.parts}:
            own = original.resolve().parent / name
            if name not in _NEVER_LINKED and own.exists() and own != folder.resolve():
                _link(folder / name, own)
    except OSError as error:
        raise _not_written(folder, error) from error
    try:
        written = open_file(lab_file).written
        for component, path in written.source.by_name.items():
            # other files above the folder are missing; the folder of a checkout may even be that of another lab
            if Path(path).parts[:1] == ("..",):
                raise BadUsage(
                    f"source.{component}: not below the folder of the lab file: {path}",
                    hint=f"write the whole path: {original.resolve().parent.joinpath(path).resolve()}",
                )
    except BadFile as error:
        # without the place: the folder is removed again
        wrong = "\n".join(problem.without_place for problem in error.problems)
        raise BadUsage(
            f"with {variant.settings}, the lab file is wrong:\n{wrong}", hint=error.hint
        ) from error
    except HalabError as error:
        error.message = f"with {variant.settings}: {error.message}"
        raise


def _link(link: Path, own: Path) -> None:
    """Link a file of the user. A folder that was moved or copied with them has links to the old place."""
    if link.is_symlink():
        if link.readlink() == own:
            return
        link.unlink()
    link.symlink_to(own)


def _not_written(folder: Path, error: OSError) -> HostProblem:
    return HostProblem(
        f"cannot write {folder}: {(error.strerror or str(error)).lower()}", hint=write_hint(error)
    )
