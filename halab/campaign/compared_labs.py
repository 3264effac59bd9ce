"""The folders of a comparison: one for each lab, with its lab file and links to the user's own files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from halab.config import lab_variants
from halab.config.lab_variants import Variant
from halab.errors import BadFile, BadUsage, HalabError, HostProblem
from halab.lifecycle.lab import open_file

_LAB_FILE = "lab.yml"
_HINT = "choose another folder with --in FOLDER"


def prepare(original: Path, variants: Sequence[Variant], folder: Path) -> list[Path]:
    """Make a folder for each variant, and return the paths of their lab files. `original` is the user's lab file.

    All lab files are checked before anything is built. If one is wrong, nothing is left. Raises BadFile for the first
    lab file that is wrong, and BadUsage for a folder that has files.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadUsage(f"the folder of the comparison is not empty: {folder}", hint=_HINT)
    is_new = not folder.exists()
    try:
        return [_prepare(original, variant, folder / variant.name) for variant in variants]
    except BaseException:
        for variant in variants:
            shutil.rmtree(folder / variant.name, ignore_errors=True)
        if is_new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise


def _prepare(original: Path, variant: Variant, folder: Path) -> Path:
    lab_file = folder / _LAB_FILE
    try:
        folder.mkdir(parents=True)
        lab_file.write_text(variant.text)
        for name in {path.parts[0] for path in lab_variants.own_files(variant.text) if path.parts}:
            own = original.resolve().parent / name
            if name not in ("..", _LAB_FILE) and own.exists() and own != folder.resolve():
                (folder / name).symlink_to(own)
    except OSError as error:
        raise HostProblem(f"cannot write {folder}: {(error.strerror or str(error)).lower()}") from error
    try:
        open_file(lab_file)
    except BadFile as error:
        raise BadUsage(
            f"with {variant.settings}, the lab file is wrong:\n{error.message}", hint=error.hint
        ) from error
    except HalabError as error:
        error.message = f"with {variant.settings}: {error.message}"
        raise
    return lab_file
