"""The etcd leader, by the answers of the members: every member has its own view, and some views are old."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

# One space or two: the text form of protobuf differs between builds on purpose.
_ALARM = re.compile(r"memberID:(\d+)\s+alarm:(\w+)")


@dataclass(frozen=True)
class MemberView:
    """One member's answer, asked for at `asked`; ids are member ids, `leader` is 0 if the member knows no leader."""

    asked: float
    member: int
    leader: int
    term: int
    revision: int
    alarm: str

    @classmethod
    def parse(cls, asked: float, body: bytes) -> MemberView:
        """Parse the answer to POST /v3/maintenance/status (etcd 3.6, 3.7); ValueError if it is something else."""
        try:
            status = json.loads(body)
            member = int(status["header"]["member_id"])
            # every member reports the alarms of all members, with their ids
            alarms = [_ALARM.search(error) for error in status.get("errors") or ()]
            own = sorted(alarm[2] for alarm in alarms if alarm and int(alarm[1]) == member)
            return cls(
                asked=asked,
                member=member,
                leader=int(status.get("leader", 0)),
                term=int(status["raftTerm"]),
                revision=int(status["header"]["revision"]),
                alarm="+".join(own) or "none",
            )
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError("not a status of etcd") from error


class Views:
    """The last view of the member on every machine. Ids of members that left stay known."""

    def __init__(self, machines: int) -> None:
        self._quorum = machines // 2 + 1
        self._views: dict[str, MemberView] = {}
        self._machines: dict[int, str] = {}

    @property
    def views(self) -> Mapping[str, MemberView]:
        return self._views

    @property
    def asked(self) -> float | None:
        """When the newest answer was asked for."""
        return max((view.asked for view in self._views.values()), default=None)

    def add(self, machine: str, view: MemberView) -> None:
        self._views[machine] = view
        self._machines[view.member] = machine

    def lose(self, machine: str) -> None:
        """Forget the view of a machine whose member does not answer."""
        self._views.pop(machine, None)

    @property
    def term(self) -> int | None:
        return max((view.term for view in self._views.values()), default=None)

    def leader(self) -> tuple[str | None, str]:
        """The machine that leads and an empty text; or None and why the leader is unknown.

        A leader of the highest term was elected by a majority, even if some members have not heard of it. It has lost
        its leadership once a majority in that term reports no leader: a leader that is cut off still reports itself.
        """
        newest = [view for view in self._views.values() if view.term == self.term]
        named = {view.leader for view in newest if view.leader}
        if not newest:
            return None, "no member answers"
        if not named or sum(not view.leader for view in newest) >= self._quorum:
            return None, "no leader"
        member = max(named)
        return self._machines.get(member), "" if member in self._machines else f"unknown member {member:x}"
