"""etcd, asked on its own machines: members, leader, raft indexes. Works while the Kubernetes API is down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from halab.errors import HalabError, LabProblem
from halab.machines.guests import Guests, on_all
from halab.topology.lab import Lab, Machine

PEER_PORT = 2380
_CERTIFICATES = "/etc/kubernetes/pki/etcd"
_ETCDCTL = (
    "etcdctl --endpoints=https://127.0.0.1:2379 "
    f"--cacert={_CERTIFICATES}/ca.crt --cert={_CERTIFICATES}/server.crt --key={_CERTIFICATES}/server.key"
)
_DIAL_SECONDS = 2
_LIMIT_SECONDS = 3
# To connect, and in all: an emulated processor takes half a second for a TLS handshake, and starts etcdctl meanwhile. A
# member that was well was taken for silent, 10 s after the lab had been steady.
_EMULATED_LIMIT_SECONDS = 8
# Beyond etcdctl's own limit, for SSH.
_WAY_SECONDS = 5
_EMULATED_WAY_SECONDS = 12


@dataclass(frozen=True)
class Member:
    """What one etcd member says of itself."""

    machine: str
    member_id: int
    leader_id: int
    term: int
    index: int
    applied_index: int
    revision: int
    is_learner: bool
    problems: tuple[str, ...] = ()
    database_bytes: int = 0

    @property
    def leads(self) -> bool:
        return self.member_id == self.leader_id != 0


def command(
    arguments: str, *, limit_seconds: float = _LIMIT_SECONDS, dial_seconds: float = _DIAL_SECONDS
) -> str:
    """An etcdctl command line for the member of the machine that it runs on."""
    return f"{_ETCDCTL} --dial-timeout={dial_seconds:g}s --command-timeout={limit_seconds:g}s {arguments}"


def status(guests: Guests, machine: str, *, is_emulated: bool = False) -> Member:
    """The member of one machine; raises a HalabError where it does not answer."""
    dial, limit, way = _DIAL_SECONDS, _LIMIT_SECONDS, _WAY_SECONDS
    if is_emulated:
        dial, limit, way = _EMULATED_LIMIT_SECONDS, _EMULATED_LIMIT_SECONDS, _EMULATED_WAY_SECONDS
    asked = command("endpoint status --write-out=json", limit_seconds=limit, dial_seconds=dial)
    return parse_status(machine, guests.run(machine, asked, timeout_seconds=limit + way).output)


def parse_status(machine: str, output: str) -> Member:
    """`etcdctl endpoint status --write-out=json` of one endpoint (etcd 3.6 and 3.7)."""
    try:
        said = json.loads(output)[0]["Status"]
        return Member(
            machine=machine,
            member_id=said["header"]["member_id"],
            leader_id=said.get("leader", 0),
            term=said["raftTerm"],
            index=said["raftIndex"],
            applied_index=said.get("raftAppliedIndex", said["raftIndex"]),
            revision=said["header"].get("revision", 0),
            is_learner=said.get("isLearner", False),
            problems=tuple(" ".join(error.split()) for error in said.get("errors") or ()),
            database_bytes=said.get("dbSize", 0),
        )
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(
            f"etcdctl on {machine} printed something else than a status: {output[:200]!r}"
        ) from error


def statuses(guests: Guests, lab: Lab) -> dict[str, Member | HalabError]:
    """Every member, or why it does not answer."""

    def ask(machine: str) -> Member | HalabError:
        try:
            return status(guests, machine, is_emulated=lab.is_emulated)
        except HalabError as error:
            return error

    return on_all([machine.name for machine in lab.control_planes], ask)


def healthy_peer(guests: Guests, lab: Lab, machine: str) -> str:
    """Another control plane whose member knows a leader: through it the members can be changed."""
    for name, member in statuses(guests, lab).items():
        if name != machine and isinstance(member, Member) and member.leader_id and not member.is_learner:
            return name
    raise LabProblem(
        f"no etcd but that of {machine} has a leader, so that none can take it in",
        hint="heal what else is broken first, or make the lab anew: `halab down`, `halab up`",
    )


def through_any(guests: Guests, lab: Lab, first: str, arguments: str) -> str:
    """What etcdctl says on the first machine where it succeeds; the others are only asked if `first` fails."""
    names = [first, *(machine.name for machine in lab.control_planes if machine.name != first)]
    for name in names[:-1]:
        with suppress(HalabError):
            return guests.run(name, command(arguments)).output
    return guests.run(names[-1], command(arguments)).output


def peer_url(machine: Machine) -> str:
    return f"https://{machine.address}:{PEER_PORT}"


def initial_cluster(guests: Guests, lab: Lab, machine: str) -> str:
    """etcd's `--initial-cluster` of all members that `machine`'s etcd has in its list, started or not."""
    output = _member_list(guests, machine)
    listed = [each for each in lab.control_planes if parse_members_of(output, str(each.address))]
    return ",".join(f"{each.name}={peer_url(each)}" for each in listed)


def leader(guests: Guests, lab: Lab) -> str:
    """The machine whose member leads; LabProblem where none does."""
    for machine, member in statuses(guests, lab).items():
        if isinstance(member, Member) and member.leads:
            return machine
    raise LabProblem("no etcd member leads")


def members_of(guests: Guests, machine: str, joining: str) -> list[str]:
    """Ids (hexadecimal) of members that stand for `joining`, by name or address, in the list of `machine`'s etcd."""
    return [f"{member['ID']:x}" for member in parse_members_of(_member_list(guests, machine), joining)]


def votes(guests: Guests, machine: str, joining: str) -> bool:
    """Whether `machine`'s etcd counts on a member that stands for `joining`: it has started and is no learner."""
    found = parse_members_of(_member_list(guests, machine), joining)
    return any(member.get("name") and not member.get("isLearner") for member in found)


def parse_members_of(output: str, name_or_address: str) -> list[Mapping[str, Any]]:
    """From `etcdctl member list --write-out=json`; a member that has not started has no name."""
    try:
        return [each for each in json.loads(output)["members"] if name_or_address in _names(each)]
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(f"etcdctl printed something else than members: {output[:200]!r}") from error


def _names(member: Mapping[str, Any]) -> set[str]:
    urls = [*member.get("peerURLs", ()), *member.get("clientURLs", ())]
    return {member.get("name", ""), *(url.split("//")[-1].rsplit(":", 1)[0] for url in urls)}


def _member_list(guests: Guests, machine: str) -> str:
    return guests.run(machine, command("member list --write-out=json"), timeout_seconds=10).output
