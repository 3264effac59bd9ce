"""Making a lab fit for the next scenario when one has left it broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from halab.clock import Deadline
from halab.cluster.steady import wait_until_steady
from halab.errors import HalabError, TimedOut
from halab.faults import audit
from halab.faults.journal import Journal
from halab.lifecycle import snapshot
from halab.lifecycle.down import down
from halab.lifecycle.lab import LabDir
from halab.lifecycle.up import up
from halab.machines.power import PowerState
from halab.progress import Progress
from halab.scenario.record import events, timeline
from halab.scenario.record.events import SteadyCheckPoint
from halab.scenario.record.folder import RunFolder
from halab.scenario.run.session import Session

# Longer than a lab takes that was switched on again; a lab that is rebuilt from warm caches takes less.
_STEADY_SECONDS = 120.0

# What a lab lacks, in words; empty where it is as a scenario needs it.
Look = Callable[[Session], str]


def damage(folder: RunFolder) -> str:
    """Why a run may have left the lab broken, from its record; empty where the lab is as it was before."""
    whats = [record.what for record in timeline.read(folder.timeline)]
    touched = any(isinstance(what, events.FaultStarted | events.LabSet) for what in whats)
    when = SteadyCheckPoint.AFTER if touched else SteadyCheckPoint.BEFORE
    waits = [what for what in whats if isinstance(what, events.Steady) and what.when is when]
    if waits and not waits[-1].ok:
        return waits[-1].seen
    if touched and not waits:
        return "the run ended before the lab was steady again"
    leftovers = [line for what in whats if isinstance(what, events.Audit) for line in what.leftovers]
    return f"something is left behind: {'; '.join(leftovers)}" if leftovers else ""


def look(session: Session) -> str:
    """Wait a while for the steady state, and see that nothing is left behind."""
    site = session.site
    limit = _STEADY_SECONDS * site.lab.patience
    with session.progress.step("wait until the lab is steady", limit_seconds=limit) as shown:
        try:
            deadline = Deadline.after(site.clock, limit)
            seen = wait_until_steady(site.guests, session.api, site.lab, deadline, note=shown.note)
        except TimedOut as error:
            shown.done("it is not")
            return error.message
        shown.done(str(seen))
    return "; ".join(audit.audit(site))


def mend(session: Session, *, look: Look = look) -> tuple[list[str], str]:
    """Heal what is open, switch on what is off, and wait: what was done, and what the lab still lacks after it."""
    return [*healed(session), *_switched_on(session)], look(session)


def healed(session: Session) -> list[str]:
    """Undo what the run could not; what was undone."""
    entries = Journal(session.place.work.journal).open_faults()
    failed = {entry.id: error for entry, error in session.heal()}
    for entry in entries:
        if entry.id in failed:
            session.progress.say(f"not healed: {entry}: {failed[entry.id].message}")
    return [f"healed {entry}" for entry in entries if entry.id not in failed]


def rebuild(place: LabDir, progress: Progress) -> str:
    """The last resort: back to how `up` left the lab, or, where that cannot be, all machines anew; what was done.

    Nobody may hold the lab.
    """
    try:
        snapshot.reset(place, progress)
    except HalabError as error:
        progress.say(f"not put back to how `up` left it: {error.message}")
    else:
        return "put the lab back to how `up` left it"
    down(place, progress)
    up(place, progress)
    return "rebuilt the lab"


def _switched_on(session: Session) -> Iterator[str]:
    """Start what is off, thaw what is frozen, make anew what is gone. What cannot be is left for the rebuild."""
    power = session.site.power
    acts = {
        PowerState.OFF: ("started", power.start),
        PowerState.FROZEN: ("thawed", power.thaw),
        PowerState.GONE: ("made anew", session.site.recreate),
    }
    for machine in session.site.lab.machines:
        with suppress(HalabError):
            state = power.state(machine.name)
            if state in acts:
                what, act = acts[state]
                with session.progress.step(f"{machine.name} is {state}: it is {what}"):
                    act(machine.name)
                yield f"{what} {machine.name}"
