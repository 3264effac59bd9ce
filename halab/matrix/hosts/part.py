"""The parts of a lab that hosts play, which of their runs are the same, and how what a host did has ended."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from halab.errors import HalabError
from halab.matrix.hosts import parcel
from halab.matrix.hosts.cluster import HostGone, Task
from halab.matrix.hosts.place import SentRun
from halab.matrix.hosts.roster import Lab
from halab.matrix.lab_process import EndedLab
from halab.matrix.places import LabOrders
from halab.matrix.plan import Planned
from halab.printable import one_line

# Building a lab takes about as long as two runs: a further host must have more runs than that.
_LEAST_RUNS = 4


def parts_of(orders: LabOrders, hosts: int) -> list[Lab]:
    """A lab in parts, at most one for each of `hosts` hosts, so that each part has enough runs."""
    runs = orders.runs
    count = max(1, min(hosts, len(runs) // _LEAST_RUNS))
    ends = [len(runs) * number // count for number in range(count + 1)]
    written = parcel.written(orders)
    return [Lab(orders, written, list(runs[begin:end])) for begin, end in pairwise(ends)]


def is_same(planned: Planned, run: SentRun, lab: Lab) -> bool:
    """Whether a run that was sent is this one. The lab or the scenario may have changed since it was played."""
    return (str(planned), planned.seed) == (run.cell, run.seed) and lab.orders.fingerprints[
        run.cell
    ] == run.fingerprint


def planned_of(labs: Sequence[Lab], run: SentRun) -> tuple[Lab, Planned] | None:
    """The run that a host has sent, among those that are left of the parts of its lab; None if it is not wanted."""
    found = ((lab, planned) for lab in labs for planned in lab.left if is_same(planned, run, lab))
    return next(found, None)


def end_of(task: Task[EndedLab], host: str) -> EndedLab:
    """How a task of a host has ended, whatever it raised."""
    try:
        return task.result()
    except HostGone:
        return EndedLab(f"the host {host} is gone", is_lost=True)
    except HalabError as error:
        return EndedLab(one_line(error.message))
    except Exception as error:
        return EndedLab(one_line(f"internal error: {type(error).__name__}: {error}"))
