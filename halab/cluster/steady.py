"""The steady state: what a scenario needs before it starts and must return to."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from halab import process
from halab.clock import Deadline, NotYet, wait_for
from halab.cluster import balancer, etcd, kube, leadership
from halab.cluster.api import Api
from halab.cluster.etcd import Member
from halab.errors import HalabError
from halab.machines.guests import Guests, on_all
from halab.topology.lab import Lab

# A member further behind would slow the next scenario: it is still catching up (design, run guarantees).
_MAXIMUM_LAG = 100
# A look costs the machines some work: those that are slow are given the time to get on with theirs.
_LOOK_SECONDS = 0.5
# What runs beside etcd on a control plane, with the 15 characters that the kernel keeps of a name. A pod is Ready to
# the API for some time after its process has ended: a component that lost its lease, and is started again later.
_COMPONENTS = {pod[:15]: pod for pod in kube.STATIC_PODS if pod != "etcd"}
_ABSENT = f"for each in {' '.join(_COMPONENTS)}; do pgrep -x $each >/dev/null || echo $each; done"
# Connections whose data was sent three times and more in vain. After a link was down for 55 s, followers of etcd had
# such a one between them for 53 s more, while all else was well: had the leader gone, none could have been elected.
_STALLED = (
    f"ss -Htno state established '( sport = :{etcd.PEER_PORT} or dport = :{etcd.PEER_PORT} )' | "
    r"awk -F '[ :]+' '/timer:\(on,[^,]*,([3-9]|[0-9][0-9])\)/ { print $5 }'"
)


@dataclass(frozen=True)
class Observation:
    """What was seen of a lab at one moment. `missing` is what it lacks to be steady, a line each."""

    missing: tuple[str, ...]
    leaders: dict[str, str | None] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    backends: dict[str, str] = field(default_factory=dict)

    @property
    def steady(self) -> bool:
        return not self.missing

    def __str__(self) -> str:
        if self.steady:
            return ", ".join(f"{role} on {machine}" for role, machine in self.leaders.items())
        shown = "; ".join(self.missing[:4])
        return shown if len(self.missing) <= 4 else f"{shown}; and {len(self.missing) - 4} more"


def observe(guests: Guests, api: Api, lab: Lab) -> Observation:
    """Ask etcd, the load balancer and the API, all at once, then who leads. Never raises for a lab that is silent."""
    missing: list[str] = []
    members: dict[str, Member] = {}
    backends: dict[str, str] = {}
    leaders: dict[str, str | None] = {"etcd": None}
    control_planes = [machine.name for machine in lab.control_planes]

    def ask_etcd() -> list[str]:
        said = etcd.statuses(guests, lab)
        members.update({name: each for name, each in said.items() if isinstance(each, Member)})
        leaders["etcd"] = next((name for name, each in members.items() if each.leads), None)
        silent = [
            f"etcd on {name} does not answer" for name, each in said.items() if isinstance(each, HalabError)
        ]
        return silent + missing_in_etcd(members)

    def ask_machines() -> list[str]:
        found = on_all(control_planes, lambda name: _found_on(guests, name))
        return [line for name, words in found.items() for line in _missing_on(lab, name, words)]

    def ask_balancer() -> list[str]:
        backends.update(balancer.backends(guests, lab))
        silent = [
            f"{lab.balancer.name} has no backend {name}" for name in control_planes if name not in backends
        ]
        return silent + [f"backend {name} is {state}" for name, state in backends.items() if state != "up"]

    def ask_nodes() -> list[str]:
        return kube.nodes_not_ready(api, {machine.name for machine in lab.nodes})

    def ask_pods() -> list[str]:
        return kube.pods_not_running(api, kube.expected_pods(control_planes))

    def ask_leaders() -> list[str]:
        held = kube.leaders(api)
        leaders.update(held)
        return [f"nobody leads {lease}" for lease, machine in held.items() if machine is None]

    def ask_who_acts() -> list[str]:
        return leadership.missing_leaders(leaders, leadership.acting(guests, lab))

    def answered(ask: Callable[[], list[str]]) -> list[str]:
        try:
            return ask()
        except HalabError as error:
            return [error.message.splitlines()[0]]

    with ThreadPoolExecutor(max_workers=6) as pool, process.ended_at_interrupt():
        questions = (ask_etcd, ask_machines, ask_balancer, ask_nodes, ask_pods, ask_leaders)
        for lines in pool.map(answered, questions):
            missing += [line for line in lines if line not in missing]
    if not missing:
        # only now: it costs a machine more than the rest, and of what does not answer nothing is learnt
        missing += answered(ask_who_acts)
    return Observation(tuple(missing), leaders, members, backends)


def _found_on(guests: Guests, machine: str) -> list[str]:
    """What a machine lacks, a word each; nothing of one that is not reached: etcd's silence tells of it."""
    try:
        return guests.run(machine, f"{_ABSENT}; {_STALLED}").output.split()
    except HalabError:
        return []


def _missing_on(lab: Lab, machine: str, words: list[str]) -> list[str]:
    """Names of processes that do not run, and addresses of peers that are not reached."""
    peers = {str(each.address): each.name for each in lab.control_planes}
    absent = [f"{_COMPONENTS[word]} does not run on {machine}" for word in words if word in _COMPONENTS]
    stalled = sorted({peers[word] for word in words if word in peers})
    return absent + [f"what etcd on {machine} sends to {peer} does not arrive yet" for peer in stalled]


def missing_in_etcd(members: dict[str, Member]) -> list[str]:
    """What members that answer lack: a leader that all agree on, and being in step."""
    missing = [f"etcd on {name} is still a learner" for name, member in members.items() if member.is_learner]
    missing += [
        f"etcd on {name}: {problem}" for name, member in members.items() for problem in member.problems
    ]
    if members and len({member.leader_id for member in members.values()}) > 1:
        missing.append("etcd members do not agree on a leader")
    elif members and not any(member.leads for member in members.values()):
        missing.append("no etcd member leads")
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
    note: Callable[[str], None] = lambda text: None,
) -> Observation:
    """Wait until the lab is steady; TimedOut says what it last lacked."""

    def look() -> Observation:
        seen = observe(guests, api, lab)
        if not seen.steady:
            note(str(seen))
            raise NotYet(str(seen))
        return seen

    return wait_for(
        f"the lab {lab.name} to be steady", look, deadline, every_seconds=_LOOK_SECONDS * lab.patience
    )
