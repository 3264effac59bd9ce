"""Runs the rendered scripts of a lab on its machines."""

from __future__ import annotations

from halab.errors import CommandFailed, LabProblem, ScriptFailed, TimedOut
from halab.lifecycle import script_log
from halab.machines.guests import Guests
from halab.machines.work import Work
from halab.topology.lab import Lab

# Prefix every line of the log with its time, to see where kubeadm waits.
_TIMED = (
    "set -o pipefail; bash -s 2>&1 | while IFS= read -r line; do printf '%(%T)T %s\\n' -1 \"$line\"; done"
)
_TAIL_LINES = 12


class Scripts:
    """The scripts of a lab.

    `changed` is what has changed so far, with the machine. The provisioner adds what it changed without a script.
    """

    def __init__(self, lab: Lab, work: Work, guests: Guests) -> None:
        self._lab = lab
        self._work = work
        self._guests = guests
        self.changed: set[tuple[str, str]] = set()

    def limit(self, seconds: float) -> float:
        """A time limit, stretched by the lab's patience."""
        return seconds * self._lab.patience

    def run(self, machine: str, script: str, seconds: float) -> int:
        """Run a script, with its output in the log of the machine. Return the number of changes.

        Raises ScriptFailed.
        """
        log = self._work.logs / f"{machine}.log"
        before = script_log.size(log)
        try:
            self._guests.run(
                machine,
                _TIMED,
                input=self._text(machine, script),
                timeout_seconds=self.limit(seconds),
                log=log,
            )
        except (CommandFailed, TimedOut) as error:
            # the end of the log may come from an earlier `up`
            output = "\n".join(script_log.added(log, before)[-_TAIL_LINES:])
            what = f"did not finish on {machine} within {self.limit(seconds):.0f} s"
            if isinstance(error, CommandFailed):
                what, output = f"failed on {machine}", output or error.output
            raise ScriptFailed(
                f"{script} {what}:\n{output}",
                script=script,
                output=output,
                code=error.code if isinstance(error, CommandFailed) else None,
                hint=f"see the whole log: {log}",
            ) from error
        changed = [
            line.partition(" changed: ")[2].strip()
            for line in script_log.added(log, before)
            if " changed: " in line
        ]
        self.changed.update((machine, what) for what in changed)
        return len(changed)

    def secret(self, machine: str, script: str, what: str, seconds: float, *, begins: str = "") -> str:
        """The last line that a script prints, such as a key. `what` it is, is for the error.

        The output is neither logged nor shown in an error. Raises LabProblem if the script fails, or prints nothing
        that begins like this.
        """
        done = self._guests.run(
            machine,
            "bash -s",
            input=self._text(machine, script),
            timeout_seconds=self.limit(seconds),
            check=False,
        )
        line = done.output.strip().splitlines()[-1] if done.output.strip() else ""
        if done.code != 0 or not line or not line.startswith(begins):
            reason = (done.errors.strip().splitlines() or ["no error message"])[-1]
            raise LabProblem(f"{machine} did not print {what}: {reason}", hint="run `halab up` again")
        return line

    def put(self, machine: str, file: str, secret: str) -> None:
        """Give a machine the secret that its next script reads, in a file of /run/halab."""
        self._guests.run(machine, f"install -D -m 0600 /dev/stdin /run/halab/{file}", input=f"{secret}\n")

    def _text(self, machine: str, script: str) -> str:
        return (self._work.path / "provision" / machine / script).read_text()
