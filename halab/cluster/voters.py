"""etcd's voting members, and the transfer of its leadership from one to another."""

from __future__ import annotations

from collections.abc import Sequence

from halab.clock import Clock, Deadline, NotYet, wait_for
from halab.cluster import etcd
from halab.cluster.etcd import Member
from halab.errors import LabProblem
from halab.machines.guests import Guests
from halab.topology.lab import Lab, Machine

_HAND_OVER_SECONDS = 20


def voters(guests: Guests, lab: Lab) -> dict[str, bool]:
    """Machine → whether its member works, of all members with a vote, started or not. LabProblem without a leader."""
    said = etcd.statuses(guests, lab)
    healthy = {name for name, member in said.items() if isinstance(member, Member) and member.leader_id}
    if not healthy:
        raise LabProblem(
            "etcd has no leader", hint="`halab heal` heals open faults, `halab status` shows what is wrong"
        )
    listed = etcd.voting(guests, lab, next(name for name in said if name in healthy))
    return {name: name in healthy for name in listed}


def hand_over(guests: Guests, lab: Lab, clock: Clock, machine: str, *, to: Sequence[Machine]) -> str:
    """Transfer etcd's leadership from a machine to the most advanced of the others.

    Returns what was done; empty if the machine does not lead.

    Raises LabProblem if none of the others can lead.
    """
    said = etcd.statuses(guests, lab)
    present = said.get(machine)
    if not isinstance(present, Member) or not present.leads:
        return ""
    names = {other.name for other in to} - {machine}
    others = [
        member
        for name, member in said.items()
        if name in names and isinstance(member, Member) and member.leader_id and not member.is_learner
    ]
    if not others:
        raise LabProblem(
            f"no other etcd member can become leader in place of {machine}: none that has a vote knows a leader",
            hint="`halab status` shows the members, `halab heal` heals open faults",
        )
    taker = max(others, key=lambda member: member.index)
    guests.run(machine, etcd.command(f"move-leader {taker.member_id:x}"))

    def moved() -> str:
        now = etcd.status(guests, machine, is_emulated=lab.is_emulated)
        if now.leads or not now.leader_id:
            raise NotYet(f"etcd on {machine} {'leads' if now.leads else 'knows no leader'}")
        return f"etcd on {taker.machine} leads, in term {now.term}"

    deadline = Deadline.after(clock, _HAND_OVER_SECONDS * lab.patience)
    return wait_for(f"etcd on {machine} to hand over its leadership", moved, deadline, every_seconds=0.1)
