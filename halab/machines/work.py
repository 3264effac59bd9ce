"""The work folder of a lab: `.halab/` beside its lab file."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from halab import process
from halab.errors import BadUsage, LabProblem
from halab.files import replace


@dataclass(frozen=True)
class Work:
    """Names of what lies in a work folder. It is made 0700: keys and a kubeconfig are in it."""

    path: Path

    def __str__(self) -> str:
        """Its path, as labels have it."""
        return str(self.path)

    @classmethod
    def beside(cls, lab_file: Path) -> Work:
        return cls(lab_file.resolve().parent / ".halab")

    def require_own(self) -> None:
        """LabProblem where others could have put something into it: a Vagrantfile is a program, and keys lie there."""
        _require_plain(self.path)
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return
        shown = shlex.quote(str(self.path))
        if stat.S_ISLNK(found.st_mode):
            raise LabProblem(
                f"the work folder is a symbolic link: {self.path}",
                hint=f"remove the link (`rm {shown}`), and put the lab file where its work folder is to be",
            )
        if not stat.S_ISDIR(found.st_mode):
            raise LabProblem(f"not a folder, and halab needs one of this name: {self.path}")
        if found.st_uid not in _users():
            raise _of_another(self.path, found.st_uid)
        if found.st_mode & 0o022:
            raise LabProblem(
                f"other users may write to the work folder: {self.path} has the mode {found.st_mode & 0o777:04o}",
                hint=f"look whether all in it is yours (`ls -lA {shown}`), then: chmod 700 {shown}",
            )

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
        self.require_own()
        for folder in (self.path, self.private_key.parent, self.logs, self.runs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # a person may have made it, for all to read
        self.path.chmod(0o700)
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


def _users() -> set[int]:
    """Whose work folder may be used: one's own, and under sudo also that of who called it."""
    me = os.geteuid()
    caller = os.environ.get("SUDO_UID", "")
    return {me, int(caller)} if me == 0 and re.fullmatch("[0-9]{1,10}", caller) else {me}


def _of_another(path: Path, owner: int) -> LabProblem:
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"user {owner}"
    if owner == 0:
        hint = (
            "it was made as root: go on as root, with sudo; or take it over: "
            f'sudo chown -R "$(id -un)" {shlex.quote(str(path))}'
        )
    else:
        hint = f"run halab as {name}, or put a lab file into a folder of your own"
    return LabProblem(f"the work folder belongs to {name}, not to you: {path}", hint=hint)


def _require_plain(path: Path) -> None:
    """BadUsage where no quotes help: the path goes into the Vagrantfile and the configuration of ssh."""
    if not str(path).isprintable():
        raise BadUsage(
            f"a lab cannot lie in a folder whose name has a control character in it: {str(path)!r}",
            hint="rename the folder",
        )
    if "${" in str(path):
        raise BadUsage(
            f"a lab cannot lie in a folder whose name has ${{ in it: {path}",
            hint="rename the folder: ssh would put a variable in its place",
        )
