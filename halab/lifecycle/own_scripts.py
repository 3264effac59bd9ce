"""Runs the user's own scripts on machines, and explains a failure with the name that the user knows."""

from __future__ import annotations

from collections.abc import Callable

from halab.config.applied import When
from halab.errors import ScriptFailed, TimedOut
from halab.topology import setup_scripts
from halab.topology.lab import Lab, Machine

# A script may install packages.
SECONDS = 900


def run(lab: Lab, machine: Machine, when: When, script: Callable[[str, str, float], int]) -> int:
    """Run the script for this machine, if there is one, and return the number of changes.

    Its content decides on the machine whether it runs again. `script` runs a rendered script of a machine by its name,
    with a time limit in seconds. Raises ScriptFailed.
    """
    name = lab.setup.script(machine.role, when)
    if name is None:
        return 0
    try:
        return script(machine.name, setup_scripts.file_name(when), SECONDS)
    except ScriptFailed as error:
        reason = "did not end in time" if isinstance(error.__cause__, TimedOut) else "failed"
        raise ScriptFailed(
            f"{name} {reason} on {machine.name}:\n{error.output}",
            script=name,
            output=error.output,
            hint=f"{error.hint}\nchange {name}: the next `halab up` runs it again, from its beginning",
        ) from error


def has(lab: Lab, when: When) -> bool:
    """Whether any machine has a script for this moment."""
    return any(lab.setup.script(machine.role, when) for machine in lab.machines)
