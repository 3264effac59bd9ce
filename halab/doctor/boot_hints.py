"""Possible reasons why machines do not answer, or do not reach each other, from the checks of the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from halab.doctor.check import HostCheckState, Subject
from halab.doctor.host import Host
from halab.doctor.run_checks import CHECKS, examine
from halab.errors import BootTimedOut, NotConnected
from halab.lifecycle.lab import LabDir

# The checks that explain lost packets between machines that answer over SSH.
_ABOUT_PACKETS = frozenset({"firewall", "network"})


@contextmanager
def explained(lab_dir: LabDir, host: Host | None = None) -> Iterator[None]:
    """Add the possible reasons to the hint of a BootTimedOut or a NotConnected."""
    try:
        yield
    except (BootTimedOut, NotConnected) as error:
        names = _ABOUT_PACKETS if isinstance(error, NotConnected) else None
        reasons = possible_reasons(lab_dir, host, names)
        error.hint = "\n".join([*([error.hint] if error.hint else []), *reasons])
        raise


def possible_reasons(
    lab_dir: LabDir, host: Host | None = None, names: frozenset[str] | None = None
) -> list[str]:
    """`names` are the checks to ask; None is all that say why machines may not answer."""
    provider = Subject(lab_dir).provider
    checks = {
        check.name: check
        for check in CHECKS
        if check.boot_reason and provider in check.needed_by and (names is None or check.name in names)
    }
    lines = []
    for result in examine(lab_dir, host, checks.values()).results:
        if result.state is HostCheckState.OK:
            continue
        lines.append(f"{result.name}: {result.seen}")
        lines.append(f"  possible reason: {checks[result.name].boot_reason}")
        if result.fixes:
            lines.append(
                f"  {'check' if result.state is HostCheckState.SKIPPED else 'fix'}: {result.fixes[0]}"
            )
    return lines
