"""The present size of a lab: the size in its file, or the size of the last `halab scale`."""

from __future__ import annotations

from pathlib import Path

from halab.config.lab import LabFile
from halab.config.lab_size import LabSize
from halab.errors import LabProblem
from halab.machines.host.allocation import Allocation


def present(written: LabFile, held: Allocation | None) -> LabSize:
    """The size of the machines that exist, with those that join or leave now."""
    return held.scaled.size if held and held.scaled else LabSize.of_file(written)


def target(held: Allocation | None) -> LabSize | None:
    """The size that an interrupted scale goes to; None if no scale was interrupted."""
    return held.scaled.target if held and held.scaled else None


def require_agreement(file: Path, written: LabFile, held: Allocation) -> None:
    """Raise LabProblem if the lab was scaled and its file was changed to another size since."""
    scaled, now = held.scaled, LabSize.of_file(written)
    if scaled and now not in (scaled.written, scaled.size, scaled.target):
        raise LabProblem(
            f"{file} now says {now}, but the lab was scaled from {scaled.written} to {scaled.target or scaled.size}",
            hint=f"scale the lab to the new size with `halab scale {now}`, or change {file} back",
        )


def require_complete(name: str, held: Allocation | None) -> None:
    """Raise LabProblem if a scale was interrupted."""
    wanted = target(held)
    if wanted:
        raise LabProblem(
            f"scaling the lab {name} to {wanted} was interrupted",
            hint="continue with `halab scale`, or remove the lab with `halab down`",
        )
