"""The work folder of a lab: `.halab/` beside its lab file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from halab import process
from halab.errors import HostProblem


@dataclass(frozen=True)
class Work:
    """Names of what lies in a work folder. It is made 0700: keys and a kubeconfig are in it."""

    path: Path

    @classmethod
    def beside(cls, lab_file: Path) -> Work:
        return cls(lab_file.resolve().parent / ".halab")

    @property
    def private_key(self) -> Path:
        return self.path / "keys" / "id_ed25519"

    @property
    def public_key(self) -> Path:
        return self.path / "keys" / "id_ed25519.pub"

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def ssh_config(self) -> Path:
        return self.path / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        return self.path / "known_hosts"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def lock_holder(self) -> Path:
        """What the command that holds the lock does; it is gone when the lock is free."""
        return self.path / "lock.holder"

    @property
    def restoring(self) -> Path:
        """The name of the snapshot to which the lab is being put back, while it is neither that nor what it was."""
        return self.path / "restoring"

    def of_vagrant(self, machine: str, provider: str = "libvirt") -> Path:
        """What Vagrant keeps of a machine."""
        return self.path / ".vagrant" / "machines" / machine / provider

    def key_of_vagrant(self, machine: str) -> Path:
        """The private key that Vagrant has made for a virtual machine."""
        return self.of_vagrant(machine) / "private_key"

    def has_key_of_vagrant(self, machine: str) -> bool:
        """Vagrant makes it when a virtual machine answers for the first time: before, nobody gets in."""
        key = self.key_of_vagrant(machine)
        return key.exists() and key.stat().st_size > 0

    def known_to_vagrant(self, machine: str, provider: str) -> str:
        """What Vagrant calls a machine at its provider; nothing where it knows none of that name."""
        known = self.of_vagrant(machine, provider) / "id"
        return known.read_text() if known.exists() else ""

    def tell_vagrant(self, machine: str, provider: str, identity: str) -> None:
        """Vagrant needs no more than this to go on with a machine that it did not make."""
        if self.known_to_vagrant(machine, provider) != identity:
            folder = self.of_vagrant(machine, provider)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(folder / "id", identity)

    def make(self) -> None:
        """Make the folder, its key pair and nothing else."""
        for folder in (self.path, self.private_key.parent, self.logs, self.runs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.private_key.exists() and self.public_key.exists()):
            self.private_key.unlink(missing_ok=True)
            process.run(
                [process.find("ssh-keygen", hint="sudo apt-get install openssh-client"),
                 "-q", "-t", "ed25519", "-N", "", "-C", "halab", "-f", self.private_key],
                timeout_seconds=30,
            )  # fmt: skip

    def remove_if_empty(self) -> None:
        """Remove the folder where nothing is in it but a lock that nobody holds, and no recorded run."""
        if self.path.is_dir():
            self.lock.unlink(missing_ok=True)
            for path in (self.runs, self.path):
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()

    def write(self, files: Mapping[str, str], *, executable: str = ".sh") -> list[str]:
        """Write rendered files where they differ from what is there; the names of those that changed."""
        changed = []
        for name, content in files.items():
            path = self.path / name
            mode = 0o700 if name.endswith(executable) else 0o600
            if not path.exists() or path.read_text() != content:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace(path, content, mode=mode)
                changed.append(name)
        return changed


def replace(path: Path, content: str, *, mode: int = 0o600) -> None:
    """Write a file in one step: who reads it sees the old one or the new one, whole."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(content)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise HostProblem(f"cannot write {path}: {error.strerror}", hint="is the disk full?") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
