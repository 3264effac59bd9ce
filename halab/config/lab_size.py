"""The size of a lab: how many control planes and workers it has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from halab.config import lab_rules
from halab.config.lab import LabFile
from halab.config.loading import nearest
from halab.config.targets import MOST_CONTROL_PLANES, MOST_WORKERS, TargetKind, kind_of
from halab.errors import BadUsage

# Setting of the lab file → the least and the most machines.
LIMITS = {"control_planes": (1, MOST_CONTROL_PLANES), "workers": (0, MOST_WORKERS)}
_EXAMPLE = "`halab scale control_planes=5 workers=2`"


@dataclass(frozen=True)
class LabSize:
    """The number of machines that can change while a lab is up. The last machines of a role come and go."""

    control_planes: int
    workers: int

    def __str__(self) -> str:
        return f"control_planes={self.control_planes} workers={self.workers}"

    @classmethod
    def of_file(cls, written: LabFile) -> LabSize:
        return cls(written.control_planes, written.workers)

    @classmethod
    def of_names(cls, names: Iterable[str]) -> LabSize:
        """The size of a lab that has the machines of these names, beside others."""
        kinds = [kind_of(name) for name in names]
        return cls(kinds.count(TargetKind.CONTROL_PLANE), kinds.count(TargetKind.WORKER))

    def changed(self, words: Iterable[str]) -> LabSize:
        """The size after changes such as `control_planes=5`. Raises BadUsage for one that is wrong."""
        changes: dict[str, int] = {}
        for word in words:
            name, sign, value = word.partition("=")
            if name not in LIMITS or not sign:
                known = f"{nearest(name, LIMITS)}" if name not in LIMITS else ""
                raise BadUsage(f"not a size of a lab: {word}{known}", hint=f"for example: {_EXAMPLE}")
            if name in changes:
                raise BadUsage(f"{name} is given twice")
            least, most = LIMITS[name]
            if not re.fullmatch("[0-9]{1,3}", value) or not least <= int(value) <= most:
                raise BadUsage(f"{name} should be a number from {least} to {most}, not {value or 'empty'}")
            changes[name] = int(value)
        return replace(self, **changes)

    def joined(self, other: LabSize) -> LabSize:
        """The larger of both sizes, of each kind of machines."""
        return LabSize(max(self.control_planes, other.control_planes), max(self.workers, other.workers))


def resized(written: LabFile, size: LabSize) -> LabFile:
    """A lab file as if it said this size."""
    return written.model_copy(update={"control_planes": size.control_planes, "workers": size.workers})


def problems(written: LabFile, size: LabSize) -> Iterator[str]:
    """Why a valid lab file cannot have this size: for example, one of its addresses is the address of a new machine."""
    for path, what in lab_rules.problems(resized(written, size)):
        # settings of machines that leave stay in the file: the lab may grow again
        if path[:1] != ("machines",) or len(path) > 2:
            yield f"{'.'.join(map(str, path))} {what}"
