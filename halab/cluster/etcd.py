"""etcd as seen from its own machines: members, leader, raft indexes. Works while the Kubernetes API is down."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from halab.errors import HalabError, LabProblem
from halab.machines.guests import Guests, on_all
from halab.topology.lab import ETCD_PEER_PORT, Lab, Machine

_CERTIFICATES = "/etc/kubernetes/pki/etcd"
_ETCDCTL = (
    "etcdctl --endpoints=https://127.0.0.1:2379 "
    f"--cacert={_CERTIFICATES}/ca.crt --cert={_CERTIFICATES}/server.crt --key={_CERTIFICATES}/server.key"
)
_DIAL_SECONDS = 2
_LIMIT_SECONDS = 3
# For the connection and for the whole command. An emulated processor takes half a second for a TLS handshake, and must
# start etcdctl too: with shorter limits, a healthy member counted as silent 10 s after the lab had been steady.
_EMULATED_LIMIT_SECONDS = 8
# Added to etcdctl's own limit, for SSH.
_SSH_SECONDS = 5
_EMULATED_SSH_SECONDS = 12


@dataclass(frozen=True)
class Member:
    """The status that one etcd member reports."""

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
    version: str = ""

    @property
    def leads(self) -> bool:
        return self.member_id == self.leader_id != 0


def command(
    arguments: str, *, limit_seconds: float = _LIMIT_SECONDS, dial_seconds: float = _DIAL_SECONDS
) -> str:
    """An etcdctl command line that asks the member of the machine on which it runs."""
    return f"{_ETCDCTL} --dial-timeout={dial_seconds:g}s --command-timeout={limit_seconds:g}s {arguments}"


def status(guests: Guests, machine: str, *, is_emulated: bool = False) -> Member:
    """The status of one machine's member. Raises a HalabError if the member does not answer."""
    dial, limit, ssh = _DIAL_SECONDS, _LIMIT_SECONDS, _SSH_SECONDS
    if is_emulated:
        dial, limit, ssh = _EMULATED_LIMIT_SECONDS, _EMULATED_LIMIT_SECONDS, _EMULATED_SSH_SECONDS
    status_command = command("endpoint status --write-out=json", limit_seconds=limit, dial_seconds=dial)
    return parse_status(machine, guests.run(machine, status_command, timeout_seconds=limit + ssh).output)


def parse_status(machine: str, output: str) -> Member:
    """Parse `etcdctl endpoint status --write-out=json` of one endpoint (etcd 3.6 and 3.7)."""
    try:
        report = json.loads(output)[0]["Status"]
        return Member(
            machine=machine,
            member_id=report["header"]["member_id"],
            leader_id=report.get("leader", 0),
            term=report["raftTerm"],
            index=report["raftIndex"],
            applied_index=report.get("raftAppliedIndex", report["raftIndex"]),
            revision=report["header"].get("revision", 0),
            is_learner=report.get("isLearner", False),
            problems=tuple(" ".join(error.split()) for error in report.get("errors") or ()),
            database_bytes=report.get("dbSize", 0),
            version=report.get("version", ""),
        )
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(f"etcdctl on {machine} did not print a valid status: {output[:200]!r}") from error


def statuses(guests: Guests, lab: Lab) -> dict[str, Member | HalabError]:
    """Machine → the status of its member, or the error if the member does not answer."""

    def ask(machine: str) -> Member | HalabError:
        try:
            return status(guests, machine, is_emulated=lab.is_emulated)
        except HalabError as error:
            return error

    return on_all([machine.name for machine in lab.members], ask)


def healthy_peer(guests: Guests, lab: Lab, machine: str) -> str:
    """Another machine whose member knows a leader, so that the list of members can be changed through it.

    If `machine` is empty, any control plane. Raises LabProblem if there is none.
    """
    for name, member in statuses(guests, lab).items():
        if name != machine and isinstance(member, Member) and member.leader_id and not member.is_learner:
            return name
    raise LabProblem(
        f"no other etcd member has a leader, so {machine} cannot rejoin"
        if machine
        else "etcd has no leader",
        hint="heal the other faults first, or rebuild the lab: `halab down && halab up`",
    )


def through_any(guests: Guests, lab: Lab, first: str, arguments: str, *, value: str | None = None) -> str:
    """Run etcdctl on `first`, if it has a member, and if that fails, on the others that have one. Return its output.

    `value` is its standard input, in base64.
    """
    names = sorted((machine.name for machine in lab.members), key=lambda name: name != first)
    asked = command(arguments) if value is None else f"base64 -d | {command(arguments)}"
    for name in names[:-1]:
        with suppress(HalabError):
            return guests.run(name, asked, input=value).output
    return guests.run(names[-1], asked, input=value).output


@dataclass(frozen=True)
class Key:
    """A key with the revisions in which it was created and last changed. `value` is in base64, if it was asked for."""

    name: str
    created: int
    changed: int
    value: str = ""


def keys(guests: Guests, lab: Lab, first: str, arguments: str) -> list[Key]:
    """The keys that `etcdctl get` returns, through any member."""
    output = through_any(guests, lab, first, f"get {arguments} --write-out=json")
    try:
        return [
            Key(
                base64.b64decode(pair["key"]).decode(),
                pair["create_revision"],
                pair["mod_revision"],
                pair.get("value", ""),
            )
            for pair in json.loads(output).get("kvs") or ()
        ]
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(f"etcdctl did not print valid keys: {output[:200]!r}") from error


def peer_url(machine: Machine) -> str:
    return f"https://{machine.address}:{ETCD_PEER_PORT}"


def initial_cluster(guests: Guests, lab: Lab, machine: str) -> str:
    """etcd's `--initial-cluster` with all members in the list of `machine`'s etcd, started or not."""
    output = _member_list(guests, machine)
    members = [peer for peer in lab.members if parse_members_of(output, str(peer.address))]
    return ",".join(f"{peer.hostname}={peer_url(peer)}" for peer in members)


def leader(guests: Guests, lab: Lab) -> str:
    """The machine whose member is the leader. Raises LabProblem if there is no leader."""
    for machine, member in statuses(guests, lab).items():
        if isinstance(member, Member) and member.leads:
            return machine
    raise LabProblem(
        "etcd has no leader", hint="`halab heal` heals open faults, `halab status` shows what is wrong"
    )


def members_of(guests: Guests, machine: str, joining: str) -> list[str]:
    """Ids (hexadecimal) of the members with the name or address `joining` in the list of `machine`'s etcd."""
    return [f"{member['ID']:x}" for member in parse_members_of(_member_list(guests, machine), joining)]


def votes(guests: Guests, machine: str, joining: str) -> bool:
    """True if `machine`'s etcd lists a voting member with the name or address `joining`: started and no learner."""
    members = parse_members_of(_member_list(guests, machine), joining)
    return any(member.get("name") and not member.get("isLearner") for member in members)


def voting(guests: Guests, lab: Lab, machine: str) -> list[str]:
    """The machines whose members have a vote in the list of `machine`'s etcd, started or not."""
    output = _member_list(guests, machine)
    return [
        peer.name
        for peer in lab.members
        if any(not member.get("isLearner") for member in parse_members_of(output, str(peer.address)))
    ]


def parse_members_of(output: str, name_or_address: str) -> list[Mapping[str, Any]]:
    """Select members of `etcdctl member list --write-out=json`. A member that has not started has no name."""
    try:
        return [member for member in json.loads(output)["members"] if name_or_address in _names(member)]
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(f"etcdctl did not print a valid member list: {output[:200]!r}") from error


def _names(member: Mapping[str, Any]) -> set[str]:
    urls = [*member.get("peerURLs", ()), *member.get("clientURLs", ())]
    return {member.get("name", ""), *(url.split("//")[-1].rsplit(":", 1)[0] for url in urls)}


def _member_list(guests: Guests, machine: str) -> str:
    return guests.run(machine, command("member list --write-out=json"), timeout_seconds=10).output
