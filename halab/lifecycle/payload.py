"""Sends the Kubernetes bundle over SSH to machines whose box lacks it, and verifies it on arrival."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

from halab.errors import CommandFailed, LabProblem
from halab.images.bundle import Bundle
from halab.machines.guests import Guests

PROGRAMS = PurePosixPath("/usr/local/bin")
# Images are stored here until containerd imports them.
IMAGES = PurePosixPath("/var/lib/halab/images")
# An upgrade puts the programs of the new bundle here. They are used when it is the turn of the machine.
NEW_PROGRAMS = PurePosixPath("/var/lib/halab/programs")
# Written last: the key of the bundle that a machine has completely.
MARK = PurePosixPath("/var/lib/halab/bundle")

# The largest file of a bundle has 120 MB. With an emulated processor, ssh transfers a few MB per second.
_FILE_SECONDS = 120
_FILE_BYTES = 120_000_000
_IMPORT_SECONDS = 300

# A file that the machine already has is recognized by its checksum, so that it is not sent again after an interrupted
# `up`. Otherwise it is sent over standard input to a temporary name, and renamed when it is complete.
_HAS = "echo {sum}'  '{path} | sha256sum --check --status 2>/dev/null"
_RECEIVE = (
    "set -e; umask 022; mkdir -p {folder}; cat >{path}.part; "
    "echo {sum}'  '{path}.part | sha256sum --check --status || "
    "{{ rm -f {path}.part; echo 'checksum mismatch' >&2; exit 1; }}; "
    "chmod {mode} {path}.part; mv -f {path}.part {path}"
)
# As in halab's own box, layers are discarded after they were unpacked: nothing pushes images from a lab.
_IMPORT = (
    "set -e; for image in {images}/*.tar; do "
    "ctr --namespace k8s.io images import --local --discard-unpacked-layers $image; rm $image; done; "
)
_MARK = "echo {key} >{mark}; "
# Removes what was brought for an upgrade that will not happen.
FORGET_UPGRADE = f"rm -rf {NEW_PROGRAMS}"


class Payload:
    """A bundle that can be sent to machines."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def is_there(self, guests: Guests, machine: str) -> bool:
        """True if the machine has the complete bundle: then nothing needs to be sent."""
        mark = guests.run(machine, f"cat {MARK} 2>/dev/null", check=False)
        return mark.output.strip() == self._bundle.key

    def send(self, guests: Guests, machine: str, patience: float) -> int:
        """Send programs and images to their folders. Return how many files were sent."""
        return self._send_files(guests, machine, PROGRAMS, patience)

    def import_images(self, guests: Guests, machine: str, patience: float, *, log: Path) -> None:
        """Import the images into the machine's containerd: then the machine has the whole bundle."""
        command = (
            f"{_IMPORT.format(images=IMAGES)}{self._mark}echo changed: imported the images of the bundle"
        )
        guests.run(machine, command, timeout_seconds=_IMPORT_SECONDS * patience, log=log)

    def bring_for_upgrade(self, guests: Guests, machine: str, patience: float) -> None:
        """Import the images, and put the programs beside those in use. Programs that are there are not sent again."""
        self._send_files(guests, machine, NEW_PROGRAMS, patience)
        limit = _IMPORT_SECONDS * patience
        guests.run(machine, _IMPORT.format(images=IMAGES), timeout_seconds=limit)

    def complete_upgrade(self, guests: Guests, machine: str) -> None:
        """Note that the machine has the whole bundle: its programs are in use."""
        guests.run(machine, f"{FORGET_UPGRADE}; {self._mark}")

    @property
    def _mark(self) -> str:
        return _MARK.format(key=shlex.quote(self._bundle.key), mark=MARK)

    def _send_files(self, guests: Guests, machine: str, programs: PurePosixPath, patience: float) -> int:
        sent = 0
        for file in self._bundle.binaries():
            sent += self._send_file(guests, machine, file, programs / file.name, "0755", patience)
        for file in self._bundle.images():
            sent += self._send_file(guests, machine, file, IMAGES / file.name, "0644", patience)
        return sent

    def _send_file(
        self, guests: Guests, machine: str, file: Path, path: PurePosixPath, mode: str, patience: float
    ) -> int:
        record = self._bundle.manifest.files[file.relative_to(self._bundle.path).as_posix()]
        try:
            return send_file(guests, machine, file, path, sha256=record.sha256, mode=mode, patience=patience)
        except CommandFailed as error:
            raise LabProblem(
                f"cannot send {file.name} of the bundle to {machine}: {error.output or error.message}",
                hint="check whether its disk is full; if not, the file may be damaged: `halab bundle build --force`",
            ) from error


def send_file(
    guests: Guests,
    machine: str,
    file: Path,
    path: PurePosixPath,
    *,
    sha256: str,
    mode: str = "0644",
    patience: float,
) -> int:
    """Send a file unless the machine has it. Return 1 if it was sent. Raises CommandFailed if it arrives changed."""
    words = {
        "sum": sha256,
        "path": shlex.quote(str(path)),
        "folder": shlex.quote(str(path.parent)),
        "mode": mode,
    }
    seconds = _FILE_SECONDS * patience * max(1, file.stat().st_size / _FILE_BYTES)
    if guests.run(machine, _HAS.format(**words), timeout_seconds=seconds, check=False).code == 0:
        return 0
    guests.run(machine, _RECEIVE.format(**words), timeout_seconds=seconds, input_file=file)
    return 1
