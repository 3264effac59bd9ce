"""Runs the scripts that print a secret, such as a key: their output is neither logged nor shown in an error."""

from __future__ import annotations

from halab.errors import LabProblem
from halab.machines.guests import Guests
from halab.machines.work import Work


def printed(
    guests: Guests,
    work: Work,
    machine: str,
    script: str,
    what: str,
    limit_seconds: float,
    *,
    begins: str = "",
) -> str:
    """The last line that a rendered script of a machine prints. `what` it is, is for the error.

    Raises LabProblem if the script fails, or prints nothing that begins like this.
    """
    path = work.path / "provision" / machine / script
    done = guests.run(machine, "bash -s", input=path.read_text(), timeout_seconds=limit_seconds, check=False)
    line = done.output.strip().splitlines()[-1] if done.output.strip() else ""
    if done.code != 0 or not line or not line.startswith(begins):
        reason = (done.errors.strip().splitlines() or ["no error message"])[-1]
        raise LabProblem(f"{machine} did not print {what}: {reason}", hint="run `halab up` again")
    return line
