"""Sets clocks that stood still: when a host shuts down, its libvirt may save the machines and resume them later.

libvirt-guests does so with ON_SHUTDOWN=suspend, its default as released; Debian's default is to shut down.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from halab.clock import Clock
from halab.config.fault_facts import SHIFT_CLOCK
from halab.config.lab import ProviderKind
from halab.errors import HalabError
from halab.faults.journal import Journal
from halab.machines.guests import Guests, clock_offset, on_all, set_clock
from halab.progress import Progress
from halab.topology.lab import Lab

# Time services keep a clock within milliseconds; the question itself may take seconds on a slow machine.
_NEAR_SECONDS = 5


def correct(
    lab: Lab, machines: Sequence[str], guests: Guests, journal: Journal, clock: Clock, progress: Progress
) -> None:
    """Set the clocks that differ from this host's by seconds, except those that an open fault has shifted.

    A machine that does not answer is left out: the next step waits for it, and reports it.
    """
    if lab.provider is not ProviderKind.LIBVIRT:
        return
    shifted = {entry.machine for entry in journal.open_faults() if entry.fault == SHIFT_CLOCK}

    def set_if_stale(machine: str) -> float:
        with suppress(HalabError):
            least, most = clock_offset(guests, machine)
            if least > _NEAR_SECONDS or most < -_NEAR_SECONDS:
                set_clock(guests, machine, clock, lab.patience)
                return (least + most) / 2
        return 0

    for machine, seconds in on_all([name for name in machines if name not in shifted], set_if_stale).items():
        if seconds:
            progress.say(
                f"set the clock of {machine}, which was {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"
            )
