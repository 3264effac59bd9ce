"""A lab that is up for a while: whatever ends its use, its machines are removed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from halab.errors import HalabError
from halab.lifecycle.lab import LabDir
from halab.progress import Progress


@dataclass(frozen=True)
class LabDeps:
    """How a lab comes up and is taken down. Tests pass their own functions."""

    up: Callable[[LabDir, Progress], object]
    down: Callable[[LabDir, Progress], object]
    # the hint of an error whose lab was removed
    removed_hint: str = "halab has removed the lab; to keep it and its logs, use --keep"


@contextmanager
def removed_afterwards(lab_dir: LabDir, progress: Progress, deps: LabDeps, *, keep: bool) -> Iterator[None]:
    """Take the lab down when the block ends, even after an error or Ctrl-C."""
    try:
        yield
    except BaseException as error:
        if not keep:
            # an error of the removal has been reported; the error that ended the block is raised
            with suppress(HalabError):
                _take_down(lab_dir, progress, deps)
                if isinstance(error, HalabError):
                    error.hint = "\n".join(filter(None, (error.hint, deps.removed_hint)))
        raise
    if keep:
        progress.say(f"the lab {lab_dir.name} stays; remove it with {_command(lab_dir)}")
    else:
        _take_down(lab_dir, progress, deps)


def _take_down(lab_dir: LabDir, progress: Progress, deps: LabDeps) -> None:
    """Remove the lab. After Ctrl-C, halab completes the removal before it ends. A second Ctrl-C ends it at once."""
    remaining = f"the lab {lab_dir.name} was not removed; remove it with {_command(lab_dir)}"
    try:
        deps.down(lab_dir, progress)
    except KeyboardInterrupt:
        progress.say("interrupted: removing the lab first")
        try:
            deps.down(lab_dir, progress)
        except (HalabError, KeyboardInterrupt):
            progress.say(remaining)
        raise
    except HalabError:
        progress.say(remaining)
        raise


def _command(lab_dir: LabDir) -> str:
    return f"`halab down -f {shlex.quote(str(lab_dir.file))}`"
