"""A machine that was lost, made anew: the same name, addresses and role, and nothing of what was on its disks."""

from __future__ import annotations

from halab.clock import Deadline, NotYet, RealClock, wait_for
from halab.cluster.join import JoinOptions
from halab.errors import Unreachable
from halab.lifecycle import providers
from halab.lifecycle.boot import boot
from halab.lifecycle.lab import LabDir
from halab.lifecycle.provision import Provisioner
from halab.machines.guests import Guests, SshGuests
from halab.progress import Progress, Quiet
from halab.topology.lab import Lab

# The init of a machine that is made starts its SSH server within 2 s on 2 cores.
_ANSWER_SECONDS = 60


def recreate(
    place: LabDir,
    lab: Lab,
    machine: str,
    *,
    join: JoinOptions | None = None,
    progress: Progress | None = None,
) -> None:
    """Make a machine anew and join it to the cluster; what is there already is left alone.

    Whoever calls holds the lab's lock. Of machines that join at once, kubeadm keeps all but one waiting: etcd takes
    one learner at a time.
    """
    shown, clock, guests = progress or Quiet(), RealClock(), SshGuests(place.work.ssh_config)
    made = lab.machine(machine)
    boot(place, providers.machines(place, lab), shown, only=made)
    _wait_for_answer(guests, machine, Deadline.after(clock, _ANSWER_SECONDS * lab.patience))
    provisioner = Provisioner(lab, place.work, guests, shown, clock, providers.payload(place, lab))
    provisioner.rejoin(made, join or JoinOptions())


def _wait_for_answer(guests: Guests, machine: str, deadline: Deadline) -> None:
    def answer() -> None:
        try:
            guests.run(machine, "true")
        except Unreachable as error:
            raise NotYet(error.message) from error

    wait_for(f"{machine} to answer over SSH", answer, deadline)
