"""The joins of a run: machines that a fault took out of the cluster join it, and the record says how that ended."""

from __future__ import annotations

from collections.abc import Sequence

from halab.cluster.join import JoinAttempt, JoinOptions
from halab.config.step import Join
from halab.errors import ScriptFailed
from halab.faults import membership
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.guests import on_all
from halab.progress import Progress
from halab.scenario.record.events import JoinEnded
from halab.scenario.record.timeline import Timeline
from halab.scenario.verdict import joins


def join(
    site: Site, timeline: Timeline, progress: Progress, index: int, step: Join, faults: Sequence[Entry]
) -> None:
    """Join the machines of a fault, and record how each join ended. The fault stays open: its heal joins the machines.

    Raises a HalabError if the machine could not come to run `kubeadm join`.
    """
    entries = {entry.machine: entry for entry in faults}
    ended: list[JoinEnded] = []

    def join_one(machine: str) -> None:
        def record(attempt: JoinAttempt) -> None:
            event = JoinEnded(index, machine, attempt.command, attempt.code, attempt.seconds, attempt.output)
            timeline.add(event)
            ended.append(event)

        options = JoinOptions(limit_seconds=step.limit_seconds, after_join=record)
        try:
            membership.join(site, entries[machine], options)
        except ScriptFailed as error:
            # a join that fails is recorded; the verdict says whether it had to
            if error.script != "join.sh" or not any(event.machine == machine for event in ended):
                raise

    what, limit = f"expect {step.promised}", step.limit_seconds * site.lab.patience
    with progress.step(what, limit_seconds=limit) as shown:
        on_all(entries, join_one)
        shown.done(
            "; ".join(event.in_words for event in ended)
            or "no machine joined: it was in the cluster already",
            is_good=not any(joins.difference(step, event, limit) for event in ended) if ended else None,
        )
