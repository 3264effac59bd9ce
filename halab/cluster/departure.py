"""How a machine leaves the cluster: drained, with `kubeadm reset`, or by what another control plane does for it."""

from __future__ import annotations

from halab.clock import Clock, Deadline, NotYet, wait_for
from halab.cluster import etcd
from halab.cluster.kube import KUBECTL
from halab.errors import CommandFailed
from halab.machines.guests import Guests
from halab.topology.lab import Lab, Machine

# A machine with this file has joined the cluster. It is removed first when a machine leaves: after an interruption, the
# machine does not count as joined, and a join begins anew.
JOINED = "/etc/kubernetes/halab-joined"
UNMARK = f"rm -f {JOINED}"
# Ends a kubeadm that an interrupted halab left running: templates/provision/functions.sh records its process group.
END_KUBEADM = 'kill -KILL -- "-$(cat /run/halab/kubeadm.group 2>/dev/null)" 2>/dev/null; rm -f /run/halab/kubeadm.group'
# kubeadm removes the etcd member and ends the components. A second reset does no harm.
RESET = "kubeadm reset --force --cri-socket=unix:///run/containerd/containerd.sock"
# kubeadm asks etcd until it has removed the member: 5 s after the last change.
RESET_SECONDS = 120
_REMOVE_MEMBER_SECONDS = 90
# Pods have 30 s to end.
_DRAIN_SECONDS = 90
_DELETE_NODE = (
    "export KUBECONFIG=/etc/kubernetes/admin.conf; "
    "kubectl get node {node} --ignore-not-found -o name | grep -q . || exit 0; "
    "kubectl delete node {node}; "
    "kubectl delete pods -A --field-selector spec.nodeName={node} --force --grace-period=0"
)


def drain(lab: Lab, guests: Guests, guide: str, machine: Machine) -> None:
    """Evict the pods of a node, through the control plane `guide`. Raises CommandFailed if one cannot be evicted."""
    limit = _DRAIN_SECONDS * lab.patience
    flags = f"--ignore-daemonsets --delete-emptydir-data --force --timeout={limit:.0f}s"
    node = f"$({KUBECTL} get node {machine.name} --ignore-not-found -o name)"
    command = f'node="{node}" && if [ -n "$node" ]; then {KUBECTL} drain {machine.name} {flags}; fi'
    guests.run(guide, command, timeout_seconds=limit + 10)


def forget(lab: Lab, guests: Guests, clock: Clock, guide: str, machine: Machine) -> None:
    """Remove what a lost machine or an interrupted join left in the cluster: it would mislead the next join.

    That is a member that will never start, or whose vote would count as that of the new member; and a node with pods
    whose state nothing updates any more.
    """
    if machine in lab.members:
        remove_members(lab, guests, clock, guide, machine)
    guests.run(guide, _DELETE_NODE.format(node=machine.name), timeout_seconds=60)


def remove_members(lab: Lab, guests: Guests, clock: Clock, peer: str, machine: Machine) -> None:
    """Remove the members of a machine through the etcd of `peer`. Raises TimedOut."""

    def remove() -> None:
        try:
            for member in etcd.members_of(guests, peer, str(machine.address)):
                guests.run(peer, etcd.command(f"member remove {member}"))
        except CommandFailed as error:
            # as within 5 s of a connection (HealthInterval)
            raise NotYet(error.output.splitlines()[-1] if error.output else error.message) from error

    deadline = Deadline.after(clock, _REMOVE_MEMBER_SECONDS * lab.patience)
    wait_for(f"etcd on {peer} to remove the member {machine.name}", remove, deadline, every_seconds=1)
