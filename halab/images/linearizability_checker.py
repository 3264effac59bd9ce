"""The program that checks reads and writes for linearizability: built on this host when it is first needed.

Its source is in the folder `linearizability`. It runs on this host only, and is in no bundle and in no box.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from halab.errors import CommandFailed, HostProblem
from halab.images import cache
from halab.images.go import Go
from halab.progress import Progress

_SOURCE = Path(__file__).with_name("linearizability")
_FILES = ("main.go", "go.mod", "go.sum")
_NAME = "linearizability"
_GO = "1.21"
_LIMIT_SECONDS = 600
_HINT = "it needs a module: check that this host reaches Go's module proxy, or set GOPROXY to another one"


def obstacle(go: Go | None = None) -> HostProblem | None:
    """Why this host has no such program and cannot build it; None if it has or can."""
    return None if _place().is_file() else (go or Go()).obstacle(_GO)


def program(progress: Progress, go: Go | None = None) -> Path:
    """The path of the program. Raises HostProblem or CommandFailed if it cannot be built."""
    target, go = _place(), go or Go()
    if target.is_file():
        return target
    if problem := go.obstacle(_GO):
        raise problem
    with cache.locked(target.parent.name, progress):
        if not target.is_file():
            with progress.step("build the check of reads and writes", limit_seconds=_LIMIT_SECONDS):
                _build(target, go)
    return target


def _build(target: Path, go: Go) -> None:
    with cache.replacing(target.parent) as fresh, tempfile.TemporaryDirectory() as scratch:
        # Go may write into the folder of a module, and halab's own may belong to another user
        for name in _FILES:
            shutil.copyfile(_SOURCE / name, Path(scratch) / name)
        try:
            go.build(
                ".", fresh / _NAME, folder=Path(scratch), architecture=cache.architecture(),
                timeout_seconds=_LIMIT_SECONDS,
            )  # fmt: skip
        except CommandFailed as error:
            raise CommandFailed(
                f"Go could not build the program that checks reads and writes:\n{error.output}",
                code=error.code, output=error.output, hint=_HINT,
            ) from error  # fmt: skip


def _place() -> Path:
    """Where the program is, or will be: another one for every other content of its source."""
    content = hashlib.sha256(b"\0".join((_SOURCE / name).read_bytes() for name in _FILES)).hexdigest()
    return cache.folder() / "programs" / f"{_NAME}-{content[:16]}-{cache.architecture()}" / _NAME
