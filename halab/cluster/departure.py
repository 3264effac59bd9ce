"""How a machine leaves the cluster: drained, with `kubeadm reset`, or by what another control plane does for it."""

from __future__ import annotations

from functools import partial

from halab.clock import Clock, Deadline, wait_for
from halab.cluster import member_list
from halab.cluster.kube import KUBECTL
from halab.config.applied import When
from halab.errors import CommandFailed, LabProblem
from halab.machines.guests import Guests
from halab.printable import last_line
from halab.topology.lab import Lab, Machine
from halab.topology.setup_scripts import ran_file

# A machine with this file has joined the cluster. It is removed first when a machine leaves: after an interruption, the
# machine does not count as joined, and a join begins from the start. That includes the user's own script, because the
# reset removes what it wrote beside kubeadm's files, such as a static pod.
JOINED = "/etc/kubernetes/halab-joined"
UNMARK = f"rm -f {JOINED} {ran_file(When.BEFORE)}"
# Ends a kubeadm that an interrupted halab left running: templates/provision/functions.sh records its process group.
END_KUBEADM = 'kill -KILL -- "-$(cat /run/halab/kubeadm.group 2>/dev/null)" 2>/dev/null; rm -f /run/halab/kubeadm.group'
# kubeadm removes the etcd member and ends the components. A second reset does no harm.
RESET = "kubeadm reset --force --cri-socket=unix:///run/containerd/containerd.sock"
# kubeadm asks etcd until it has removed the member: 5 s after the last change.
RESET_SECONDS = 120
_REMOVE_MEMBER_SECONDS = 90
# Pods have 30 s to end.
_DRAIN_SECONDS = 90
DELETE_SECONDS = 60
_DELETE_NODE = (
    "export KUBECONFIG=/etc/kubernetes/admin.conf; "
    'node="$(kubectl get node {node} --ignore-not-found -o name --request-timeout=10s)" && '
    '{{ [ -z "$node" ] || kubectl delete node {node}; }} && '
    "kubectl delete pods -A --field-selector spec.nodeName={node} --force --grace-period=0"
)


def has_joined(guests: Guests, machine: str) -> bool:
    """Whether a machine has joined the cluster, as a node or as an etcd machine."""
    return guests.run(machine, f"test -e {JOINED}", check=False).code == 0


def drain(lab: Lab, guests: Guests, through: str, machine: Machine) -> None:
    """Evict the pods of a node, through the control plane `through`. Raises LabProblem if one cannot be evicted."""
    limit = _DRAIN_SECONDS * lab.patience
    flags = f"--ignore-daemonsets --delete-emptydir-data --force --timeout={limit:.0f}s"
    node = f"$({KUBECTL} get node {machine.hostname} --ignore-not-found -o name)"
    command = f'node="{node}" && if [ -n "$node" ]; then {KUBECTL} drain {machine.hostname} {flags}; fi'
    try:
        guests.run(through, command, timeout_seconds=limit + 10)
    except CommandFailed as error:
        raise LabProblem(
            f"the pods on {machine.name} cannot be evicted: {last_line(error.output)}",
            hint="a PodDisruptionBudget may not allow it: `halab kubectl -- get pdb -A`",
        ) from error


def forget(lab: Lab, guests: Guests, clock: Clock, through: str, machine: Machine) -> None:
    """Remove what a lost machine or an interrupted join left in the cluster: it would mislead the next join.

    That is a member that will never start, or whose vote would count as the vote of the new member; and a node with
    pods whose state nothing updates any more.
    """
    if machine in lab.members:
        deadline = Deadline.after(clock, _REMOVE_MEMBER_SECONDS * lab.patience)
        remove = partial(member_list.remove, guests, through, machine)
        wait_for(f"etcd on {through} to remove the member {machine.name}", remove, deadline, every_seconds=1)
    delete_node(guests, through, machine.hostname, Deadline.after(clock, DELETE_SECONDS * lab.patience))


def delete_node(guests: Guests, through: str, node: str, deadline: Deadline) -> None:
    """Delete a node and its pods, through the control plane `through`. An earlier try may have deleted the node only.

    The API may be away for a moment: with kube-vip, the machine that has left may have had its address.
    """

    def delete() -> None:
        with member_list.refusals_as_not_yet():
            guests.run(through, _DELETE_NODE.format(node=node), timeout_seconds=DELETE_SECONDS)

    wait_for(f"{through} to delete the node {node}", delete, deadline, every_seconds=1)
