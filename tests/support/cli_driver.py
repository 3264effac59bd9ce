"""The command line of halab, as users call it in the folder of a lab."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halab.lifecycle import providers
from halab.lifecycle.lab import existing, open_file
from halab.machines.power import Power

HALAB = Path(sys.executable).with_name("halab")
# The longest command is an `up` with a cold cache on a busy machine. halab itself limits the time of every phase.
COMMAND_SECONDS = 1200


@dataclass(frozen=True)
class Done:
    code: int
    output: str
    errors: str

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.output}\n--- stderr\n{self.errors}"


@dataclass(frozen=True)
class UserLab:
    """A folder with a lab file, and the halab commands that a user runs there."""

    folder: Path
    command_seconds: float = COMMAND_SECONDS

    def halab(self, *words: str) -> Done:
        done = subprocess.run(
            [HALAB, *words], cwd=self.folder, capture_output=True, text=True, timeout=self.command_seconds, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        # pytest shows this when a test fails, and `-s` shows it at once
        print(f"$ halab {' '.join(words)}\n{done.stderr}{done.stdout}")
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str) -> str:
        done = self.halab(*words)
        assert done.code == 0, str(done)
        return done.output

    def require_pass(self, scenario: str) -> None:
        [result] = json.loads(self.ok("run", scenario, "--json"))
        assert result["verdict"] == "pass", result["reasons"]

    def require_proof(self, scenario: str) -> None:
        """Check that the scenario passes, and that its twins lose."""
        self.require_pass(scenario)
        self.ok("prove", scenario)

    def require_skip(self, scenario: str, reason: str) -> None:
        done = self.halab("run", scenario, "--json")
        assert done.code == 3, str(done)
        [result] = json.loads(done.output)
        assert result["verdict"] == "skip"
        assert reason in " ".join(result["reasons"])

    def power(self) -> Power:
        """The power of the lab's machines, over the same docker engine or libvirt that halab uses."""
        lab_dir = open_file(self.folder / "lab.yml")
        return providers.machines(lab_dir, existing(lab_dir)).power()

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a command that runs beside the test, in a process group of its own, as from a shell."""
        return subprocess.Popen(
            [HALAB, *words], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def kill_at(self, step: str, *words: str) -> None:
        """Run a command, and kill halab, and nothing that it started, when a step begins."""
        child = self.begin(*words)
        assert child.stdout is not None
        said = ""
        for line in child.stdout:
            said += line
            if line.startswith("…") and step in line:
                break
        assert child.poll() is None, said
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.halab("status", "--json").output)
        return status

    def wait_until_steady(self, seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while not (status := self.status())["steady"]:
            assert time.monotonic() < deadline, status
            time.sleep(2)

    def last_run(self) -> Path:
        return sorted((self.folder / ".halab/runs").iterdir(), key=lambda path: path.stat().st_mtime)[-1]

    def wait_for_event(
        self, name: str, child: subprocess.Popen[str], known: set[Path], seconds: float = 240
    ) -> Path:
        """Wait until the timeline of a new run has an event; the folder of the run."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and child.poll() is None:
            for run in set(self.runs()) - known:
                timeline = run / "timeline.jsonl"
                if timeline.exists() and f'"event": "{name}"' in timeline.read_text():
                    return run
            time.sleep(0.2)
        end(child)
        raise AssertionError(f"no {name} within {seconds} s:\n{child.stdout.read() if child.stdout else ''}")

    def runs(self) -> list[Path]:
        folder = self.folder / ".halab/runs"
        return list(folder.iterdir()) if folder.is_dir() else []


def interrupt(child: subprocess.Popen[str], at: str = "") -> None:
    """Send Ctrl-C when a command has printed `at`, or at once, and check that it ends as interrupted."""
    assert child.stdout is not None
    said = ""
    if at:
        for line in child.stdout:
            said += line
            if at in line:
                break
    # a process that has ended cannot be interrupted; its output shows why it ended
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGINT)
    said += child.communicate(timeout=120)[0]
    assert child.returncode == 130, said
    assert "Traceback" not in said, said


def end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def engine_names(kind: str, lab: str) -> str:
    """The IDs of a lab's containers, networks or volumes (their names), one per line; `kind` is the singular."""
    listing = ["ps", "--all"] if kind == "container" else [kind, "ls"]
    argv = ["docker", *listing, "--filter", f"label=halab.lab={lab}", "--quiet"]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def bring_up(lab: UserLab) -> None:
    lab.ok("up")


def lab_in(
    folder: Path,
    text: str,
    *,
    create: Callable[[UserLab], None] = bring_up,
    command_seconds: float = COMMAND_SECONDS,
) -> Iterator[UserLab]:
    """Create a lab with `create`, and take it down at the end, whatever happens.

    `command_seconds` limits the time of every halab command.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lab.yml").write_text(text)
    lab = UserLab(folder, command_seconds)
    try:
        create(lab)
        yield lab
    finally:
        keep_evidence(lab)
        lab.halab("down")


def keep_evidence(lab: UserLab) -> None:
    """Copy the recorded runs to the folder in HALAB_EVIDENCE, if it is set: the artefacts of a CI job."""
    target = os.environ.get("HALAB_EVIDENCE")
    runs = lab.folder / ".halab/runs"
    if target and runs.is_dir():
        shutil.copytree(runs, Path(target) / lab.folder.name, dirs_exist_ok=True)
