"""What must be true before a lab is upgraded. When these checks refuse, nothing has been changed yet."""

from __future__ import annotations

from halab.cluster import etcd
from halab.cluster.api import Api
from halab.cluster.etcd import Member
from halab.cluster.steady import observe
from halab.config import kubernetes
from halab.config.kubernetes import Release
from halab.errors import LabProblem, Unable
from halab.machines.guests import Guests
from halab.topology.lab import Lab


def require_stacked_etcd(lab: Lab) -> None:
    """Raise Unable if etcd has machines of its own: kubeadm upgrades only members on control planes."""
    if lab.has_external_etcd:
        raise Unable(
            f"etcd has machines of its own ({', '.join(machine.name for machine in lab.etcd_machines)}), which "
            f"`kubeadm upgrade` leaves as they are; halab does not upgrade them yet",
            hint="build a lab of the new version instead: `halab down && halab up`",
        )


def require_steady(guests: Guests, api: Api, lab: Lab) -> None:
    """Raise LabProblem if the lab is not steady: each machine is out of service while it is upgraded."""
    seen = observe(guests, api, lab)
    if not seen.steady:
        raise LabProblem(
            f"the lab is not steady: {seen}",
            hint="`halab status` shows what is wrong; heal open faults with `halab heal`, or start machines with "
            "`halab up`",
        )


def require_etcd(guests: Guests, lab: Lab, release: Release, *, allow_unsupported: bool) -> None:
    """Raise LabProblem if etcd's own rules do not allow its members to go to the version of the release.

    With `allow_unsupported`, only what etcd itself refuses is a problem.
    """
    running = {
        name: member.version
        for name, member in etcd.statuses(guests, lab).items()
        if isinstance(member, Member) and member.version
    }
    if problem := kubernetes.etcd_upgrade_problem(
        running, release.etcd, allow_unsupported=allow_unsupported
    ):
        raise LabProblem(problem[0], hint=problem[1])
