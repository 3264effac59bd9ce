"""A user namespace: an ordinary user is root there, over files of many users and nothing else of this host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from halab import packages, process
from halab.errors import HalabError, HostProblem

# The user becomes root, and the subordinate ids of /etc/subuid the other users. The ids of processes have a namespace
# too, so that nothing of it continues when its first command ends.
_ENTER = ("--user", "--map-root-user", "--map-auto", "--mount", "--pid", "--fork", "--kill-child")
_UNLIMITED = 1 << 31

# What unshare prints without newuidmap, and where /etc/subuid or /etc/subgid has no line for the user.
_WITHOUT_PROGRAM, _WITHOUT_IDS = "execute new", "/etc/sub"


def command(argv: Sequence[str | Path]) -> list[str | Path]:
    """The command, to be run as root of a new user namespace."""
    return [process.find("unshare", hint=packages.install("util-linux")), *_ENTER, *argv]


def is_inside() -> bool:
    """Whether this process is in a user namespace, where nobody can make devices."""
    first = Path("/proc/self/uid_map").read_text().split()
    return int(first[2]) < _UNLIMITED


def required_for(command: str) -> HostProblem | None:
    """The obstacle with a way round: root runs this command of halab."""
    problem = obstacle()
    if problem is None:
        return None
    fix = f"{problem.hint}; or " if problem.hint else ""
    return HostProblem(problem.message, hint=f"{fix}run it once as root: {process.as_root(command)}")


def obstacle() -> HostProblem | None:
    """Why this user cannot be root of a user namespace; None if they can."""
    try:
        done = process.run(command(["true"]), timeout_seconds=30, check=False)
    except HostProblem as problem:
        return problem
    except HalabError as error:
        return HostProblem(error.message)
    if done.code == 0:
        return None
    said = done.errors.strip().splitlines()[-1] if done.errors.strip() else f"exit code {done.code}"
    return HostProblem(f"no user namespace for this user: {said}", hint=_fix(done.errors))


def _fix(printed: str) -> str | None:
    if _WITHOUT_PROGRAM in printed:
        return packages.install("uidmap")
    if _WITHOUT_IDS in printed:
        return 'sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "$USER"'
    return None
