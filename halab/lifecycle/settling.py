"""Waiting until a lab is steady, after whatever has made it anew, started it or put it back."""

from __future__ import annotations

from halab.clock import Deadline, RealClock
from halab.cluster.steady import Observation, wait_until_steady
from halab.lifecycle import access
from halab.lifecycle.lab import Place
from halab.progress import Progress
from halab.topology.lab import Lab

# On a machine that does nothing else; a lab's patience stretches it.
_STEADY_SECONDS = 240


def settle(place: Place, lab: Lab, progress: Progress) -> Observation:
    """Wait until the lab is steady."""
    limit = _STEADY_SECONDS * lab.patience
    api = access.api(place, lab)
    with progress.step("wait until the lab is steady", limit_seconds=limit) as step:
        seen = wait_until_steady(
            access.guests(place), api, lab, Deadline.after(RealClock(), limit), note=step.note
        )
        step.done(str(seen))
    api.close()
    return seen
