"""A site for faults: machines with scripted answers or with a real shell, and a fake power."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halab.errors import Unable
from halab.faults import injection
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.power import PowerState
from halab.process import Completed
from support.fakes import Call, FakeClock, FakeGuests, lab_of

# Paths at which a command for a machine would do harm on the host of the tests.
_HOST = re.compile(r"(?<![\w./-])/(boot|etc|home|lib|mnt|opt|proc/sys|root|run|srv|sys|usr|var)\b")


@dataclass
class FakePower:
    """Machines that run unless `states` says otherwise; the acts are recorded as text."""

    states: dict[str, PowerState] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    has_disks: bool = False

    def state(self, machine: str) -> PowerState:
        return self.states.get(machine, PowerState.RUNNING)

    def limit_cpus(self, machine: str, cpus: float | None) -> None:
        self.asked.append(f"{machine} has {cpus} cores")

    def limit_writes(self, machine: str, per_second: int | None) -> None:
        if per_second is not None and not self.has_disks:
            raise Unable("a container's disk is the host's")
        self.asked.append(f"{machine} may write {per_second} times a second")


@dataclass(frozen=True)
class Shell:
    """An answer of FakeGuests that really runs the command, in a folder instead of the machine's root.

    A command that names a folder of the host is not run at all. A tool that the test adds is a script, which notes in
    `did` how it was called. All other tools are those of the host: add each one that changes something or looks at
    processes.
    """

    root: Path

    def __post_init__(self) -> None:
        for folder in ("bin", "etc/kubernetes/manifests", "etc/keepalived", "var/lib/etcd/member"):
            (self.root / folder).mkdir(parents=True)
        # no process runs that could be killed
        self.add_tool("pkill", "exit 1")
        self.add_tool("systemctl")

    def add_tool(self, name: str, does: str = "") -> None:
        path = self.root / "bin" / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self.root}/did"\n{does}\n')
        path.chmod(0o755)

    @property
    def did(self) -> list[str]:
        path = self.root / "did"
        return path.read_text().splitlines() if path.exists() else []

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def __call__(self, call: Call) -> Completed:
        done = subprocess.run(
            ["bash", "-c", self._inside(call.command)],
            input=self._inside(call.input or ""),
            env={**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    def _inside(self, text: str) -> str:
        for folder in ("/etc/kubernetes", "/etc/keepalived", "/var/lib"):
            text = text.replace(folder, f"{self.root}{folder}")
        outside = _HOST.search(text.replace(str(self.root), "inside"))
        assert outside is None, f"this would reach the host: {outside}"
        return text


def site_of(guests: FakeGuests, power: FakePower | None = None, **written: Any) -> Site:
    """A site of a lab file with these values."""
    unused: Any = None
    stood_in: Any = power or FakePower()
    return Site(lab_of(**written), guests, FakeClock(), stood_in, unused)


def inject(site: Site, fault: str, machine: str = "cp2", **options: str) -> tuple[Entry, str]:
    """Plan and inject a fault without a journal; the entry, and the effect that was seen."""
    entry = injection.plan(site, fault, machine, options)
    return entry, FAULTS[fault].inject(site, entry)


def heal(site: Site, entry: Entry) -> None:
    FAULTS[entry.fault].heal(site, entry)
