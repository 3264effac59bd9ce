"""The Kubernetes payload of a machine whose box has none: the bundle, sent over SSH and checked where it arrives."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

from halab.errors import CommandFailed, LabProblem
from halab.images.bundle import Bundle
from halab.machines.guests import Guests

PROGRAMS = PurePosixPath("/usr/local/bin")
# Where images wait for containerd.
IMAGES = PurePosixPath("/var/lib/halab/images")
# Written last: which bundle a machine has, whole.
MARK = PurePosixPath("/var/lib/halab/bundle")

# 120 MB are the largest file: through an emulated processor, ssh carries a few MB a second.
_FILE_SECONDS = 120
_IMPORT_SECONDS = 300

# A file that is there already is told by its checksum: what an interrupted `up` has sent is not sent again. Else it
# comes by standard input, and takes its place when it is whole.
_HAS = "echo {sum}'  '{path} | sha256sum --check --status 2>/dev/null"
_RECEIVE = (
    "set -e; umask 022; mkdir -p {folder}; cat >{path}.part; "
    "echo {sum}'  '{path}.part | sha256sum --check --status || "
    "{{ rm -f {path}.part; echo 'not what was sent' >&2; exit 1; }}; "
    "chmod {mode} {path}.part; mv -f {path}.part {path}"
)
# Layers are dropped once they are unpacked, as in halab's own box: nothing pushes images from a lab.
_IMPORT = (
    "set -e; for image in {images}/*.tar; do "
    "ctr --namespace k8s.io images import --local --discard-unpacked-layers $image; rm $image; done; "
    "echo {key} >{mark}; echo changed: imported the images of the bundle"
)


class Payload:
    """A bundle on its way to machines."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def is_there(self, guests: Guests, machine: str) -> bool:
        """Whether the machine has all of it: then nothing is sent, and nothing read back."""
        said = guests.run(machine, f"cat {MARK} 2>/dev/null", check=False)
        return said.output.strip() == self._bundle.key

    def send(self, guests: Guests, machine: str, patience: float) -> int:
        """Programs to their place, images to where containerd gets them; how many files were sent."""
        sent = 0
        for file in self._bundle.binaries():
            sent += self._file(guests, machine, file, PROGRAMS / file.name, "0755", patience)
        for file in self._bundle.images():
            sent += self._file(guests, machine, file, IMAGES / file.name, "0644", patience)
        return sent

    def import_images(self, guests: Guests, machine: str, patience: float, *, log: Path) -> None:
        """Into the containerd that runs there."""
        command = _IMPORT.format(images=IMAGES, key=shlex.quote(self._bundle.key), mark=MARK)
        guests.run(machine, command, timeout_seconds=_IMPORT_SECONDS * patience, log=log)

    def _file(
        self, guests: Guests, machine: str, file: Path, path: PurePosixPath, mode: str, patience: float
    ) -> int:
        record = self._bundle.manifest.files[file.relative_to(self._bundle.path).as_posix()]
        words = {
            "sum": record.sha256,
            "path": shlex.quote(str(path)),
            "folder": shlex.quote(str(path.parent)),
            "mode": mode,
        }
        seconds = _FILE_SECONDS * patience
        if guests.run(machine, _HAS.format(**words), timeout_seconds=seconds, check=False).code == 0:
            return 0
        try:
            guests.run(machine, _RECEIVE.format(**words), timeout_seconds=seconds, input_file=file)
        except CommandFailed as error:
            raise LabProblem(
                f"{machine} did not take {file.name} of the bundle: {error.output or error.message}",
                hint="is its disk full? If not, the file itself may be broken: halab bundle build --force",
            ) from error
        return 1
