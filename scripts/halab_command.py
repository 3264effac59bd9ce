"""The halab command of this Python's environment, for the scripts that run it in the folder of a lab."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HALAB = Path(sys.executable).with_name("halab")
STEADY_SECONDS = 600
# So long after a step began, the processes that it starts are running.
MOMENT_SECONDS = 0.7
# What halab prints only if it has a bug.
SIGNS_OF_A_BUG = ("Traceback", "internal error", "in a way it should not")


def run(
    *words: str, environment: Mapping[str, str] | None = None, show_progress: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run halab to its end. Its messages are in `stderr`, or go to the terminal with `show_progress`.

    After Ctrl-C, wait until it has healed the lab: `subprocess.run` would kill it after a quarter of a second.
    """
    argv = [str(HALAB), *words]
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if show_progress else subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        try:
            output, messages = child.communicate()
        except KeyboardInterrupt:
            # the terminal has sent it to halab too
            child.communicate()
            raise
    return subprocess.CompletedProcess(argv, child.returncode, output, messages)


def status() -> dict[str, Any]:
    """What `halab status --json` prints; empty if it prints nothing."""
    printed: dict[str, Any] = json.loads(run("status", "--json").stdout or "{}")
    return printed


def wait_until_steady() -> dict[str, Any]:
    """Wait until the lab is steady, at most 600 s, and return the last status."""
    deadline = time.monotonic() + STEADY_SECONDS
    while True:
        last = status()
        if last.get("steady") or time.monotonic() > deadline:
            return last
        time.sleep(2)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one JSON object per line; none if there is no such file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def begin(
    *words: str, environment: dict[str, str] | None = None, folder: Path | None = None
) -> subprocess.Popen[str]:
    """Start halab in a session of its own, by default in this folder."""
    return subprocess.Popen(
        [HALAB, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=environment, cwd=folder,
    )  # fmt: skip


def at_step(step: int | str, child: subprocess.Popen[str], printed: list[str] | None = None) -> bool:
    """Wait until a moment after a step began; False if the command has no such step. `printed` gets its messages."""
    assert child.stderr is not None
    began = -1
    for line in child.stderr:
        if printed is not None:
            printed.append(line)
        # `… WHAT (≤ LIMIT)` begins a step; a line with `, for ` says that a step goes on
        if line.startswith("… ") and ", for " not in line:
            began += 1
        if began == step or (isinstance(step, str) and line.startswith(f"… {step}")):
            time.sleep(MOMENT_SECONDS)
            return True
    return False


def kill(child: subprocess.Popen[str]) -> None:
    """Kill halab alone. The processes that it started go on, for example Vagrant: the next command must end them."""
    if child.poll() is None:
        os.kill(child.pid, signal.SIGKILL)
    child.wait()
    if child.stderr:
        child.stderr.close()


def lab_objects(lab: str) -> list[str]:
    """The names of a lab's objects in docker and libvirt."""
    commands = []
    if shutil.which("docker"):
        commands += [
            ["docker", "ps", "--all", "--format", "{{.Names}}"],
            ["docker", "network", "ls", "--format", "{{.Name}}"],
            ["docker", "volume", "ls", "--format", "{{.Name}}"],
            ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"],
        ]
    if shutil.which("virsh"):
        virsh = ["virsh", "--quiet", "--connect", os.environ.get("LIBVIRT_DEFAULT_URI", "qemu:///system")]
        commands += [
            [*virsh, "list", "--all", "--name"],
            [*virsh, "net-list", "--all", "--name"],
            [*virsh, "vol-list", "default"],
        ]
    outputs = [
        subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60).stdout
        for argv in commands
    ]
    return [line.strip() for text in outputs for line in text.splitlines() if f"halab-{lab}" in line]


def processes_in(folder: Path, proc: Path = Path("/proc")) -> list[str]:
    """The processes that work in a folder or below it, as `PID COMMAND`. This one does not count."""
    lines = []
    for process in proc.glob("[0-9]*"):
        try:
            cwd = (process / "cwd").readlink()
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        is_there = cwd == folder or folder in cwd.parents
        if is_there and int(process.name) != os.getpid():
            lines.append(f"{process.name} {command.strip()}")
    return sorted(lines)
