"""Faults of processes, and the start times of processes."""

from __future__ import annotations

import shlex

from halab.clock import NotYet, wait_for
from halab.config.targets import FaultTarget
from halab.errors import BadUsage
from halab.faults.fault import Fault, Option, nothing_to_heal
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.guests import Guests

# The kernel keeps 15 characters of a process's name.
_NAME_LENGTH = 15
# An API server that gets SIGTERM takes 61 s to end, because of open requests (1.37).
_EFFECT_SECONDS = 150
_NEEDED_TO_HEAL = ("sshd", "systemd", "sudo", "bash", "pkill")
PROCESS = Option("the name of a process", r"[a-z][a-z0-9-]*", "etcd")


def short(name: str) -> str:
    """The name as the kernel stores it: `kube-controller-manager` is `kube-controller`."""
    return name[:_NAME_LENGTH]


def start_time(pid: str) -> str:
    """The shell command that prints when a process started, in clock ticks since boot; nothing if it has ended."""
    return f"sed 's/.*) //' /proc/{pid}/stat 2>/dev/null | cut -d' ' -f20"


def started(guests: Guests, machine: str, name: str) -> str | None:
    """The start time of the oldest process of that name, in clock ticks since boot; None if none runs."""
    command = f"pid=$(pgrep -o -x {shlex.quote(short(name))}) || exit 0; {start_time('$pid')}"
    return guests.run(machine, command).output.strip() or None


def _kill(site: Site, entry: Entry) -> str:
    name, signal = entry.options["process"], entry.options["signal"]
    before = started(site.guests, entry.machine, name)
    if before is None:
        return f"{name} was not running"
    site.guests.run(entry.machine, f"pkill -{signal} -x {shlex.quote(short(name))}")

    def gone() -> str:
        if started(site.guests, entry.machine, name) == before:
            raise NotYet(f"{name} still runs")
        return f"{name}, started at {before}, is gone"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{name} on {entry.machine} to be gone", gone, deadline, every_seconds=0.2)


def _require_not_needed_to_heal(site: Site, entry: Entry) -> None:
    if short(entry.options["process"]) in _NEEDED_TO_HEAL:
        raise BadUsage(f"halab needs this process to heal {entry.machine}: {entry.options['process']}")


def _pause(site: Site, entry: Entry) -> str:
    name = entry.options["process"]
    quoted = shlex.quote(short(name))

    def paused() -> str:
        # repeat it: the supervisor may be starting another process at this moment
        command = f"pkill -STOP -x {quoted}; ps -o stat= -C {quoted} || true"
        states = [
            state for state in site.guests.run(entry.machine, command).output.split() if state[0] != "Z"
        ]
        if not states:
            raise NotYet(f"{name} does not run")
        if any(state[0] != "T" for state in states):
            raise NotYet(f"{name} is in state {', '.join(states)}")
        return f"{name} is paused, in state {', '.join(states)}"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{name} on {entry.machine} to be paused", paused, deadline, every_seconds=0.2)


def _resume(site: Site, entry: Entry) -> None:
    # 1 means no such process: the supervisor may have replaced it
    site.guests.run(
        entry.machine, f"pkill -CONT -x {shlex.quote(short(entry.options['process']))} || [ $? -eq 1 ]"
    )


FAULTS = (
    Fault(
        "kill-process",
        "Send a signal to a process; its supervisor starts it again.",
        _kill,
        nothing_to_heal,
        {
            "process": PROCESS,
            "signal": Option("a signal that ends the process", r"KILL|TERM|INT|QUIT|ABRT", "KILL", "KILL"),
        },
        target=FaultTarget.ANY,
    ),
    Fault(
        "pause-process",
        "Pause every process with a given name, until it is healed.",
        _pause,
        _resume,
        {"process": PROCESS},
        target=FaultTarget.ANY,
        check=_require_not_needed_to_heal,
    ),
)
