"""The commands that a page starts on a lab: one at a time, each in a process of its own.

A process can be interrupted as on a terminal: then it heals and says what is left to do. Its progress is read from its
output.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from halab import files, process
from halab.errors import ExitCode
from halab.printable import printable

# What halab prints before a step, and after it: it has ended well, has failed, or its result is unknown.
_STEP_MARKS = ("… ", "✓ ", "✗ ", "? ")
_POLL_SECONDS = 0.1
_LINES = 12
# A command that is interrupted heals first: a game day heals everything, waits for the lab, and writes its report.
_HEAL_SECONDS = 600.0
# The child looks for bundles and boxes where halab does.
_PASSED = ("HALAB_CACHE",)


@dataclass(frozen=True)
class Job:
    """A command that runs or has ended. `words` are its words after `halab`. Learners do not see a secret one.

    `code` is None while it runs; afterwards it is the exit code of the command. `output` is the current step while it
    runs, and then what it printed.
    """

    what: str
    words: Sequence[str]
    is_secret: bool
    code: int | None = None
    output: str = ""

    @property
    def is_running(self) -> bool:
        return self.code is None


class Jobs:
    """The jobs on one lab. `changed` is called, in another thread, when a job starts, reaches a step or ends."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.last: Job | None = None

    @property
    def is_busy(self) -> bool:
        return self.last is not None and self.last.is_running

    def begin(self, job: Job) -> bool:
        """Start a command; False if another one runs."""
        with self._lock:
            if self._stopped.is_set() or self.is_busy:
                return False
            self.last = job
            self._thread = threading.Thread(target=self._run, args=(job,), name=job.what, daemon=True)
            self._thread.start()
        self._changed()
        return True

    def stop(self) -> None:
        """Interrupt the command that runs, as Ctrl-C does, and wait for its end."""
        with self._lock:
            self._stopped.set()
            thread = self._thread
        if thread:
            thread.join()

    def _run(self, job: Job) -> None:
        argv = [sys.executable, "-m", "halab", *job.words]
        env = {name: os.environ[name] for name in _PASSED if name in os.environ}
        with files.scratch("halab-job-") as folder:
            log = folder / "log"
            try:
                with process.background(argv, log=log, env={**process.same_modules(), **env}) as child:
                    while child.poll() is None and not self._stopped.is_set():
                        self._report(replace(job, output=_step(log)))
                        time.sleep(_POLL_SECONDS)
                    if child.poll() is None:
                        process.end_group(child, grace_seconds=_HEAL_SECONDS)
                code, output = child.returncode, _ended(log)
            except OSError as error:
                code, output = int(ExitCode.ERROR), f"error: cannot run {argv[0]}: {error.strerror}"
        self._report(replace(job, code=code, output=output))

    def _report(self, job: Job) -> None:
        if job != self.last:
            self.last = job
            self._changed()


def _step(log: Path) -> str:
    """The step that the command is in."""
    steps = [line for line in _lines(log) if line.startswith(_STEP_MARKS)]
    return steps[-1][2:] if steps else ""


def _ended(log: Path) -> str:
    """What the command printed apart from its steps: its result or its error."""
    return "\n".join([line for line in _lines(log) if not line.startswith(_STEP_MARKS)][-_LINES:])


def _lines(log: Path) -> list[str]:
    text = log.read_text(errors="replace") if log.exists() else ""
    return [printable(line) for line in text.splitlines() if line.strip()]
