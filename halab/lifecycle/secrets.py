"""Runs the scripts that print a secret, such as a key: their output is neither logged nor shown in an error."""

from __future__ import annotations

from halab.errors import LabProblem
from halab.machines.guests import Guests
from halab.machines.work import Work


def printed(guests: Guests, work: Work, machine: str, script: str, limit_seconds: float) -> str:
    """The last line that a rendered script of a machine prints. Raises LabProblem if it fails or prints nothing."""
    path = work.path / "provision" / machine / script
    done = guests.run(machine, "bash -s", input=path.read_text(), timeout_seconds=limit_seconds, check=False)
    lines = done.output.strip().splitlines()
    if done.code != 0 or not lines:
        reason = (done.errors.strip().splitlines() or ["no error message"])[-1]
        raise LabProblem(f"{script} failed on {machine}: {reason}", hint="run `halab up` again")
    return lines[-1]
