"""The fault of a machine's clock: it is ahead of the others, or behind. Containers share the clock of their host."""

from __future__ import annotations

import re

from halab.clock import NotYet, wait_for
from halab.config.fault_facts import SHIFT_CLOCK
from halab.config.lab import ProviderKind
from halab.config.lab_traits import Capability
from halab.config.targets import FaultTarget
from halab.errors import Unable
from halab.faults import dead_containers
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.guests import REQUIRE_OWN_CLOCK, clock_offset, correct_clock

_EFFECT_SECONDS = 30
# How far the clock may be from the time it was set to, without the time that the question takes.
_NEAR_SECONDS = 5
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHIFT = re.compile(r"([+-])([1-9][0-9]{0,5})([smhd])")


def _require_own_clock(site: Site, entry: Entry) -> None:
    if site.lab.provider is not ProviderKind.LIBVIRT:
        raise Unable("a container has no clock of its own: it uses the host's clock")
    if site.guests.run(entry.machine, "systemd-detect-virt -cq", check=False).code == 0:
        raise Unable(f"{entry.machine} is a container, and has no clock of its own")


def _shift(site: Site, entry: Entry) -> str:
    _require_own_clock(site, entry)
    by = seconds(entry.options["by"])
    # the time service would correct the clock at once; the heal starts it again
    site.guests.run(
        entry.machine,
        f"{REQUIRE_OWN_CLOCK}systemctl stop systemd-timesyncd.service 2>/dev/null; "
        # in one process: a machine that is short of CPU loses seconds between two
        f"date -s 'now {by:+d} seconds'",
    )

    def shifted() -> str:
        least, most = clock_offset(site.guests, entry.machine)
        off = f"its clock is {round((least + most) / 2):+d} s from the host's"
        if not least - _NEAR_SECONDS <= by <= most + _NEAR_SECONDS:
            raise NotYet(off)
        return off

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"the clock of {entry.machine} to be shifted", shifted, deadline)


def _set_right(site: Site, entry: Entry) -> None:
    """Set the clock to the host's time, and repair what was created at the wrong time."""
    _require_own_clock(site, entry)
    correct_clock(site.guests, entry.machine)
    site.guests.run(
        entry.machine,
        "if systemctl is-enabled -q systemd-timesyncd.service 2>/dev/null; then "
        "systemctl start systemd-timesyncd.service; fi",
    )
    dead_containers.forget(site, entry.machine)


def seconds(shift: str) -> int:
    """`+1h` is 3600, `-90s` is -90."""
    matched = _SHIFT.fullmatch(shift)
    assert matched, shift
    sign, amount, unit = matched.groups()
    return int(f"{sign}{amount}") * _UNITS[unit]


FAULTS = (
    Fault(
        SHIFT_CLOCK,
        "Set a machine's clock ahead or behind, until it is healed.",
        _shift,
        _set_right,
        {"by": Option("a shift ahead or behind", _SHIFT.pattern, "+1h")},
        target=FaultTarget.NODE,
        needs=frozenset({Capability.OWN_CLOCK}),
        check=_require_own_clock,
    ),
)
