"""What is sent to a host: a lab file with the files that it names, and the runs to play."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from halab import files
from halab.campaign.lab_folders import LAB_FILE
from halab.config.lab import LabFile
from halab.errors import BadUsage
from halab.lifecycle.lab import open_file
from halab.matrix import named_files
from halab.matrix.places import LabOrders
from halab.matrix.plan import Planned, PlannedProof

# It goes through the memory of the scheduler and of both hosts.
_MOST_BYTES = 500_000_000


@dataclass(frozen=True)
class Parcel:
    """A lab of a matrix and what to play on it. `files` are by path below the folder of the lab.

    `matrix` is the name that hosts have for the matrix. `fingerprints` are those of the cells, by their names.
    """

    matrix: str
    lab: str
    files: Mapping[str, bytes]
    runs: tuple[Planned, ...]
    seed: int
    fingerprints: Mapping[str, str]


def written(orders: LabOrders) -> LabFile:
    """The lab file. Raises BadUsage if the lab can be built, or its drills proved, on this host only."""
    lab = open_file(orders.file).written
    for planned in orders.runs:
        if isinstance(planned, PlannedProof) and planned.drill.is_own:
            raise BadUsage(
                f"other hosts know only the drills of halab, and not {planned.drill.path}",
                hint="play this matrix without --scheduler",
            )
    if lab.source.by_name:
        raise BadUsage(
            f"the lab {orders.lab} has components from a checkout on this host: {', '.join(lab.source.by_name)}",
            hint="play this matrix without --scheduler",
        )
    return lab


def of(matrix: str, orders: LabOrders, runs: Sequence[Planned]) -> Parcel:
    """The parcel of a lab with these of its runs. Raises BadUsage if its files are too large to be sent."""
    folder = orders.file.parent
    text = orders.file.read_text()
    content = {LAB_FILE: text.encode()}
    left = _MOST_BYTES
    for path in named_files.find(text, written(orders), folder):
        name = path.relative_to(folder).as_posix()
        if (size := path.stat().st_size) > left:
            raise BadUsage(
                f"the files that the lab {orders.lab} names are too large to be sent to another host: at most "
                f"{_MOST_BYTES // 10**6} MB",
                hint="play this matrix without --scheduler",
            )
        left -= size
        content[name] = files.read(path, _MOST_BYTES)
    return Parcel(matrix, orders.lab, content, tuple(runs), orders.seed, orders.fingerprints)
