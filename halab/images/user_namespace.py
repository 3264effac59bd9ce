"""A user namespace: an ordinary user is root there, over files of many users and nothing else of this host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from halab import packages, process
from halab.clock import Deadline, NotYet, RealClock, wait_for
from halab.errors import CommandFailed, HalabError, HostProblem
from halab.progress import Step

# The user becomes root, and the subordinate ids of /etc/subuid become the other users. Processes have a namespace too:
# all of them end when the first command ends. It needs its own /proc, where containerd looks for its own process:
# without it, containerd never answers (stat /proc/PID/ns/pid: no such file).
_ENTER = (
    "--user", "--map-root-user", "--map-auto", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip

# What unshare prints without newuidmap, and where /etc/subuid or /etc/subgid has no line for the user.
_WITHOUT_PROGRAM, _WITHOUT_IDS = "execute new", "/etc/sub"

# The files that list subordinate ids. `useradd` gives 65536 to each user, from 100000 on: login.defs(5).
_SUBORDINATE = [Path("/etc/subuid"), Path("/etc/subgid")]
_FIRST_ID, _IDS = 100_000, 65_536

# The lines of a failed command that its error shows.
_TAIL = 15


class NoUserNamespace(HostProblem):
    """This user cannot be root of a user namespace. Root of this host needs none."""


def command(argv: Sequence[str | Path]) -> list[str | Path]:
    """The command, to be run as root of a new user namespace."""
    return [process.find("unshare", hint=packages.install("util-linux")), *_ENTER, *argv]


def run(argv: Sequence[str | Path], step: Step, *, env: Mapping[str, str], limit_seconds: float) -> None:
    """Run a command as root of a new user namespace. The step shows the last line that it printed."""
    with TemporaryDirectory(prefix="halab-") as scratch:
        log = Path(scratch) / "output"

        with process.background(command(argv), log=log, env=env) as child:

            def require_end() -> None:
                if child.poll() is None:
                    lines = _lines(log)
                    step.note(lines[-1] if lines else "")
                    raise NotYet(lines[-1] if lines else "nothing")

            wait_for(
                "the command to end",
                require_end,
                Deadline.after(RealClock(), limit_seconds),
                every_seconds=0.2,
            )
        if child.returncode != 0:
            raise CommandFailed(
                f"command exited with code {child.returncode}: {process.pasteable(list(map(str, argv)))}",
                code=child.returncode,
                output="\n".join(_lines(log)[-_TAIL:]),
            )


def required_for(command: str) -> NoUserNamespace | None:
    """The obstacle with a way round: root runs this command of halab."""
    problem = obstacle()
    if problem is None:
        return None
    fix = f"{problem.hint}; or " if problem.hint else ""
    return NoUserNamespace(problem.message, hint=f"{fix}run it once as root: {process.as_root(command)}")


def obstacle() -> NoUserNamespace | None:
    """Why this user cannot be root of a user namespace; None if they can."""
    try:
        done = process.run(command(["true"]), timeout_seconds=60, check=False)
    except HalabError as error:
        return NoUserNamespace(error.message, hint=error.hint)
    if done.code == 0:
        return None
    said = next(iter(done.errors.strip().splitlines()), f"exit code {done.code}")
    return NoUserNamespace(f"no user namespace for this user: {said}", hint=_fix(done.errors))


def _fix(printed: str) -> str | None:
    if _WITHOUT_PROGRAM in printed:
        return packages.install("uidmap")
    if _WITHOUT_IDS in printed:
        ids = _free_ids()
        return f'sudo usermod --add-subuids {ids} --add-subgids {ids} "$USER"'
    return None


def _free_ids() -> str:
    """Subordinate ids that no user has: two users with the same ones could change each other's files."""
    lines = [line for path in _SUBORDINATE if path.is_file() for line in path.read_text().splitlines()]
    ranges = [re.fullmatch(r"[^:]+:(\d+):(\d+)", line.strip()) for line in lines]
    ends = [int(match[1]) + int(match[2]) for match in ranges if match]
    first = max([_FIRST_ID, *ends])
    return f"{first}-{first + _IDS - 1}"


def _lines(log: Path) -> list[str]:
    return [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
