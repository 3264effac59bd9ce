"""Brings container images of the user's own to the nodes: sent, verified, and imported into containerd once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from halab.config.component_settings import SourceState
from halab.config.roles import Role
from halab.errors import CommandFailed, LabProblem
from halab.images.image_archive import ImageArchive
from halab.lifecycle.payload import send_file
from halab.machines.guests import Guests
from halab.topology.lab import Lab

_FOLDER = PurePosixPath("/var/lib/halab/own-images")
_IMPORT_SECONDS = 300
_FILTERED = "image might be filtered out"
# The archives that were imported, and the images that containerd has: somebody may have removed one.
_SHOW = f"cd {_FOLDER} 2>/dev/null && ls; ctr --namespace k8s.io images ls -q"
# The layers are not discarded: another image of the user may share them, and `ctr images export` needs them.
_IMPORT = (
    "set -e; ctr --namespace k8s.io images import --local {file} >{file}.log 2>&1 || "
    "{{ grep -v level=warning {file}.log | tail -n 5 >&2; exit 1; }}; rm -f {file} {file}.log; touch {mark}"
)


@dataclass(frozen=True)
class ComponentImage:
    """The image of a component, and the roles of the machines that run it.

    `source` is the checkout that it was built from; None if it was built from a released version.
    """

    archive: ImageArchive
    roles: frozenset[Role]
    component: str
    source: SourceState | None = None


@dataclass(frozen=True)
class NodeImages:
    """The images beside those of the bundle: the user's own for all nodes, and those of components."""

    own: Sequence[ImageArchive] = ()
    components: Sequence[ComponentImage] = ()

    def of(self, lab: Lab, machine: str) -> list[ImageArchive]:
        """The images that a machine needs."""
        role = lab.machine(machine).role
        return [*self.own, *(image.archive for image in self.components if role in image.roles)]


NO_IMAGES = NodeImages()


def bring(
    archives: Sequence[ImageArchive], guests: Guests, machine: str, patience: float
) -> list[ImageArchive]:
    """Import the archives whose images the machine lacks, and return them. Raises LabProblem if one is refused."""
    if not archives:
        return []
    there = set(guests.run(machine, _SHOW, check=False).output.split())
    missing = [archive for archive in archives if not there.issuperset((archive.sha256, *archive.images))]
    for archive in missing:
        _send(archive, guests, machine, patience)
        _import(archive, guests, machine, patience)
    return missing


def _send(archive: ImageArchive, guests: Guests, machine: str, patience: float) -> None:
    target = _FOLDER / f"{archive.sha256}.tar"
    try:
        send_file(guests, machine, Path(archive.path), target, sha256=archive.sha256, patience=patience)
    except CommandFailed as error:
        raise LabProblem(
            f"cannot send {archive.name} to {machine}: {error.output or error.message}",
            hint="check whether its disk is full, and whether the file was changed while it was read",
        ) from error
    except OSError as error:
        raise LabProblem(
            f"cannot read {archive.path}: {error.strerror}", hint="put the file back: a new machine needs it"
        ) from error


def _import(archive: ImageArchive, guests: Guests, machine: str, patience: float) -> None:
    file = _FOLDER / f"{archive.sha256}.tar"
    command = _IMPORT.format(file=file, mark=_FOLDER / archive.sha256)
    try:
        guests.run(machine, command, timeout_seconds=_IMPORT_SECONDS * patience)
    except CommandFailed as error:
        # containerd leaves out an image that the machine cannot run, and then reports that it is missing
        why = "it may be for another architecture than the machine: " if _FILTERED in error.output else ""
        raise LabProblem(
            f"containerd on {machine} refused {archive.name}:\n{error.output}",
            hint=f"{why}change {archive.name} or `images` in the lab file: the next `halab up` goes on with it",
        ) from error
