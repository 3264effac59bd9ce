"""A shell on a machine that stays open, for questions that are asked several times a second.

A new SSH connection for each of them would cost both sides a handshake. Here a command costs a fork on the machine.
"""

from __future__ import annotations

import asyncio
import itertools
import shlex
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence

from halab import process
from halab.errors import Unreachable

# Bash runs the commands side by side. It ends when the connection is cut: at once, or after half a minute of silence.
_SERVE = 'while read -r -t 30 line; do eval "$line" & done'
# A frozen machine answers all of them when it runs again.
_MOST_UNANSWERED = 50
# ssh to a machine that is off ends at once.
_REOPEN_SECONDS = 1.0


class GuestShell:
    """Runs commands on a machine as root, side by side. After a cut, the next command opens a new connection.

    `ssh` is the command line that reaches the machine, up to the command to run there.
    """

    def __init__(self, ssh: Sequence[str], as_root: Sequence[str] = ("sudo",)) -> None:
        self._argv = [*ssh, *as_root, "bash", "-c", shlex.quote(_SERVE)]
        self._numbers = itertools.count()
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._unanswered = 0
        self._shell: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._opens_from = 0.0

    async def ask(self, command: str) -> str:
        """What a command printed, as one line. Raises Unreachable; the caller cancels it at its time limit."""
        async with self._opening:
            shell = await self._open()
        if self._unanswered >= _MOST_UNANSWERED:
            raise Unreachable(f"{self._unanswered} commands without an answer")
        number = str(next(self._numbers))
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._unanswered += 1
        assert shell.stdin is not None
        try:
            shell.stdin.write(f"echo {number} $({command})\n".encode())
            return await waiting
        except OSError as error:
            raise Unreachable("the connection is cut") from error
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        self._forget()
        if self._reader:
            await self._reader

    async def _open(self) -> Process:
        if self._shell is None:
            if time.monotonic() < self._opens_from:
                raise Unreachable("the connection is cut")
            try:
                self._shell = await asyncio.create_subprocess_exec(
                    *self._argv, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=process.environment()
                )
            except OSError as error:
                raise Unreachable(f"ssh does not start: {error.strerror}") from error
            self._unanswered = 0
            self._reader = asyncio.create_task(self._read(self._shell))
        return self._shell

    async def _read(self, shell: Process) -> None:
        assert shell.stdout is not None
        try:
            async for line in shell.stdout:
                number, _, answer = line.decode(errors="replace").strip().partition(" ")
                self._unanswered -= 1
                waiting = self._waiting.get(number)
                if waiting and not waiting.done():
                    waiting.set_result(answer)
        except ValueError:
            pass  # a line that is too long, so it is not of ours
        if self._shell is shell:
            self._forget()
        self._opens_from = time.monotonic() + _REOPEN_SECONDS
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Unreachable("the connection is cut"))
        await shell.wait()

    def _forget(self) -> None:
        shell, self._shell = self._shell, None
        if shell and shell.returncode is None:
            assert shell.stdin is not None
            shell.stdin.close()
            shell.kill()
