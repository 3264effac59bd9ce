"""The check of this host's clock. It only reads the clock."""

from __future__ import annotations

import re
from pathlib import Path

from halab.doctor import fix
from halab.doctor.check import Check, Finding, Subject, ok, skipped, warning
from halab.doctor.host import Host
from halab.errors import HalabError

_SYSTEMD = Path("/run/systemd/system")
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_COMPARE = "date --utc  # compare it with a clock that you trust"


def clock(host: Host, subject: Subject) -> Finding:
    """Ask the time services one after another, until one knows."""
    for service, is_synchronized in (
        ("systemd", _systemd),
        ("chrony", _chrony),
        ("systemd-timesyncd", _timesyncd),
    ):
        answer = is_synchronized(host)
        if answer:
            return ok(f"synchronized, according to {service}")
        if answer is False:
            return warning(f"not synchronized, according to {service}", *_fixes(host))
    return skipped("unknown: neither systemd nor chrony says whether it is synchronized", _COMPARE)


def _systemd(host: Host) -> bool | None:
    """`timedatectl` asks the kernel, so it does not matter which service sets the clock."""
    if not host.exists(_SYSTEMD):
        return None
    output = _output(host, "timedatectl", "show", "--property=NTPSynchronized")
    line = re.search(r"^NTPSynchronized=(yes|no)$", output, re.MULTILINE)
    return line[1] == "yes" if line else None


def _chrony(host: Host) -> bool | None:
    line = re.search(
        r"^Leap status\s*:\s*(.+?)\s*$", _output(host, "chronyc", "-n", "tracking"), re.MULTILINE
    )
    return line[1].lower() != "not synchronised" if line else None


def _timesyncd(host: Host) -> bool | None:
    return True if host.exists(_TIMESYNCD) else None


def _fixes(host: Host) -> list[str]:
    if host.tool("chronyc"):
        return [fix.as_root(host, "chronyc makestep")]
    enable = fix.as_root(host, "timedatectl set-ntp true")
    return [enable, f"{fix.install(host, 'systemd-timesyncd')} && {enable}"]


def _output(host: Host, *argv: str) -> str:
    if host.tool(argv[0]) is None:
        return ""
    try:
        return host.output(*argv)
    except HalabError:
        return ""


CHECKS = (
    Check("clock", "machines start with this host's time, and their certificates are valid from that time on", clock),
)  # fmt: skip
