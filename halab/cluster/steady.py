"""The steady state: what a scenario needs before it starts and must return to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from halab import process
from halab.clock import Deadline, NotYet, wait_for
from halab.cluster import acting_leaders, balancer, etcd, kube, virtual_address
from halab.cluster.api import Api
from halab.cluster.etcd import Member
from halab.cluster.names import name_server
from halab.config.kubeadm_fields import STATIC_PODS
from halab.errors import CommandFailed, HalabError
from halab.machines.guests import Guests, on_all
from halab.topology.lab import ETCD_PEER_PORT, Lab

# A member that is further behind is still catching up, and would slow the next scenario.
_MAXIMUM_LAG = 100
# An observation costs the machines some work. Slow machines get more time between two of them.
_OBSERVE_EVERY_SECONDS = 0.5
_HOLD_EVERY_SECONDS = 2
# The components beside etcd on a control plane, by the 15 characters of a process name that the kernel keeps. The API
# shows a pod as Ready for some time after its process has ended, for example after the component lost its lease.
_COMPONENTS = {pod[:15]: pod for pod in STATIC_PODS if pod != "etcd"}
_ABSENT = f"for name in {' '.join(_COMPONENTS)}; do pgrep -x $name >/dev/null || echo $name; done; "
# Connections whose data was retransmitted three times or more without success. After a link was down for 55 s, two
# followers of etcd had such a connection for 53 s more, while everything else was healthy: if the leader had failed
# then, no new one could have been elected.
_STALLED = (
    f"ss -Htno state established '( sport = :{ETCD_PEER_PORT} or dport = :{ETCD_PEER_PORT} )' | "
    r"awk -F '[ :]+' '/timer:\(on,[^,]*,([3-9]|[0-9][0-9])\)/ { print $5 }'"
)
_SHOWN_LINES = 4


@dataclass(frozen=True)
class Observation:
    """The state of a lab, or a part of it, at one moment. `missing` has one line per reason why it is not steady."""

    missing: tuple[str, ...] = ()
    leaders: dict[str, str | None] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    backends: dict[str, str] = field(default_factory=dict)
    # the backends whose state the load balancer does not know
    unchecked: tuple[str, ...] = ()
    # the machines that have the virtual address
    holders: tuple[str, ...] = ()
    # the control planes that have a record in DNS
    records: tuple[str, ...] = ()

    @property
    def steady(self) -> bool:
        return not self.missing

    def __str__(self) -> str:
        if self.steady:
            return ", ".join(f"{role} on {machine}" for role, machine in self.leaders.items())
        shown = "; ".join(self.missing[:_SHOWN_LINES])
        more = len(self.missing) - _SHOWN_LINES
        return shown if more <= 0 else f"{shown}; and {more} more"


def observe(
    guests: Guests, api: Api, lab: Lab, booted: Mapping[str, datetime] = kube.NO_BOOTS
) -> Observation:
    """Observe etcd, the machines, the load balancer and the API at the same time, then the acting leaders.

    `booted` is the time of the last boot of nodes, by their host names: what the API says of a pod must be newer.
    Never raises for a lab that does not answer: a part that fails to answer becomes a line of `missing`.
    """
    parts = (
        partial(_observe_etcd, guests, lab),
        partial(_observe_machines, guests, lab),
        *([partial(_observe_dns, guests, api, lab)] if lab.has_dns else []),
        *([partial(_observe_balancers, guests, lab)] if lab.balancing_machines and not lab.has_dns else []),
        *([partial(_observe_virtual_address, guests, lab)] if lab.virtual_address else []),
        partial(_observe_nodes, api, lab),
        partial(_observe_pods, api, lab, booted),
        partial(_observe_leases, api, lab),
    )
    with ThreadPoolExecutor(max_workers=len(parts)) as pool, process.ended_at_interrupt():
        seen = _merge(pool.map(_error_as_missing, parts))
    if seen.missing:
        return seen
    # last, because it costs a machine more than the rest, and is of no use while a part of the lab does not answer
    acting = _error_as_missing(partial(_observe_acting_leaders, guests, lab, seen.leaders))
    return replace(seen, missing=acting.missing)


def _error_as_missing(part: Callable[[], Observation]) -> Observation:
    try:
        return part()
    except HalabError as error:
        return Observation((error.message.splitlines()[0],))


def _merge(parts: Iterable[Observation]) -> Observation:
    """Merge observations of parts. Several parts may miss the same thing, such as a machine: one line is enough."""
    merged = Observation(leaders={"etcd": None})
    for part in parts:
        merged = Observation(
            missing=tuple(dict.fromkeys([*merged.missing, *part.missing])),
            leaders=merged.leaders | part.leaders,
            members=merged.members | part.members,
            backends=merged.backends | part.backends,
            unchecked=merged.unchecked + part.unchecked,
            holders=merged.holders + part.holders,
            records=merged.records + part.records,
        )
    return merged


def _observe_etcd(guests: Guests, lab: Lab) -> Observation:
    statuses = etcd.statuses(guests, lab)
    members = {name: status for name, status in statuses.items() if isinstance(status, Member)}
    silent = [f"etcd on {name} does not answer" for name in statuses if name not in members]
    leader = next((name for name, member in members.items() if member.leads), None)
    return Observation((*silent, *missing_in_etcd(members)), leaders={"etcd": leader}, members=members)


def _observe_machines(guests: Guests, lab: Lab) -> Observation:
    words = on_all(
        [machine.name for machine in dict.fromkeys([*lab.control_planes, *lab.members])],
        lambda name: _check_machine(guests, lab, name),
    )
    return Observation(tuple(line for name in words for line in _missing_on(lab, name, words[name])))


def _observe_balancers(guests: Guests, lab: Lab) -> Observation:
    """With several load balancers, the backends and their states are those of the first that lacks something."""
    views = on_all(
        [machine.name for machine in lab.balancing_machines],
        lambda name: _observe_balancer(guests, lab, name),
    )
    shown = next((view for view in views.values() if view.missing), next(iter(views.values())))
    return replace(shown, missing=tuple(line for view in views.values() for line in view.missing))


def _observe_balancer(guests: Guests, lab: Lab, name: str) -> Observation:
    try:
        backends, unchecked = balancer.backends(guests, lab, name)
    except CommandFailed:
        if lab.machine(name).is_node:
            return Observation((f"the load balancer on {name} does not answer",))
        raise
    where = f" on {name}" if len(lab.balancing_machines) > 1 else ""
    expected = [machine.name for machine in lab.control_planes]
    unknown = [f"{name} has no backend {backend}" for backend in expected if backend not in backends]
    not_up = [f"backend {backend}{where} is {state}" for backend, state in backends.items() if state != "up"]
    return Observation((*unknown, *not_up), backends=backends, unchecked=unchecked)


def _observe_dns(guests: Guests, api: Api, lab: Lab) -> Observation:
    """The records as clients see them, and the API servers, which no load balancer checks."""
    states = balancer.asked(guests, lab, lab.balancer.name, [machine.name for machine in lab.control_planes])
    not_up = [
        f"the API server on {name} is {state}" for name, state in states.items() if state != balancer.UP
    ]
    server = name_server(lab, api.tunnel)
    assert server is not None
    addresses = server.look_up().addresses
    machines = {str(machine.address): machine.name for machine in lab.control_planes}
    lacking = [
        f"{server.name} has no record of {machines[each]}" for each in machines if each not in addresses
    ]
    wrong = [f"{server.name} has a wrong record: {each}" for each in addresses if each not in machines]
    records = tuple(machines[address] for address in machines if address in addresses)
    return Observation((*not_up, *lacking, *wrong), records=records)


def _observe_virtual_address(guests: Guests, lab: Lab) -> Observation:
    seen = virtual_address.members(guests, lab)
    holders = tuple(name for name, member in seen.items() if member.has_address)
    return Observation(tuple(virtual_address.missing(lab, seen)), holders=holders)


def _observe_nodes(api: Api, lab: Lab) -> Observation:
    return Observation(tuple(kube.nodes_not_ready(api, {machine.hostname for machine in lab.nodes})))


def _observe_pods(api: Api, lab: Lab, booted: Mapping[str, datetime]) -> Observation:
    return Observation(tuple(kube.pods_not_running(api, lab, booted)))


def _observe_leases(api: Api, lab: Lab) -> Observation:
    leaders = kube.leaders(api, lab)
    return Observation(
        tuple(f"{lease} has no leader" for lease, machine in leaders.items() if machine is None),
        leaders=leaders,
    )


def _observe_acting_leaders(guests: Guests, lab: Lab, holders: dict[str, str | None]) -> Observation:
    return Observation(tuple(acting_leaders.missing_leaders(holders, acting_leaders.acting(guests, lab))))


def _check_machine(guests: Guests, lab: Lab, machine: str) -> list[str]:
    """Names of components that do not run on a machine, and addresses of peers whose data does not arrive.

    Empty for a machine that does not answer: its etcd or its API server does not answer either, and that is reported.
    """
    absent = _ABSENT if lab.machine(machine) in lab.control_planes else ""
    try:
        return guests.run(machine, f"{absent}{_STALLED}").output.split()
    except HalabError:
        return []


def _missing_on(lab: Lab, machine: str, words: list[str]) -> list[str]:
    """The words of `_check_machine` as lines of `missing`."""
    peers = {str(peer.address): peer.name for peer in lab.members}
    absent = [f"{_COMPONENTS[word]} does not run on {machine}" for word in words if word in _COMPONENTS]
    stalled = sorted({peers[word] for word in words if word in peers})
    return absent + [f"data from etcd on {machine} does not reach etcd on {peer} yet" for peer in stalled]


def missing_in_etcd(members: dict[str, Member]) -> list[str]:
    """What the members that answer lack: a leader on which all agree, full membership, and a small lag."""
    missing = [f"etcd on {name} is still a learner" for name, member in members.items() if member.is_learner]
    missing += [
        f"etcd on {name}: {problem}" for name, member in members.items() for problem in member.problems
    ]
    if members and len({member.leader_id for member in members.values()}) > 1:
        missing.append("etcd members do not agree on a leader")
    elif members and not any(member.leads for member in members.values()):
        missing.append("etcd has no leader")
    indexes = [member.applied_index for member in members.values()]
    if indexes and max(indexes) - min(indexes) > _MAXIMUM_LAG:
        behind = min(members.values(), key=lambda member: member.applied_index)
        missing.append(f"etcd on {behind.machine} is {max(indexes) - min(indexes)} entries behind")
    return missing


def wait_until_steady(
    guests: Guests,
    api: Api,
    lab: Lab,
    deadline: Deadline,
    *,
    hold_seconds: float = 0,
    booted: Mapping[str, datetime] = kube.NO_BOOTS,
    show: Callable[[str], None] = lambda text: None,
) -> Observation:
    """Observe the lab until it is steady and has stayed steady for `hold_seconds`. Raises TimedOut at the deadline.

    `booted` is that of `observe`. `show` gets what is missing meanwhile.
    """

    def observe_steady() -> Observation:
        seen = observe(guests, api, lab, booted)
        if not seen.steady:
            show(str(seen))
            raise NotYet(str(seen))
        return seen

    def wait() -> Observation:
        what, every_seconds = f"the lab {lab.name} to be steady", _OBSERVE_EVERY_SECONDS * lab.patience
        return wait_for(what, observe_steady, deadline, every_seconds=every_seconds)

    seen, clock = wait(), deadline.clock
    since = clock.now()
    while clock.now() < since + hold_seconds:
        clock.sleep(_HOLD_EVERY_SECONDS)
        if not observe(guests, api, lab, booted).steady:
            seen, since = wait(), clock.now()
    return seen
