"""Faults of membership in the cluster: a machine is lost, leaves the cluster, or fails to join it.

All of them are healed by a join, as `halab up` does it. A machine that is gone is created again before that.
"""

from __future__ import annotations

import re
import threading

from halab.clock import NotYet, wait_for
from halab.cluster import departure, etcd, healthy_control_plane
from halab.cluster.join import JoinOptions
from halab.cluster.kube import KUBECTL
from halab.config.targets import FaultTarget
from halab.errors import BadUsage, LabProblem, ScriptFailed, Unable
from halab.faults import scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.power import wait_for_state
from halab.faults.site import Site
from halab.machines.power import PowerState

_EFFECT_SECONDS = 30
# For a join that must fail: longer than a join that succeeds takes, and much shorter than kubeadm's own limit. kubeadm
# asks a member that is gone for 2 minutes (timeouts.etcdAPICall). Then it gives up the join; since kubernetes#138403
# (1.37 and later patches of 1.34 to 1.36), it only gives up that member if a majority answers.
_FAILING_JOIN_SECONDS = 60
_AT_ONCE = "at-once"
# A machine that leaves is drained through another control plane, which must not leave at the same time.
_one_leaves = threading.Lock()


def _lose(site: Site, entry: Entry) -> str:
    site.power.remove(entry.machine)
    return wait_for_state(site, entry.machine, PowerState.GONE)


def _leave(site: Site, entry: Entry) -> str:
    """In the order of kubeadm's manual: drain, reset, delete. Several machines leave one after another."""
    with _one_leaves:
        return _leave_now(site, entry)


def _leave_now(site: Site, entry: Entry) -> str:
    machine = site.lab.machine(entry.machine)
    peer = healthy_control_plane.find(site.guests, site.lab, without=machine.name)
    # the heal joins the machine again, however far the fault came
    site.guests.run(machine.name, departure.UNMARK)
    departure.drain(site.lab, site.guests, peer, machine)
    site.guests.run(machine.name, scratch.locked(departure.RESET), timeout_seconds=departure.RESET_SECONDS)
    departure.delete_node(site.guests, peer, machine.hostname, site.deadline(departure.DELETE_SECONDS))

    def left() -> str:
        if machine in site.lab.members and etcd.members_of(site.guests, peer, str(machine.address)):
            raise NotYet("its member is still listed")
        return f"{machine.name} is drained and reset, and is neither a node nor an etcd member"

    return wait_for(f"{machine.name} to have left", left, site.deadline(_EFFECT_SECONDS))


def _join_beside_stale_member(site: Site, entry: Entry) -> str:
    member = f"{site.lab.machine(entry.machine).address}:2379"
    join = JoinOptions(forget_lost=False, limit_seconds=_FAILING_JOIN_SECONDS)
    _fail_to_join(site, entry, join, member)
    return (
        f"the join did not succeed within {_FAILING_JOIN_SECONDS} s: etcd still lists the lost member, "
        f"which does not answer at {member}"
    )


def _join_with_expired_key(site: Site, entry: Entry) -> str:
    join = JoinOptions(
        before_join=lambda issuer: _expire_key(site, issuer), limit_seconds=_FAILING_JOIN_SECONDS
    )
    return f"the join failed: {_fail_to_join(site, entry, join, 'kubeadm-certs')}"


def _expire_key(site: Site, control_plane: str) -> None:
    """Two hours after `kubeadm init phase upload-certs`, kubeadm has removed the secret that it uploaded."""
    site.guests.run(control_plane, f"{KUBECTL} --namespace=kube-system delete secret kubeadm-certs")


def _fail_to_join(site: Site, entry: Entry, join: JoinOptions, reason: str) -> str:
    """Destroy a machine and let a new one try to join; the line of kubeadm's output that has the reason."""
    _lose(site, entry)
    try:
        site.recreate(entry.machine, join=join)
    except ScriptFailed as error:
        if error.script != "join.sh" or reason not in error.output:
            raise
        line = next(line for line in reversed(error.output.splitlines()) if reason in line)
        # a line of a script's log begins with its time
        return re.sub(r"^[\d:]{8} ", "", line)
    raise LabProblem(f"{entry.machine} joined, but {entry.fault} should have made the join fail")


def join(site: Site, entry: Entry, options: JoinOptions | None = None) -> None:
    """Join the machine of a fault of this module. If it has joined already, do nothing."""
    site.recreate(entry.machine, join=options, in_turn=entry.options.get("join") != _AT_ONCE)


def _rejoin(site: Site, entry: Entry) -> None:
    if site.power.state(entry.machine) is PowerState.RUNNING:
        # the reset that takes it out of the cluster may still run
        site.guests.run(entry.machine, scratch.locked("true"), timeout_seconds=departure.RESET_SECONDS)
    join(site, entry)


def _require_another(site: Site, entry: Entry) -> None:
    """A machine joins through another one of its kind. Without the only one there is no cluster, or no data."""
    for machines, what in (
        (site.lab.control_planes, "control plane"),
        (site.lab.etcd_machines, "etcd member"),
    ):
        if [machine.name for machine in machines] == [entry.machine]:
            raise BadUsage(f"the lab's only {what} cannot leave and join again: {entry.machine}")


def _require_member(site: Site, entry: Entry) -> None:
    if site.lab.has_external_etcd:
        raise Unable(
            f"{entry.fault} needs etcd members on the control planes, and this lab has external etcd"
        )
    _require_another(site, entry)


FAULTS = (
    Fault(
        "lose-machine",
        "Destroy a machine and its disks; healing creates a new one that joins in its place.",
        _lose,
        _rejoin,
        target=FaultTarget.ANY,
        check=_require_another,
    ),
    Fault(
        "leave-cluster",
        "Drain a control plane's node, reset it with kubeadm and delete it; healing joins it again.",
        _leave,
        _rejoin,
        {
            "join": Option(
                "in-turn or at-once (how several machines join again)",
                f"in-turn|{_AT_ONCE}",
                example=_AT_ONCE,
                default="in-turn",
            )
        },
        target=FaultTarget.CONTROL_PLANE,
        check=_require_another,
    ),
    Fault(
        "join-without-removing",
        "Destroy a control plane and let a new one try to join while etcd still lists the old member.",
        _join_beside_stale_member,
        _rejoin,
        target=FaultTarget.CONTROL_PLANE,
        check=_require_member,
    ),
    Fault(
        "join-with-expired-key",
        "Destroy a control plane and let a new one try to join after its certificate key has expired.",
        _join_with_expired_key,
        _rejoin,
        target=FaultTarget.CONTROL_PLANE,
        check=_require_another,
    ),
)
