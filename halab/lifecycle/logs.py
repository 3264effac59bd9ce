"""Logs of machines, for `halab logs` and as evidence of a run."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from halab.cluster import etcd
from halab.errors import HalabError, LabProblem
from halab.machines.guests import Guests, on_all
from halab.machines.work import Work
from halab.topology.lab import Lab

# The kubelet writes the logs of static pods to files. The newest restart has the highest number.
_POD_LOGS = "/var/log/pods/kube-system_{pod}-*/{pod}/*.log"
_COLLECTED_LINES = 4000


def of_machine(guests: Guests, machine: str, unit: str | None, lines: int) -> str:
    """The last lines of a machine's journal, of one unit, or of a static pod."""
    if unit is None:
        return guests.run(machine, f"journalctl --no-pager -n {lines}").output
    pods = _POD_LOGS.format(pod=shlex.quote(unit))
    command = (
        f"if compgen -G {shlex.quote(_POD_LOGS.format(pod=unit))} >/dev/null; "
        f"then tail -q -n {lines} {pods}; else journalctl --no-pager -n {lines} -u {shlex.quote(unit)}; fi"
    )
    return guests.run(machine, command).output


def of_up(work: Work, lines: int) -> list[tuple[Path, str]]:
    """The path and the last lines of every log that `up` wrote. Raises LabProblem if there is none."""
    paths = sorted(work.logs.glob("*.log"))
    if not paths:
        raise LabProblem(f"no logs yet: {work.logs} is empty", hint="run `halab up`")
    return [(path, "\n".join(path.read_text(errors="replace").splitlines()[-lines:])) for path in paths]


def collect(guests: Guests, lab: Lab, folder: Path, since: datetime) -> None:
    """Save what every machine has logged since a moment, journal and pod logs, with times in UTC.

    For a machine that does not answer, save the error instead of its log: that is evidence too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = (
        # seconds since the epoch, because the machine may use another time zone than this host
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


def members(guests: Guests, lab: Lab) -> str:
    """What each etcd member says of itself, as JSON by machine; the error of one that does not answer."""
    said = {
        machine: {"error": answer.message} if isinstance(answer, HalabError) else asdict(answer)
        for machine, answer in etcd.statuses(guests, lab).items()
    }
    return json.dumps(said, indent=2) + "\n"
