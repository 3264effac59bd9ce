"""Repair a lab that a scenario left broken, for the next scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from halab.clock import Deadline
from halab.cluster.steady import wait_until_steady
from halab.config.fault_facts import facts_of
from halab.errors import HalabError, TimedOut
from halab.faults import audit
from halab.faults.journal import Journal
from halab.lifecycle import lab as labs
from halab.lifecycle import snapshot, versions
from halab.lifecycle.down import down
from halab.lifecycle.lab import LabDir
from halab.lifecycle.up import up
from halab.machines.host import allocation
from halab.machines.power import PowerState
from halab.progress import Progress
from halab.scenario.record import events, timeline
from halab.scenario.record.events import SteadyCheckPoint
from halab.scenario.record.folder import RunFolder
from halab.scenario.run.session import Session

# Longer than a lab needs after it was switched on; a lab rebuilt from warm caches needs less.
_STEADY_SECONDS = 120.0

# Says why a lab is not ready for a scenario; empty if it is ready.
Look = Callable[[Session], str]


def damage(folder: RunFolder) -> str:
    """Why a run may have left the lab broken, by its record; empty if it did not."""
    records = timeline.read(folder.timeline)
    touched = bool(events.select(records, events.FaultStarted) or events.select(records, events.LabSet))
    when = SteadyCheckPoint.AFTER if touched else SteadyCheckPoint.BEFORE
    for _, injected in events.select(records, events.FaultInjected):
        if stays := facts_of(injected.fault).stays:
            return stays
    waits = [steady for _, steady in events.select(records, events.Steady) if steady.when is when]
    if waits and not waits[-1].ok:
        return waits[-1].seen
    if touched and not waits:
        return "the run ended before the lab was steady again"
    leftovers = [line for _, audited in events.select(records, events.Audit) for line in audited.leftovers]
    return f"faults left something behind: {'; '.join(leftovers)}" if leftovers else ""


def look(session: Session) -> str:
    """Wait for the steady state and check that nothing is left behind; what is wrong, or an empty text."""
    site = session.site
    limit = _STEADY_SECONDS * site.lab.patience
    with session.progress.step("wait until the lab is steady", limit_seconds=limit) as shown:
        try:
            deadline = Deadline.after(site.clock, limit)
            seen = wait_until_steady(site.guests, session.api, site.lab, deadline, show=shown.note)
        except TimedOut as error:
            shown.done("not steady", is_good=False)
            return error.message
        shown.done(str(seen))
    return "; ".join(audit.audit(site))


def mend(session: Session, *, look: Look = look) -> tuple[list[str], str]:
    """Heal open faults, start machines, and wait: returns what was done, and what is still wrong."""
    done = [*healed(session), *_switched_on(session)]
    if versions.target(allocation.of(session.lab_dir.work.path)):
        return done, "an upgrade of Kubernetes is not complete"
    version = labs.version_of(session.lab_dir)
    if version != session.site.lab.release.kubernetes:
        # a cluster does not go back, but the state after `up` does
        return done, f"the lab has Kubernetes {version} now"
    return done, look(session)


def healed(session: Session) -> list[str]:
    """Heal the faults that the run did not heal; what was healed."""
    entries = Journal(session.lab_dir.work.journal).open_faults()
    failed = {entry.id: error for entry, error in session.heal()}
    for entry in entries:
        if entry.id in failed:
            session.progress.say(f"could not heal {entry}: {failed[entry.id].with_hint}")
    return [f"healed {entry}" for entry in entries if entry.id not in failed]


def rebuild(lab_dir: LabDir, progress: Progress) -> str:
    """The last resort: reset the lab to its state after `up`, or else recreate all machines; what was done.

    The lab must not be locked.
    """
    try:
        snapshot.reset(lab_dir, progress)
    except HalabError as error:
        progress.say(f"could not reset the lab to its state after `halab up`: {error.message}")
    else:
        return "reset the lab to its state after `halab up`"
    down(lab_dir, progress)
    up(lab_dir, progress)
    return "rebuilt the lab"


def _switched_on(session: Session) -> Iterator[str]:
    """Start, thaw or recreate machines that do not run; failures are left for the rebuild."""
    power = session.site.power
    acts = {
        PowerState.OFF: ("started", power.start),
        PowerState.FROZEN: ("thawed", power.thaw),
        PowerState.GONE: ("recreated", session.site.recreate),
    }
    for machine in session.site.lab.machines:
        with suppress(HalabError):
            state = power.state(machine.name)
            if state in acts:
                done, act = acts[state]
                with session.progress.step(f"{machine.name} is {state} and will be {done}"):
                    act(machine.name)
                yield f"{done} {machine.name}"
