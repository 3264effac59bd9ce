"""The process that plays a lab on a host. It ends as with Ctrl-C when its standard input is closed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from halab.errors import HostProblem
from halab.lifecycle.lab import LabDir, open_file
from halab.lifecycle.temporary_lab import LabDeps
from halab.matrix.hosts.place import Place
from halab.matrix.lab_process import EndedLab, EndedRun, ended
from halab.matrix.places import LabOrders, play_lab
from halab.printable import one_line
from halab.progress import Progress

THREAD = "end-with-input"


def play(
    place: Place,
    shown: Progress,
    lab_deps: Callable[[Path], LabDeps],
    require_host: Callable[[LabDir], object],
    input: int,
) -> EndedLab:
    """Play the lab that was sent to a place, and write there how it ended.

    `require_host` raises HostProblem if this host cannot run the lab: then no lab can be built here. `input` is the
    descriptor of the standard input.
    """
    _end_with(input)
    with place.played():
        end = ended(lambda: _play(place, shown, lab_deps, require_host))
        place.end(end)
    return end


def _play(
    place: Place,
    shown: Progress,
    lab_deps: Callable[[Path], LabDeps],
    require_host: Callable[[LabDir], object],
) -> EndedLab:
    parcel, lab_dir = place.parcel(), open_file(place.lab_file)
    if place.has_lab:
        shown.say(f"remove the lab {lab_dir.name}, which is still up: an earlier worker was killed")
        lab_deps(place.lab_file).down(lab_dir, shown)
    try:
        with shown.step("check this host"):
            require_host(lab_dir)
    except HostProblem as error:
        shown.say("\n".join(filter(None, (error.message, error.hint))))
        return EndedLab(one_line(error.message), is_unfit=True)
    orders = LabOrders(parcel.lab, place.lab_file, parcel.runs, parcel.seed, parcel.fingerprints)

    def tell(run: EndedRun) -> None:
        # one that was interrupted says nothing
        if run.is_over_limit or not run.result.is_interrupted:
            place.keep(run, parcel.fingerprints[run.name])

    return play_lab(orders, shown, lab_deps, tell)


def _end_with(input: int) -> None:
    """Interrupt this process when its standard input is closed: the worker wants it, or has ended."""

    def wait() -> None:
        # not through a stream, whose lock a thread would hold when Python exits
        while os.read(input, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name=THREAD, daemon=True).start()
