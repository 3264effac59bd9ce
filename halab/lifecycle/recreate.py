"""Recreates a lost machine with the same name, addresses and role, and with empty disks."""

from __future__ import annotations

from halab.clock import RealClock
from halab.cluster.join import JoinOptions
from halab.lifecycle import components, own_files, providers
from halab.lifecycle.boot import boot
from halab.lifecycle.lab import LabDir
from halab.lifecycle.own_images import NodeImages
from halab.lifecycle.provision import Provisioner
from halab.machines.guests import SshGuests
from halab.progress import Progress, Quiet
from halab.topology.lab import Lab


def recreate(
    lab_dir: LabDir,
    lab: Lab,
    machine: str,
    *,
    join: JoinOptions | None = None,
    progress: Progress | None = None,
) -> None:
    """Create a machine again and join it to the cluster. A machine that has joined already is left alone.

    The caller holds the lab's lock. If several machines join at the same time, kubeadm makes all but one wait, because
    etcd accepts one learner at a time.
    """
    shown, clock, guests = progress or Quiet(), RealClock(), SshGuests(lab_dir.work.ssh_config)
    wanted = lab.machine(machine)
    boot(lab_dir, providers.machines(lab_dir, lab), shown, only=wanted)
    images = NodeImages(own_files.recorded_images(lab_dir.work), components.cached(lab_dir))
    payload = providers.payload(lab_dir, lab)
    provisioner = Provisioner(lab, lab_dir.work, guests, shown, clock, payload, images)
    provisioner.rejoin(wanted, join or JoinOptions())
