"""Commands inside machines, over OpenSSH with the lab's own ssh_config.

testinfra is not used here, because its commands have neither standard input nor a time limit: a frozen machine would
hang a run (its SshBackend calls communicate() without a timeout). Checks use testinfra with the same ssh_config.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

from halab import packages, process
from halab.clock import Clock, Deadline, NotYet, wait_for
from halab.errors import CommandFailed, TimedOut, Unreachable
from halab.printable import last_line
from halab.process import Completed

T = TypeVar("T")

# The command that sets a clock first asks the machine itself whether it has one: the lab file may be wrong.
REQUIRE_OWN_CLOCK = (
    "if systemd-detect-virt -cq; then echo 'a container shares the clock of its host' >&2; exit 1; fi; "
)
_ANSWER_SECONDS = 60
# OpenSSH's exit code for its own failures (no route, connection refused, wrong key).
_SSH_FAILED = 255


class Guests(Protocol):
    def run(
        self,
        machine: str,
        command: str,
        *,
        timeout_seconds: float = 20,
        input: str | None = None,
        input_file: Path | None = None,
        log: Path | None = None,
        check: bool = True,
    ) -> Completed:
        """Run a shell command as root. Raises Unreachable, TimedOut, and CommandFailed unless `check` is off."""


class SshGuests:
    def __init__(self, ssh_config: Path) -> None:
        self._ssh = [process.find("ssh", hint=packages.install("openssh-client")), "-F", str(ssh_config)]

    def run(
        self,
        machine: str,
        command: str,
        *,
        timeout_seconds: float = 20,
        input: str | None = None,
        input_file: Path | None = None,
        log: Path | None = None,
        check: bool = True,
    ) -> Completed:
        # the guest ends the command: a time limit here would only end ssh, and leave the command running
        guarded = f"sudo timeout -k 2 {timeout_seconds:.0f} bash -c {shlex.quote(command)}"
        done = process.run(
            [*self._ssh, machine, "--", guarded],
            timeout_seconds=timeout_seconds + 8,
            input=input,
            input_file=input_file,
            log=log,
            check=False,
        )
        if done.code == _SSH_FAILED:
            raise Unreachable(f"{machine} does not answer over SSH: {last_line(_text(done, log))}")
        if done.code == 124:
            raise TimedOut(
                f"on {machine}, a command did not end within {timeout_seconds:.0f} s: {_short(command)}"
            )
        if check and done.code != 0:
            tail = "\n".join(_text(done, log).rstrip().splitlines()[-12:])
            raise CommandFailed(
                f"on {machine}, a command exited with code {done.code}: {_short(command)}\n{tail}",
                code=done.code,
                output=tail,
                hint=f"all of its output: {log}" if log else None,
            )
        return done

    def shell_argv(self, machine: str, command: Iterable[str] = ()) -> list[str]:
        """The command line of a user's session on a machine; the remote shell reads the words, as with ssh itself."""
        return [*self._ssh, machine, *(["--", *command] if command else [])]


def set_clock(guests: Guests, machine: str, clock: Clock, patience: float) -> None:
    """Set a virtual machine's clock from this host's, when it answers; its time service continues from there."""
    once_it_answers(machine, lambda: correct_clock(guests, machine), clock, patience)


def correct_clock(guests: Guests, machine: str) -> None:
    """Set a virtual machine's clock from this host's, by what it is ahead or behind.

    A time that we send would be too old when it is set: a busy machine needs seconds for the log-in.
    """
    ahead, _ = clock_offset(guests, machine)
    guests.run(machine, f"{REQUIRE_OWN_CLOCK}date -s 'now {-ahead:+.3f} seconds'")


def clock_offset(guests: Guests, machine: str) -> tuple[float, float]:
    """The least and the most seconds by which a machine's clock is ahead of this host's; negative if it is behind.

    The least is nearly right: the machine reads its clock last, after the log-in.
    """
    with TemporaryDirectory(prefix="halab-") as scratch:
        answer = Path(scratch) / "answer"
        before = time.time()
        guests.run(machine, "date +%s.%N", log=answer, check=False)
        # when the answer arrived: the end of the session takes longer
        arrived = answer.stat().st_mtime
        told = last_line(answer.read_text(errors="replace"))
    try:
        machine_time = float(told)
    except ValueError as error:
        raise CommandFailed(f"{machine} does not tell its time: {told or 'no output'}", code=0) from error
    return machine_time - arrived, machine_time - before


def once_it_answers(machine: str, call: Callable[[], object], clock: Clock, patience: float) -> None:
    """Call something that needs a machine which may still be booting. Raises TimedOut if it does not answer."""

    def try_it() -> None:
        try:
            call()
        except Unreachable as error:
            raise NotYet(error.message) from error

    wait_for(f"{machine} to answer over SSH", try_it, Deadline.after(clock, _ANSWER_SECONDS * patience))


def on_all(machines: Iterable[str], call: Callable[[str], T]) -> dict[str, T]:
    """Call with every machine at the same time; the first failure is raised when all calls have ended."""
    names = list(machines)
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool, process.ended_at_interrupt():
        futures = {name: pool.submit(call, name) for name in names}
        wait(futures.values())
    return {name: future.result() for name, future in futures.items()}


def _text(done: Completed, log: Path | None) -> str:
    return log.read_text(errors="replace") if log else done.errors or done.output


def _short(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= 120 else line[:119] + "…"
