"""The folder of a lab on the host that plays it: what was sent, what is to be sent back, and how it ended.

Runs wait here as archives, until the halab that plays the matrix has them, whatever happens to it meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from halab import files
from halab.archive import archive
from halab.campaign.lab_folders import LAB_FILE
from halab.errors import Corrupted, LabProblem
from halab.machines.host import allocation
from halab.machines.work import Work
from halab.matrix.hosts.parcel import Parcel
from halab.matrix.lab_process import EndedLab, EndedRun

_MOST_BYTES = 1_000_000_000
_ARCHIVE = ".tar.gz"


@dataclass(frozen=True)
class SentRun:
    """A run that came to its end on a host. `name` is that of its folder, `digest` the SHA-256 of its archive.

    `cell`, `seed` and `fingerprint` say which run of the matrix it is.
    """

    name: str
    cell: str
    seed: int
    fingerprint: str
    is_over_limit: bool
    digest: str


@dataclass(frozen=True)
class Place:
    path: Path

    @classmethod
    def of(cls, matrix: str, lab: str) -> Place:
        """The folder of a lab on this host."""
        return cls(folder_of(matrix) / lab)

    @property
    def lab_file(self) -> Path:
        # the lab's name on this host begins with the name of this folder
        return self.path / self.path.name / LAB_FILE

    @property
    def log(self) -> Path:
        """What the process that plays the lab prints."""
        return self.path / "progress.log"

    @property
    def _parcel(self) -> Path:
        return self.path / "parcel"

    @property
    def _end(self) -> Path:
        return self.path / "end"

    @property
    def _lock(self) -> Path:
        return self.path / "lock"

    @property
    def _runs(self) -> Path:
        return self.path / "runs"

    def accept(self, parcel: Parcel) -> None:
        """Write what was sent. Runs that wait here stay."""
        with files.writing(self.path):
            self._runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._end.unlink(missing_ok=True)
            self.log.unlink(missing_ok=True)
            self.lab_file.parent.mkdir(mode=0o700, exist_ok=True)
            for name, content in parcel.files.items():
                path = self.lab_file.parent / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._parcel.write_bytes(pickle.dumps(parcel))

    def parcel(self) -> Parcel:
        parcel = pickle.loads(self._parcel.read_bytes())
        assert isinstance(parcel, Parcel)
        return parcel

    def keep(self, run: EndedRun, fingerprint: str) -> None:
        """Put a run that came to its end where it waits to be sent."""
        name = run.folder.path.name
        path = self._runs / f"{name}{_ARCHIVE}"
        archive.pack(run.folder, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sent = SentRun(name, run.name, run.seed, fingerprint, run.is_over_limit, digest)
        # only now it can be seen
        files.replace(self._runs / f"{name}.json", json.dumps(asdict(sent)))

    def waiting(self, known: Collection[str]) -> list[SentRun]:
        """The runs that wait here, in the order in which they ended, without those whose names are known."""
        if not self._runs.is_dir():
            return []
        paths = [path for path in self._runs.glob("*.json") if path.stem not in known]
        return [SentRun(**json.loads(path.read_bytes())) for path in sorted(paths, key=_written_at)]

    def archive_of(self, run: SentRun) -> bytes:
        return files.read(self._runs / f"{run.name}{_ARCHIVE}", _MOST_BYTES)

    def end(self, ended: EndedLab) -> None:
        files.replace(self._end, pickle.dumps(ended))

    def ended(self) -> EndedLab | None:
        """How the lab ended; None if its process was killed."""
        try:
            ended = pickle.loads(self._end.read_bytes())
        except FileNotFoundError:
            return None
        assert isinstance(ended, EndedLab)
        return ended

    def printed(self, offset: int) -> bytes:
        """What the process has printed since."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(offset)
                return stream.read()
        except FileNotFoundError:
            return b""

    @contextmanager
    def played(self) -> Iterator[None]:
        """Say that a process plays the lab here, while the block lasts. Raises LabProblem if another one does."""
        with files.locked(self._lock, LabProblem(f"another process plays the lab in {self.path}")):
            yield

    @property
    def is_played(self) -> bool:
        """Whether a process plays the lab here. It may be one of a worker that has ended."""
        if not self._lock.exists():
            return False
        try:
            with self.played():
                return False
        except LabProblem:
            return True

    @property
    def has_lab(self) -> bool:
        """Whether machines of the lab may be there."""
        return allocation.of(Work.beside(self.lab_file).path) is not None

    def remove(self) -> None:
        """Forget the lab. Its runs have been sent."""
        shutil.rmtree(self.path, ignore_errors=True)
        # other labs of the matrix may still be there
        with suppress(OSError):
            self.path.parent.rmdir()


def unpacked(run: SentRun, content: bytes, runs: Path) -> Path:
    """Write a run that was sent into the folder of runs of its lab, and return its folder.

    The same run again changes nothing. Raises Corrupted if it is not what the host has sent.
    """
    if hashlib.sha256(content).hexdigest() != run.digest:
        raise Corrupted(f"the run {run.name} was changed on its way from the host")
    with files.writing(runs), files.scratch("halab-arrived-") as scratch:
        # the work folder, which is private, and the folder of runs in it
        runs.parent.mkdir(mode=0o700, exist_ok=True)
        runs.mkdir(mode=0o700, exist_ok=True)
        path = scratch / f"{run.name}{_ARCHIVE}"
        path.write_bytes(content)
        # another host may have begun a run of the same scenario in the same second
        folder = runs / f"{run.name}-{run.digest[:8]}"
        return archive.unpack(path, folder)[0].path


def folder_of(matrix: str) -> Path:
    """The folder of a matrix on this host, with a folder for each lab."""
    return allocation.state_folder() / "matrix" / matrix


def _written_at(path: Path) -> tuple[float, str]:
    return path.stat().st_mtime, path.name
