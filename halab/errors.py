"""The errors of halab. They carry facts; only the command line prints them.

HalabError             exit 3: halab could not do what it was asked for
├── BadFile            exit 2: a file that a person wrote is wrong; lists every problem in it
├── BadUsage           exit 2: what was asked for does not exist or makes no sense here
├── HostProblem        this host lacks something: a tool, an engine, disk space, memory
├── CommandFailed      a command that halab ran failed
│   └── BootTimedOut   machines were started and did not answer over SSH in time
├── ScriptFailed       a script that provisions a machine failed on it
├── TimedOut           a wait reached its time limit; says what it last saw
├── Corrupted          a file does not match its checksum, or cannot be read
├── Unreachable        a machine, or a server of the lab, does not answer
├── TunnelLost         the tunnel to a lab on another host has ended: nothing is known about the lab itself
├── LabProblem         the state of the lab does not allow this
│   └── NotConnected   packets between machines of the lab are lost
└── Unable             this lab, its provider or its kernel cannot do this: a scenario is skipped
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from halab.printable import brief_line


class ExitCode(IntEnum):
    """The exit codes of halab."""

    PASSED = 0
    FAILED = 1  # a scenario failed
    USAGE = 2  # the command line or a file is wrong
    ERROR = 3  # halab could not do it, or the verdict is error
    INTERRUPTED = 130


class HalabError(Exception):
    """An error that is shown to the user as a message and, after a blank line, a hint."""

    exit_code = ExitCode.ERROR

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """An error of another host arrives with all its facts. By default, it would be made of its message alone."""
        return _as_it_was, (type(self), self.args, self.__dict__)

    @property
    def with_hint(self) -> str:
        """The message and, in parentheses, the hint: for a place that has one line for both."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


def _as_it_was(kind: type[HalabError], args: tuple[Any, ...], facts: dict[str, Any]) -> HalabError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


@dataclass(frozen=True)
class Problem:
    """One problem in a file: `file:line: field: what is wrong`."""

    file: str
    line: int
    field: str
    what: str

    def __str__(self) -> str:
        return brief_line(f"{self.file}:{self.line}: {self._of_field}")

    @property
    def without_place(self) -> str:
        """For a file that the user cannot open."""
        return brief_line(self._of_field)

    @property
    def _of_field(self) -> str:
        return f"{self.field}: {self.what}" if self.field else self.what


class BadFile(HalabError):
    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        super().__init__("\n".join(map(str, problems)), hint=hint)
        self.problems = tuple(problems)


class BadUsage(HalabError):
    exit_code = ExitCode.USAGE


class HostProblem(HalabError):
    pass


class CommandFailed(HalabError):
    """`code` is the exit status, negative for a signal; `output` the end of what it printed."""

    def __init__(self, message: str, *, code: int, output: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.output = output


class BootTimedOut(CommandFailed):
    pass


class ScriptFailed(HalabError):
    """`script` is its name, `output` the end of what it printed, `code` its exit code; None: stopped at its limit."""

    def __init__(
        self,
        message: str,
        *,
        script: str,
        output: str = "",
        code: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.script = script
        self.code = code
        self.output = output


class TimedOut(HalabError):
    pass


class Corrupted(HalabError):
    pass


class Unreachable(HalabError):
    pass


class TunnelLost(HalabError):
    pass


class LabProblem(HalabError):
    pass


class NotConnected(LabProblem):
    pass


class Unable(HalabError):
    pass


@contextmanager
def afterwards(act: Callable[[], object]) -> Iterator[None]:
    """Act when the block ends. An error of `act` does not replace the error that ended the block, such as Ctrl-C."""
    try:
        yield
    except BaseException:
        with suppress(Exception):
            act()
        raise
    act()
