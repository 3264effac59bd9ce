"""The files that a lab file names: the user's scripts, manifests and images, read before any machine is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from halab import files
from halab.config import manifests, own_file, yaml_source
from halab.config.manifests import Manifest
from halab.config.own_file import OwnFile
from halab.errors import BadFile, Problem
from halab.images import image_archive
from halab.images.image_archive import ImageArchive
from halab.lifecycle.lab import LabDir
from halab.machines.work import Work

# In the work folder: copies of the texts, and what the images were.
_TEXTS = "lab"
_IMAGES = "images.json"


@dataclass(frozen=True)
class OwnFiles:
    """What the lab file names, as it was read. Scripts and manifests are by their name in the lab file."""

    scripts: Mapping[str, OwnFile] = field(default_factory=dict)
    manifests: Mapping[str, tuple[Manifest, ...]] = field(default_factory=dict)
    images: tuple[ImageArchive, ...] = ()

    def record(self) -> dict[str, str]:
        """Path in the work folder → content: what a run needs to show what was applied."""
        texts = {name: file.text for name, file in self.scripts.items()}
        texts |= {manifest.name: manifest.text for entry in self.manifests.values() for manifest in entry}
        record = {f"{_TEXTS}/{files.inside(name)}": text for name, text in texts.items()}
        if self.images:
            record[_IMAGES] = image_archive.to_json(self.images)
        return record


def read(lab_dir: LabDir) -> OwnFiles:
    """Read and check all files. Raises BadFile with all problems in them."""
    written, problems = lab_dir.written, _Problems(lab_dir)
    folder = lab_dir.file.parent
    scripts, entries, images = {}, {}, []
    for where, name in written.setup.scripts():
        with problems.of(("setup", *where)):
            scripts[name] = own_file.read(folder / name)
    for index, name in enumerate(written.manifests):
        with problems.of(("manifests", index)):
            entries[name] = manifests.read(folder, name)
    for index, name in enumerate(written.images):
        with problems.of(("images", index)):
            images.append(image_archive.read(folder, name))
    problems.raise_all()
    return OwnFiles(scripts, entries, tuple(images))


def recorded_images(work: Work) -> tuple[ImageArchive, ...]:
    """The images with which the lab was built."""
    path = work.path / _IMAGES
    return image_archive.from_json(path.read_text()) if path.exists() else ()


def recorded(work: Work) -> dict[str, bytes]:
    """Path in the work folder → content of all that was applied, for the folder of a run."""
    return {path.relative_to(work.path).as_posix(): path.read_bytes() for path in recorded_files(work)}


def recorded_files(work: Work) -> list[Path]:
    """The files in the work folder that record what was applied."""
    return [path for path in [*(work.path / _TEXTS).rglob("*"), work.path / _IMAGES] if path.is_file()]


class _Problems:
    """Collects the problems of several files, so that one error reports them all."""

    def __init__(self, lab_dir: LabDir) -> None:
        self._lab_dir = lab_dir
        self._problems: list[Problem] = []
        self._hints: list[str] = []

    @contextmanager
    def of(self, where: yaml_source.Path) -> Iterator[None]:
        """Collect what is wrong with the file that the lab file names there."""
        try:
            with own_file.named_by(self._lab_dir.file, self._lab_dir.content, where):
                yield
        except BadFile as error:
            self._problems += error.problems
            if error.hint:
                self._hints.append(error.hint)

    def raise_all(self) -> None:
        if self._problems:
            raise BadFile(self._problems, hint="\n".join(dict.fromkeys(self._hints)) or None)
