"""Possible reasons why machines that were started do not answer, from the checks of the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from halab.doctor.check import HostCheckState, Subject
from halab.doctor.host import Host
from halab.doctor.run_checks import CHECKS, examine
from halab.errors import BootTimedOut
from halab.lifecycle.lab import LabDir


@contextmanager
def explained(lab_dir: LabDir, host: Host | None = None) -> Iterator[None]:
    """Add the possible reasons to the hint of a BootTimedOut."""
    try:
        yield
    except BootTimedOut as error:
        error.hint = "\n".join([*([error.hint] if error.hint else []), *possible_reasons(lab_dir, host)])
        raise


def possible_reasons(lab_dir: LabDir, host: Host | None = None) -> list[str]:
    provider = Subject(lab_dir).provider
    checks = {check.name: check for check in CHECKS if check.boot_reason and provider in check.needed_by}
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
