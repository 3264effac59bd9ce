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
    once_it_answers(
        guests, machine, lambda: f"{REQUIRE_OWN_CLOCK}date -s @{time.time():.3f}", clock, patience
    )


def clock_offset(guests: Guests, machine: str) -> tuple[float, float]:
    """The least and the most seconds by which a machine's clock is ahead of this host's; negative if it is behind."""
    before = time.time()
    machine_time = float(guests.run(machine, "date +%s.%N").output)
    # the clock was read at some moment between the question and now
    return machine_time - time.time(), machine_time - before


def once_it_answers(
    guests: Guests, machine: str, command: Callable[[], str], clock: Clock, patience: float
) -> None:
    """Run a command on a machine that may still be booting, as soon as it answers. Raises TimedOut if it does not."""

    def run() -> None:
        try:
            guests.run(machine, command())
        except Unreachable as error:
            raise NotYet(error.message) from error

    wait_for(f"{machine} to answer over SSH", run, Deadline.after(clock, _ANSWER_SECONDS * patience))


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
