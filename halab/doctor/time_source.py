"""The check of this host's clock. It is read, never set."""

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
    """The first that knows tells."""
    for who, ask in (("systemd", _systemd), ("chrony", _chrony), ("systemd-timesyncd", _timesyncd)):
        in_step = ask(host)
        if in_step:
            return ok(f"in step, says {who}")
        if in_step is False:
            return warning(f"not in step with any other clock, says {who}", *_fixes(host))
    return skipped("nothing here tells whether it is in step: neither systemd nor chrony", _COMPARE)


def _systemd(host: Host) -> bool | None:
    """`timedatectl` asks the kernel, so that it does not matter who keeps the clock."""
    if not host.is_there(_SYSTEMD):
        return None
    told = _said(host, "timedatectl", "show", "--property=NTPSynchronized")
    found = re.search(r"^NTPSynchronized=(yes|no)$", told, re.MULTILINE)
    return found[1] == "yes" if found else None


def _chrony(host: Host) -> bool | None:
    found = re.search(
        r"^Leap status\s*:\s*(.+?)\s*$", _said(host, "chronyc", "-n", "tracking"), re.MULTILINE
    )
    return found[1].lower() != "not synchronised" if found else None


def _timesyncd(host: Host) -> bool | None:
    return True if host.is_there(_TIMESYNCD) else None


def _fixes(host: Host) -> list[str]:
    if host.tool("chronyc"):
        return [fix.as_root(host, "chronyc makestep")]
    begin = fix.as_root(host, "timedatectl set-ntp true")
    return [begin, f"{fix.install(host, 'systemd-timesyncd')} && {begin}"]


def _said(host: Host, *argv: str) -> str:
    if host.tool(argv[0]) is None:
        return ""
    try:
        return host.output(*argv)
    except HalabError:
        return ""


CHECKS = (
    Check("clock", "machines start with this host's time, and certificates are valid from now on", clock),
)  # fmt: skip
