"""The versions between a good and a bad one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from halab.config import component_versions
from halab.config.kubernetes import order
from halab.errors import BadUsage


def between(good: str, bad: str, released: Sequence[str], also: Sequence[str] = ()) -> tuple[str, ...]:
    """The versions from good to bad, with both, oldest first. Raises BadUsage if they are not in that order.

    `released` may be incomplete: both ends and those in `also` are added.
    """
    for version in (good, bad, *also):
        if not re.fullmatch(component_versions.VERSION, version):
            raise BadUsage(
                f"not a version: {version}",
                hint="write three numbers, such as 3.6.8, or a pre-release: 3.7.0-rc.1",
            )
    if order(good) >= order(bad):
        raise BadUsage(
            f"the good version must be older than the bad one: {good} is not older than {bad}",
            hint="to find the version with the fix of a bug, call the older version good, and use `--shows` with the "
            "verdict of a run in which the bug does not show",
        )
    if outside := [version for version in also if not order(good) < order(version) < order(bad)]:
        raise BadUsage(f"these versions of --also are not between {good} and {bad}: {', '.join(outside)}")
    inside = {version for version in released if order(good) < order(version) < order(bad)}
    return tuple(sorted({good, bad, *also} | inside, key=order))
