"""The work folder of a lab: `.halab/` beside its lab file."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from halab import packages, process, sudo
from halab.errors import BadUsage, LabProblem
from halab.files import replace, take_over
from halab.permit import Permit


@dataclass(frozen=True)
class Work:
    """The paths of the files in a work folder. Its mode is 0700, because it has keys and a kubeconfig."""

    path: Path

    def __str__(self) -> str:
        """Its path, as labels have it."""
        return str(self.path)

    @classmethod
    def beside(cls, lab_file: Path) -> Work:
        return cls(lab_file.resolve().parent / ".halab")

    def require_own(self) -> None:
        """Raise LabProblem if other users could have written to it: its Vagrantfile is a program, and it has keys."""
        _require_plain(self.path)
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return
        shown = shlex.quote(str(self.path))
        if stat.S_ISLNK(status.st_mode):
            raise LabProblem(
                f"the work folder is a symbolic link: {self.path}",
                hint=f"remove the link (`rm {shown}`), and move the lab file to where the work folder should be",
            )
        if not stat.S_ISDIR(status.st_mode):
            raise LabProblem(f"not a folder, but halab needs a folder of this name: {self.path}")
        if status.st_uid not in _users():
            raise _of_another(self.path, status.st_uid)
        if status.st_mode & 0o022:
            raise LabProblem(
                f"other users may write to the work folder: {self.path} has the mode {status.st_mode & 0o777:04o}",
                hint=f"check that everything in it is yours (`ls -lA {shown}`), then: chmod 700 {shown}",
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
        """The name of the command that holds the lock; the file does not exist while the lock is free."""
        return self.path / "lock.holder"

    @property
    def restoring(self) -> Path:
        """The name of the snapshot that is being restored; the file exists until all machines are restored."""
        return self.path / "restoring"

    @property
    def kept(self) -> Path:
        """Exists after `down --keep` until the lab starts again. It has the digest of the kept lab's Vagrantfile."""
        return self.path / "kept"

    @property
    def drill(self) -> Path:
        """The folder of the running drill."""
        return self.path / "drill"

    @property
    def attempt(self) -> Path:
        """The state of the running drill; the file exists until the lab is restored."""
        return self.drill / "attempt.json"

    @property
    def drill_history(self) -> Path:
        """The drills that have ended, one line each. It stays with the recorded runs."""
        return self.runs / "drills.jsonl"

    @property
    def history(self) -> Path:
        """The figures of the recorded runs, for `halab history`. It stays with them."""
        return self.runs / "history.sqlite"

    @property
    def game_day(self) -> Path:
        """What the game day that is running needs: its permit, its plan, and what people tell it."""
        return self.path / "game-day"

    @property
    def game_day_permit(self) -> Path:
        """Held by the process of a game day for as long as it lasts."""
        return self.game_day / "permit"

    @property
    def game_day_notice(self) -> Path:
        """What the game day that is running plans, and where its record is."""
        return self.game_day / "notice.json"

    @property
    def has_drill(self) -> bool:
        """True from the start of a drill until the lab is restored."""
        return self.attempt.exists()

    @property
    def has_game_day(self) -> bool:
        """True while a game day is running."""
        return Permit(self.game_day_permit).is_held

    @property
    def hides_faults(self) -> bool:
        """True if open faults are a secret: during a drill or a game day."""
        return self.has_drill or self.has_game_day

    def of_vagrant(self, machine: str, provider: str = "libvirt") -> Path:
        """The folder of Vagrant's files about a machine."""
        return self.path / ".vagrant" / "machines" / machine / provider

    def key_of_vagrant(self, machine: str) -> Path:
        """The private key that Vagrant makes for a virtual machine."""
        return self.of_vagrant(machine) / "private_key"

    def has_key_of_vagrant(self, machine: str) -> bool:
        """Whether Vagrant has made the key: it does so when the machine answers for the first time."""
        key = self.key_of_vagrant(machine)
        return key.exists() and key.stat().st_size > 0

    def known_to_vagrant(self, machine: str, provider: str) -> str:
        """The id that Vagrant has of a machine at its provider; empty if Vagrant does not know the machine."""
        file = self.of_vagrant(machine, provider) / "id"
        return file.read_text() if file.exists() else ""

    def tell_vagrant(self, machine: str, provider: str, identity: str) -> None:
        """Record the id of a machine: this is all that Vagrant needs to use a machine that it did not make."""
        if self.known_to_vagrant(machine, provider) != identity:
            folder = self.of_vagrant(machine, provider)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(folder / "id", identity)

    def make(self) -> None:
        """Make the folder and its key pair, if they do not exist."""
        self.require_own()
        for folder in (self.path, self.private_key.parent, self.logs, self.runs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # the user may have made the folder, readable for all
        self.path.chmod(0o700)
        if not (self.private_key.exists() and self.public_key.exists()):
            self.private_key.unlink(missing_ok=True)
            process.run(
                [process.find("ssh-keygen", hint=packages.install("openssh-client")),
                 "-q", "-t", "ed25519", "-N", "", "-C", "halab", "-f", self.private_key],
                timeout_seconds=30,
            )  # fmt: skip

    def remove_if_empty(self) -> None:
        """Remove the folder if it has nothing but an unused lock and an empty folder of runs."""
        if self.path.is_dir():
            self.lock.unlink(missing_ok=True)
            for path in (self.runs, self.path):
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()

    def write(self, files: Mapping[str, str], *, executable: str = ".sh") -> list[str]:
        """Write rendered files if they changed. Return the names of those that did."""
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
    """The users whose work folder may be used: the present one, and under sudo also the one who called sudo."""
    caller = sudo.caller()
    return {os.geteuid(), caller[0]} if caller else {os.geteuid()}


def _of_another(path: Path, owner: int) -> LabProblem:
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"user {owner}"
    if owner == 0:
        hint = "it was made as root: continue as root, with sudo; or take it over: " + take_over(path)
    else:
        hint = f"run halab as {name}, or use a lab file in a folder of your own"
    return LabProblem(f"the work folder belongs to {name}, not to you: {path}", hint=hint)


def _require_plain(path: Path) -> None:
    """Raise BadUsage if the path cannot be quoted in the Vagrantfile or in the configuration of ssh."""
    if not str(path).isprintable():
        raise BadUsage(
            f"the path of a lab must not contain a control character: {str(path)!r}",
            hint="rename the folder",
        )
    if "${" in str(path):
        raise BadUsage(
            f"the path of a lab must not contain ${{: {path}",
            hint="rename the folder: ssh would replace this with a variable",
        )
