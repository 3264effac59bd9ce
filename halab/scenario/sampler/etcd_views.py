"""Who leads etcd, by what its members say: each has a view of its own, and some of them are old."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

# One space or two: the text form of protobuf differs from build to build, on purpose.
_ALARM = re.compile(r"memberID:(\d+)\s+alarm:(\w+)")


@dataclass(frozen=True)
class MemberView:
    """What one member said at a moment: ids are those of members, `leader` is 0 where it knows of none."""

    asked: float
    member: int
    leader: int
    term: int
    revision: int
    alarm: str

    @classmethod
    def parse(cls, asked: float, body: bytes) -> MemberView:
        """The answer to POST /v3/maintenance/status (etcd 3.6, 3.7); ValueError where it is something else."""
        try:
            said = json.loads(body)
            member = int(said["header"]["member_id"])
            # an error names a member and its alarm; every member tells those of all
            alarms = [_ALARM.search(error) for error in said.get("errors") or ()]
            own = sorted(found[2] for found in alarms if found and int(found[1]) == member)
            return cls(
                asked=asked,
                member=member,
                leader=int(said.get("leader", 0)),
                term=int(said["raftTerm"]),
                revision=int(said["header"]["revision"]),
                alarm="+".join(own) or "none",
            )
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError("not a status of etcd") from error


class Views:
    """The last view of each machine's member. Members that have left are remembered by their id."""

    def __init__(self, machines: int) -> None:
        self._quorum = machines // 2 + 1
        self._views: dict[str, MemberView] = {}
        self._machines: dict[int, str] = {}

    @property
    def views(self) -> Mapping[str, MemberView]:
        return self._views

    @property
    def asked(self) -> float | None:
        """When the newest of the answers was asked for."""
        return max((view.asked for view in self._views.values()), default=None)

    def add(self, machine: str, view: MemberView) -> None:
        self._views[machine] = view
        self._machines[view.member] = machine

    def lose(self, machine: str) -> None:
        """The member of a machine does not answer: what it said last is no view any more."""
        self._views.pop(machine, None)

    @property
    def term(self) -> int | None:
        return max((view.term for view in self._views.values()), default=None)

    def leader(self) -> tuple[str | None, str]:
        """The machine that leads; or None, and why it cannot be told.

        A leader of the highest term was elected by a majority, whatever members say that have not heard of it. It
        leads no more when a majority of that term has lost it: one that is cut off goes on to believe in itself.
        """
        newest = [view for view in self._views.values() if view.term == self.term]
        named = {view.leader for view in newest if view.leader}
        if not newest:
            return None, "no member answers"
        if not named or sum(not view.leader for view in newest) >= self._quorum:
            return None, "no leader"
        member = max(named)
        return self._machines.get(member), "" if member in self._machines else f"unknown member {member:x}"
