"""Logs of machines: for a person, and as evidence of a run."""

from __future__ import annotations

import math
import shlex
from datetime import datetime
from pathlib import Path

from halab.errors import HalabError
from halab.machines.guests import Guests, on_all
from halab.machines.work import Work
from halab.topology.lab import Lab

# Static pods log into files of the kubelet; the newest restart is the one with the highest number.
_POD_LOGS = "/var/log/pods/kube-system_{pod}-*/{pod}/*.log"
_COLLECTED_LINES = 4000


def of_machine(guests: Guests, machine: str, unit: str | None, lines: int) -> str:
    """The end of a machine's journal, of one unit, or of a static pod."""
    if unit is None:
        return guests.run(machine, f"journalctl --no-pager -n {lines}").output
    pods = _POD_LOGS.format(pod=shlex.quote(unit))
    command = (
        f"if compgen -G {shlex.quote(_POD_LOGS.format(pod=unit))} >/dev/null; "
        f"then tail -q -n {lines} {pods}; else journalctl --no-pager -n {lines} -u {shlex.quote(unit)}; fi"
    )
    return guests.run(machine, command).output


def of_up(work: Work, lines: int) -> list[tuple[Path, str]]:
    """The end of each log that `up` wrote."""
    found = []
    for path in sorted(work.logs.glob("*.log")):
        found.append((path, "\n".join(path.read_text(errors="replace").splitlines()[-lines:])))
    return found


def collect(guests: Guests, lab: Lab, folder: Path, since: datetime) -> None:
    """Save what every machine logged since a moment: journal and pods' logs. Times in them are UTC.

    A machine that does not answer leaves a note in place of its log: that, too, is evidence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = (
        # in seconds since the epoch: the machine may live in another time zone than this host
        f"journalctl --no-pager --utc -o short-iso-precise --since @{math.floor(since.timestamp())} "
        f"-n {_COLLECTED_LINES}; "
        'for log in /var/log/pods/kube-system_*/*/*.log; do [ -e "$log" ] || continue; '
        f'echo; echo "==> $log <=="; tail -n {_COLLECTED_LINES // 4} "$log"; done'
    )

    def save(machine: str) -> None:
        try:
            text = guests.run(machine, command, timeout_seconds=30).output
        except HalabError as error:
            text = f"no log: {error.message}\n"
        (folder / f"{machine}.log").write_text(text)

    on_all([machine.name for machine in lab.machines], save)
