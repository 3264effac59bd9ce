"""Machines are made and removed by Vagrant: the one home of python-vagrant."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import vagrant as python_vagrant
from filelock import FileLock, Timeout

from halab import process
from halab.config.lab import ProviderKind
from halab.errors import BootTimedOut, CommandFailed, HostProblem

_HINT = "sudo apt-get install vagrant"
# How Vagrant writes a slash in the name of a folder, and its plugin in that of a volume.
SLASH = "-VAGRANTSLASH-"
_TAIL_LINES = 12
_LINE = 160
# A stock box may have to come over a slow line.
_ADDING_SECONDS = 1800


# Of a problem that Vagrant did not foresee, for each machine.
_TRACE = re.compile(r"\s*\S+\.rb:\d+:in ")
# What went wrong with each of several machines comes below a line with its name.
_FAILED_MACHINE = re.compile(
    r"rror occurred (?:while|when) executing the action on the\s+'([^']+)'\s+machine"
)
# In Vagrant's words, and in those of its plugin for libvirt, which first waits for an address.
_NO_ANSWER = ("Timed out while waiting for the machine to boot", "wait_for timeout (")
_SSH_WARNING = re.compile(r"^\s*(\S+): Warning: (.+?)\.? Retrying", re.MULTILINE)


def disk_of(box: str) -> Path | None:
    """The disk of a box that was added from a file, where Vagrant has unpacked it; None where it has not."""
    # since 2.4 with the architecture in between
    return next((box_folder(_home(), box) / "0").glob("**/libvirt/box.img"), None)


def _home() -> Path:
    return Path(os.environ.get("VAGRANT_HOME") or "~/.vagrant.d").expanduser()


@contextmanager
def _adding(box: str) -> Iterator[None]:
    """One halab at a time adds a box of that name: Vagrant has no lock, and removes what another one is adding.

    The lock is beside the boxes. All labs of a user share these, also from different network namespaces.
    """
    path = _home() / f"halab-{box.replace('/', SLASH)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path).acquire(timeout=_ADDING_SECONDS)
    except Timeout as error:
        raise HostProblem(
            f"another halab has been adding the box {box} for {_ADDING_SECONDS // 60} min: {path}",
            hint=f"see which one: fuser -v {path}",
        ) from error
    with lock:
        yield


def box_folder(home: Path, box: str) -> Path:
    """Where Vagrant keeps all versions of a box, below its home."""
    return home / "boxes" / box.replace("/", SLASH)


def silent_machines(output: str, only: str | None) -> list[str]:
    """Which machines were started and did not answer, with what SSH last said of each; none if anything else failed.

    `only` is the machine that Vagrant was asked for, or None for all of them.
    """
    _, *found = _FAILED_MACHINE.split(output)
    failed = dict(zip(found[::2], found[1::2], strict=True)) or {only or "a machine": output}
    if not all(any(words in text for words in _NO_ANSWER) for text in failed.values()):
        return []
    warnings = dict(_SSH_WARNING.findall(output))
    return [f"{name} ({warnings[name].lower()})" if name in warnings else name for name in sorted(failed)]


def _tells(line: str) -> bool:
    return bool(line.strip()) and not _TRACE.match(line)


class _Dependent(python_vagrant.Vagrant):
    """Ends with the halab that started it, however that ends: a `down` after it must see all that there is."""

    def _make_vagrant_command(self, args: Sequence[str | None]) -> list[str]:
        setpriv = process.find("setpriv", hint="sudo apt-get install util-linux")
        return [setpriv, "--pdeathsig", "KILL", *super()._make_vagrant_command(args)]  # type: ignore[no-untyped-call]


class Vagrant:
    """Vagrant in a lab's work folder; all that it prints goes to the log."""

    def __init__(
        self, folder: Path, provider: ProviderKind, log: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        process.find("vagrant", hint=_HINT)
        self._log = log
        self._provider = str(provider)
        self._vagrant: Any = _Dependent(  # type: ignore[no-untyped-call]
            root=str(folder),
            out_cm=self._logged,
            err_cm=self._logged,
            env=process.environment(
                {"VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_NO_COLOR": "1", **(env or {})}
            ),
        )

    def up(self, machine: str | None = None) -> None:
        """Make and start one machine, or all of them at once where the provider can. Nothing is provisioned."""
        try:
            self._up(machine)
        except CommandFailed as error:
            # docker lists a container a moment before it can be asked about
            if "No such object" not in error.output:
                raise
            self._up(machine)

    def _up(self, machine: str | None) -> None:
        with self._translated("up", machine):
            self._vagrant.up(vm_name=machine, no_provision=True, provider=self._provider)

    def boxes(self) -> set[str]:
        """Names of the boxes that Vagrant has for this provider."""
        with self._translated("box list"):
            return {each.name for each in self._vagrant.box_list() if each.provider == self._provider}

    def add_box(self, name: str, file: Path) -> None:
        """Add a box from its file, where nobody else has just done so."""
        with _adding(name):
            if name not in self.boxes():
                with self._translated("box add"):
                    # over what an interrupted one has left
                    self._vagrant.box_add(name, str(file), provider=self._provider, force=True)

    def fetch_box(self, name: str) -> None:
        """Get a stock box from where Vagrant gets them, where nobody else has just done so."""
        with _adding(name):
            if name not in self.boxes():
                with self._translated("box add"):
                    self._vagrant.box_add(name, name, provider=self._provider)

    def halt(self) -> None:
        """Stop every machine as by its own `shutdown`."""
        with self._translated("halt"):
            self._vagrant.halt()

    def destroy(self) -> None:
        """Remove every machine with its disks."""
        with self._translated("destroy"):
            self._vagrant.destroy()

    def states(self) -> dict[str, str]:
        """Machine → state, in Vagrant's words (`running`, `stopped`, `not_created` …)."""
        with self._translated("status"):
            return {each.name: each.state for each in self._vagrant.status()}

    @contextmanager
    def _logged(self) -> Iterator[IO[bytes]]:
        with self._log.open("ab") as sink:
            yield sink

    @contextmanager
    def _translated(self, verb: str, machine: str | None = None) -> Iterator[None]:
        begin = self._log.stat().st_size if self._log.exists() else 0
        try:
            yield
        except subprocess.CalledProcessError as error:
            output = self._log.read_bytes()[begin:].decode(errors="replace")
            # Vagrant shows the whole command that failed in one line: the log has it
            lines = [line for line in output.splitlines() if _tells(line)][-_TAIL_LINES:]
            tail = "\n".join(line if len(line) <= _LINE else line[: _LINE - 1] + "…" for line in lines)
            failed, message = CommandFailed, f"vagrant {verb} ended with {error.returncode}:\n{tail}"
            if verb == "up" and (silent := silent_machines(output, machine)):
                failed = BootTimedOut
                message = f"started, but no answer over SSH in time: {', '.join(silent)}"
            raise failed(
                message, code=error.returncode, output=tail, hint=f"Vagrant's whole output: {self._log}"
            ) from error
        except FileNotFoundError as error:
            raise HostProblem("not found: vagrant", hint=_HINT) from error
