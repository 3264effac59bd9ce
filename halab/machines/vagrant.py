"""Vagrant, which makes and removes machines; the only module that uses python-vagrant."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import vagrant as python_vagrant
from filelock import FileLock, Timeout

from halab import packages, process
from halab.config.lab import ProviderKind
from halab.errors import BootTimedOut, CommandFailed, HostProblem

# A slash in the names of Vagrant's folders and of its plugin's volumes.
SLASH = "-VAGRANTSLASH-"
_TAIL_LINES = 12
_LINE = 160
# A stock box may be downloaded over a slow line.
_ADDING_SECONDS = 1800
# Far more than any command takes: Vagrant has limits of its own for what it waits for.
_LIMIT_SECONDS = 4 * 3600


# A line of a Ruby stack trace, which Vagrant prints for an unexpected problem.
_TRACE = re.compile(r"\s*\S+\.rb:\d+:in ")
# The line with a machine's name above the report of its failure.
_FAILED_MACHINE = re.compile(
    r"rror occurred (?:while|when) executing the action on the\s+'([^']+)'\s+machine"
)
# The messages of Vagrant, and of its libvirt plugin, which first waits for an address.
_NO_ANSWER = ("Timed out while waiting for the machine to boot", "wait_for timeout (")
_SSH_WARNING = re.compile(r"^\s*(\S+): Warning: (.+?)\.? Retrying", re.MULTILINE)


def disk_of(box: str) -> Path | None:
    """The disk of a box that was added from a file and that Vagrant has unpacked; None if there is none."""
    # since Vagrant 2.4 there is a folder of the architecture in between
    return next((box_folder(home(), box) / "0").glob("**/libvirt/box.img"), None)


def home() -> Path:
    return Path(os.environ.get("VAGRANT_HOME") or "~/.vagrant.d").expanduser()


@contextmanager
def adding(box: str) -> Iterator[None]:
    """Lock out other halab processes that add a box of that name: Vagrant has no lock, and removes unfinished boxes.

    The lock is beside the boxes, which all labs of a user share, also from different network namespaces.
    """
    path = home() / f"halab-{box.replace('/', SLASH)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path).acquire(timeout=_ADDING_SECONDS)
    except Timeout as error:
        raise HostProblem(
            f"another halab process has been adding the box {box} for {_ADDING_SECONDS // 60} min: {path}",
            hint=f"see which process: fuser -v {path}",
        ) from error
    with lock:
        yield


def box_folder(home: Path, box: str) -> Path:
    """The folder of all versions of a box, below Vagrant's home."""
    return home / "boxes" / box.replace("/", SLASH)


def silent_machines(output: str, only: str | None) -> list[str]:
    """The machines that were started and did not answer, with SSH's last warning; empty if anything else failed.

    `only` is the machine that Vagrant was asked for, or None for all of them.
    """
    _, *parts = _FAILED_MACHINE.split(output)
    failed = dict(zip(parts[::2], parts[1::2], strict=True)) or {only or "a machine": output}
    if not all(any(words in text for words in _NO_ANSWER) for text in failed.values()):
        return []
    warnings = dict(_SSH_WARNING.findall(output))
    return [f"{name} ({warnings[name].lower()})" if name in warnings else name for name in sorted(failed)]


def _is_informative(line: str) -> bool:
    return bool(line.strip()) and not _TRACE.match(line)


class _BoundVagrant(python_vagrant.Vagrant):
    """Vagrant is killed when halab ends, however it ends: the next `down` must see every machine that was made.

    Debian's `vagrant` is Ruby itself. HashiCorp's is a program that starts Ruby and waits for it.
    """

    def __init__(self, folder: Path, log: Path, env: Mapping[str, str]) -> None:
        super().__init__(root=str(folder))  # type: ignore[no-untyped-call]
        self._log = log
        self._env = env

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        self._run(args, log=self._log)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        done = self._run(args, check=False)
        with self._log.open("a") as sink:
            sink.write(done.errors)
        if done.code != 0:
            raise CommandFailed(f"exit code {done.code}", code=done.code)
        return done.output

    def _run(
        self, args: Sequence[str | None], *, log: Path | None = None, check: bool = True
    ) -> process.Completed:
        argv = self._make_vagrant_command(args)  # type: ignore[no-untyped-call]
        return process.run(
            argv, timeout_seconds=_LIMIT_SECONDS, cwd=Path(self.root), env=self._env, log=log, check=check,
            bound=True,
        )  # fmt: skip


class Vagrant:
    """Vagrant in a lab's work folder; everything that it prints goes to the log."""

    def __init__(
        self, folder: Path, provider: ProviderKind, log: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        process.find("vagrant", hint=packages.install("vagrant"))
        self._log = log
        self._provider = str(provider)
        self._vagrant: Any = _BoundVagrant(
            folder, log, {"VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_NO_COLOR": "1", **(env or {})}
        )

    def up(self, machine: str | None = None) -> None:
        """Make and start one machine, or all of them, at once if the provider can. Nothing is provisioned."""
        try:
            self._up(machine)
        except CommandFailed as error:
            # docker lists a container a moment before it can be inspected
            if "No such object" not in error.output:
                raise
            self._up(machine)

    def _up(self, machine: str | None) -> None:
        with self._translated("up", machine):
            self._vagrant.up(vm_name=machine, no_provision=True, provider=self._provider)

    def boxes(self) -> set[str]:
        """The names of the boxes that Vagrant has for this provider."""
        with self._translated("box list"):
            return {box.name for box in self._vagrant.box_list() if box.provider == self._provider}

    def add_box(self, name: str, file: Path) -> None:
        """Add a box from its file, unless another halab process has just added it."""
        with adding(name):
            if name not in self.boxes():
                with self._translated("box add"):
                    # an interrupted `box add` may have left a part of it
                    self._vagrant.box_add(name, str(file), provider=self._provider, force=True)

    def fetch_box(self, name: str) -> None:
        """Download a stock box as Vagrant does, unless another halab process has just added it."""
        with adding(name):
            if name not in self.boxes():
                with self._translated("box add"):
                    self._vagrant.box_add(name, name, provider=self._provider)

    def halt(self) -> None:
        """Shut down every machine."""
        with self._translated("halt"):
            self._vagrant.halt()

    def destroy(self) -> None:
        """Remove every machine with its disks."""
        with self._translated("destroy"):
            self._vagrant.destroy()

    def states(self) -> dict[str, str]:
        """Machine → state, in Vagrant's words (`running`, `stopped`, `not_created` …)."""
        with self._translated("status"):
            return {machine.name: machine.state for machine in self._vagrant.status()}

    @contextmanager
    def _translated(self, verb: str, machine: str | None = None) -> Iterator[None]:
        begin = self._log.stat().st_size if self._log.exists() else 0
        try:
            yield
        except CommandFailed as error:
            output = self._log.read_bytes()[begin:].decode(errors="replace")
            # Vagrant shows a failed command on one long line; the log has all of it
            lines = [line for line in output.splitlines() if _is_informative(line)][-_TAIL_LINES:]
            tail = "\n".join(line if len(line) <= _LINE else line[: _LINE - 1] + "…" for line in lines)
            failed, message = CommandFailed, f"vagrant {verb} exited with code {error.code}:\n{tail}"
            if verb == "up" and (silent := silent_machines(output, machine)):
                failed = BootTimedOut
                message = f"started, but no answer over SSH in time: {', '.join(silent)}"
            raise failed(
                message, code=error.code, output=tail, hint=f"all of Vagrant's output: {self._log}"
            ) from error
