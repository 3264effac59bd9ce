"""Processes of a machine's components: whether they run, and since when."""

from __future__ import annotations

import shlex

from halab.machines.guests import Guests

# The kernel keeps 15 characters of a process's name.
_NAME_LENGTH = 15


def short(name: str) -> str:
    """The name as the kernel knows it: `kube-controller-manager` is `kube-controller`."""
    return name[:_NAME_LENGTH]


def started(guests: Guests, machine: str, name: str) -> str | None:
    """When the oldest process of that name started, in clock ticks since boot; None where none runs."""
    command = (
        f"pid=$(pgrep -o -x {shlex.quote(short(name))}) || exit 0; "
        "sed 's/.*) //' /proc/$pid/stat 2>/dev/null | cut -d' ' -f20"
    )
    return guests.run(machine, command).output.strip() or None
