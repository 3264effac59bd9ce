"""Why machines that were started may not answer: what the doctor sees now, and what it could not look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from halab.doctor.check import CheckState, Subject
from halab.doctor.examination import CHECKS, examine
from halab.doctor.host import Host
from halab.errors import BootTimedOut
from halab.lifecycle.lab import LabDir


@contextmanager
def explained(place: LabDir, host: Host | None = None) -> Iterator[None]:
    """A boot that ends without an answer from the machines says what may be the reason."""
    try:
        yield
    except BootTimedOut as error:
        error.hint = "\n".join([*([error.hint] if error.hint else []), *reasons(place, host)])
        raise


def reasons(place: LabDir, host: Host | None = None) -> list[str]:
    provider = Subject(place).provider
    asked = {check.name: check for check in CHECKS if check.when_silent and provider in check.needed_by}
    lines = []
    for result in examine(place, host, asked.values()).results:
        if result.state is CheckState.OK:
            continue
        lines.append(f"{result.name}: {result.seen}")
        lines.append(f"  it may be the reason: {asked[result.name].when_silent}")
        if result.fixes:
            lines.append(f"  {'look' if result.state is CheckState.SKIPPED else 'fix'}: {result.fixes[0]}")
    return lines
