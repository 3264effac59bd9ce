"""The virtual address: which of two load balancers or of the control planes has it, and whether all could serve it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

from halab.cluster import balancer
from halab.errors import HalabError, LabProblem
from halab.machines.guests import Guests, on_all
from halab.topology import keepalived, kube_vip
from halab.topology.lab import Lab

_WORKS = "active"
_SERVES = "200"


@dataclass(frozen=True)
class _Chooser:
    """What gives the address to a machine. `state` is a command that prints whether it works there.

    `machine` is the kind of machine that can have the address, and `way` how that machine leads to an API server.
    `preferred` names the machine to which the address returns, if there is one.
    """

    name: str
    state: str
    machine: str
    way: str
    preferred: Callable[[Lab], str | None]


_KEEPALIVED = _Chooser(
    "keepalived",
    f"systemctl is-active {keepalived.SERVICE}",
    machine="load balancer",
    way="through",
    preferred=keepalived.preferred,
)
_KUBE_VIP = _Chooser(
    "kube-vip",
    f"pgrep -x {kube_vip.NAME} >/dev/null && echo {_WORKS} || echo stopped",
    machine="control plane",
    way="on",
    preferred=lambda lab: None,
)


@dataclass(frozen=True)
class Member:
    """One of the machines that can have the address. `chooser` is the state of what gives it the address, keepalived
    or kube-vip; `answer` is the status of /readyz there.
    """

    has_address: bool
    chooser: str
    answer: str


def members(guests: Guests, lab: Lab) -> dict[str, Member]:
    """Name → machine. Raises HalabError if one does not answer."""
    return dict(on_all(_names(lab), lambda name: _member(guests, lab, name)))


def holders(guests: Guests, lab: Lab) -> list[str]:
    """The machines that have the address, of those that answer."""

    def has(name: str) -> bool:
        with suppress(HalabError):
            return bool(guests.run(name, command(lab)).output.strip())
        return False

    return [name for name, has_it in on_all(_names(lab), has).items() if has_it]


def holder(guests: Guests, lab: Lab) -> str:
    """The machine that has the address. Raises LabProblem if there is none or more than one."""
    if lab.virtual_address is None:
        raise LabProblem(
            "the lab has one load balancer and no virtual address",
            hint="write `load_balancer: {machines: 2}` or `load_balancer: {kind: kube-vip}` in the lab file, and "
            "rebuild the lab",
        )
    found = holders(guests, lab)
    if len(found) != 1:
        raise LabProblem(_not_one(lab, found), hint="`halab status` shows what is wrong; or name a machine")
    return found[0]


def command(lab: Lab) -> str:
    """Prints something on a machine that has the address."""
    return f"ip -4 -o address show to {lab.virtual_address}/32"


def missing(lab: Lab, seen: Mapping[str, Member]) -> list[str]:
    """Why the address is not where it will stay, or one of the machines could not serve it."""
    holding = [name for name, member in seen.items() if member.has_address]
    chooser = _chooser(lab)
    stopped = [
        f"{chooser.name} on {name} is {member.chooser}"
        for name, member in seen.items()
        if member.chooser != _WORKS
    ]
    silent = [
        f"{name} does not serve the API: {balancer.answer(member.answer, f'/readyz {chooser.way} it')}"
        for name, member in seen.items()
        if member.answer != _SERVES
    ]
    return [*_misplaced(lab, holding), *stopped, *silent]


def _misplaced(lab: Lab, holding: Collection[str]) -> list[str]:
    preferred = _chooser(lab).preferred(lab)
    if len(holding) != 1:
        return [_not_one(lab, holding)]
    if preferred and preferred not in holding:
        return [f"the address {lab.virtual_address} has not returned to {preferred} yet"]
    return []


def _not_one(lab: Lab, holding: Collection[str]) -> str:
    if holding:
        return f"{' and '.join(holding)} have the address {lab.virtual_address}"
    return f"no {_chooser(lab).machine} has the address {lab.virtual_address}"


def _chooser(lab: Lab) -> _Chooser:
    return _KUBE_VIP if kube_vip.runs_in(lab) else _KEEPALIVED


def _names(lab: Lab) -> list[str]:
    return [machine.name for machine in lab.address_machines]


def _member(guests: Guests, lab: Lab, name: str) -> Member:
    asked = (
        f"{command(lab)} | wc -l; {_chooser(lab).state}; "
        f"curl -sk -o /dev/null -m 2 -w '%{{http_code}}\\n' https://127.0.0.1:{lab.load_balancer.port}/readyz; true"
    )
    words = guests.run(name, asked, timeout_seconds=8).output.split()
    if len(words) != 3:
        raise LabProblem(f"{name} did not say whether it has the address {lab.virtual_address}")
    count, state, answer = words
    return Member(count != "0", state, answer)
