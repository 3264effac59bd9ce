"""Check after a run whether the reads and writes of etcd's keys were linearizable, with porcupine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from halab import process
from halab.cluster import etcd
from halab.errors import HalabError, LabProblem
from halab.images import linearizability_checker
from halab.machines.guests import Guests
from halab.progress import Progress
from halab.scenario.record import operations
from halab.scenario.record.folder import RunFolder
from halab.scenario.record.linearity import Linearity, Operations
from halab.scenario.record.operations import Ended, Operation, Started
from halab.scenario.sampler.operations import PREFIX
from halab.topology.lab import Lab

# The program gives up after a minute for each key.
_LIMIT_SECONDS = 300


def clear(guests: Guests, lab: Lab) -> int:
    """Remove the keys, through any member, and return how many there were. Raises the last error if none accepts it."""
    error: HalabError = LabProblem("the lab has no etcd member")
    for machine in lab.members:
        try:
            removed = guests.run(machine.name, etcd.command(f"del --prefix {PREFIX}"), timeout_seconds=20)
        except HalabError as refused:
            error = refused
        else:
            return int(removed.output.strip() or 0)
    raise error


def clear_at_the_end(guests: Guests, lab: Lab) -> None:
    """The same, as far as it is possible: the next run begins with it, too."""
    with suppress(HalabError):
        clear(guests, lab)


def prepare(progress: Progress) -> None:
    """Build the program that checks. Raises HalabError on a host that cannot build it: before the faults, not after."""
    linearizability_checker.program(progress)


def check(folder: RunFolder, progress: Progress) -> Operations:
    """Check what the run has recorded. If it was not linearizable, a picture of it is in the folder.

    Raises HalabError if this host cannot build the program that checks it, or if the program fails.
    """
    lines = operations.read(folder.operations)
    found = operations.operations(lines)
    program = linearizability_checker.program(progress)
    answer = json.loads(_answer(program, folder, found))
    result = Linearity(answer["result"])
    reads = sum(not operation.write for operation in found)
    unknown = sum(operation.end is None for operation in found)
    what = _explanation(lines, answer["last"]) if result is Linearity.ILLEGAL else ""
    silent = operations.silent(lines)
    return Operations(reads, len(found) - reads, unknown, result, what, silent)


def _answer(program: Path, folder: RunFolder, found: Sequence[Operation]) -> str:
    lines = operations.as_lines(operations.bounded(found))
    done = process.run([program, folder.operations_page], input=lines, timeout_seconds=_LIMIT_SECONDS)
    return done.output


def _explanation(lines: Sequence[Started | Ended], last: int) -> str:
    """The operation that fits into no order: `the answer "7" to a read of /halab/a by etcd on cp2, 1.3s to 1.4s`."""
    started = next((line for line in lines if isinstance(line, Started) and line.id == last), None)
    ended = next((line for line in lines if isinstance(line, Ended) and line.id == last), None)
    if started is None:
        return "no order of the operations explains all reads"
    is_write = started.value is not None
    value = started.value if is_write else ended.value if ended else None
    shown = "no value" if value is None else f'"{value}"'
    until = f" to {ended.end / 1e6:.3f}s" if ended else ", without an answer"
    is_known = (
        is_write or value is None or value in (line.value for line in lines if isinstance(line, Started))
    )
    foreign = "" if is_known else ", a value that this run never wrote"
    what = f"the write of {shown} to" if is_write else f"the answer {shown} to a read of"
    return f"{what} {started.key} by etcd on {started.machine}, {started.start / 1e6:.3f}s{until}{foreign}"
