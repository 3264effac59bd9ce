"""The fault of a machine's clock: it runs ahead of the others, or behind. Never for containers, whose clock is the
host's."""

from __future__ import annotations

import re
import time

from halab.clock import NotYet, wait_for
from halab.config.lab import ProviderKind
from halab.config.targets import FaultTarget
from halab.errors import Unable
from halab.faults import dead_containers
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.guests import REQUIRE_OWN_CLOCK

_EFFECT_SECONDS = 30
# How far a machine's clock may be from where it was put; how long the question travels is not part of it.
_NEAR_SECONDS = 5
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHIFT = re.compile(r"([+-])([1-9][0-9]{0,5})([smhd])")


def _require_own_clock(site: Site, entry: Entry) -> None:
    if site.lab.provider is not ProviderKind.LIBVIRT:
        raise Unable("a container has no clock of its own: it is the host's")
    if site.guests.run(entry.machine, "systemd-detect-virt -cq", check=False).code == 0:
        raise Unable(f"{entry.machine} is a container, and has no clock of its own")


def _shift(site: Site, entry: Entry) -> str:
    _require_own_clock(site, entry)
    by = seconds(entry.options["by"])
    # what keeps the clock would put it right at once; NTP is switched on again at the heal
    site.guests.run(
        entry.machine,
        f"{REQUIRE_OWN_CLOCK}systemctl stop systemd-timesyncd.service 2>/dev/null; "
        # in one process: between two, a machine that starves loses seconds
        f"date -s 'now {by:+d} seconds'",
    )

    def shifted() -> str:
        asked = time.time()
        told = float(site.guests.run(entry.machine, "date +%s.%N").output)
        # it was told at some moment between the question and now
        least, most = told - time.time(), told - asked
        off = f"its clock is {round((least + most) / 2):+d} s from the host's"
        if not least - _NEAR_SECONDS <= by <= most + _NEAR_SECONDS:
            raise NotYet(off)
        return off

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"the clock of {entry.machine} to be shifted", shifted, deadline)


def _set_right(site: Site, entry: Entry) -> None:
    """By the host's clock: what a machine in doubt says of its own time is no ground to stand on.

    What was created at the wrong time is put in order, too.
    """
    _require_own_clock(site, entry)
    site.guests.run(
        entry.machine,
        f"{REQUIRE_OWN_CLOCK}date -s @{time.time():.3f}; "
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
        "shift-clock",
        "Set a machine's clock ahead or behind, until it is healed.",
        _shift,
        _set_right,
        {"by": Option("a shift ahead or behind", _SHIFT.pattern, "+1h")},
        place=FaultTarget.NODE,
        needs=frozenset({"own-clock"}),
        check=_require_own_clock,
    ),
)
