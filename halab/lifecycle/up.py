"""From a lab file to a steady lab: `up`, and `start` after a `stop`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from halab.clock import Deadline, RealClock
from halab.cluster.steady import Observation, wait_until_steady
from halab.config.lab import Provider
from halab.errors import HalabError, HostProblem, LabProblem
from halab.images import box as boxes
from halab.lifecycle import access, made, workfiles
from halab.lifecycle import lab as labs
from halab.lifecycle.boot import boot, vagrant
from halab.lifecycle.lab import Place
from halab.lifecycle.provision import Provisioner
from halab.machines import allocation
from halab.machines.engine import Engine
from halab.machines.power import State
from halab.machines.work import replace
from halab.progress import Progress
from halab.topology.lab import Lab, plan

# On a machine that does nothing else; a lab's patience stretches it.
_STEADY_SECONDS = 240


@dataclass(frozen=True)
class Brought:
    """What `up` came to: the lab, what it looked like when it was steady, and what had to be changed."""

    lab: Lab
    seen: Observation
    changes: int


def up(place: Place, progress: Progress) -> Brought:
    """Make the lab and wait until it is steady. A second call changes nothing; an interrupted one is taken up."""
    with labs.locked(place, f"up, process {os.getpid()}"):
        require_docker(place)
        engine = Engine()
        lab = _allocate(place, engine)
        engine.require_free(lab, place.work.path)
        if engine.containers(lab.name):
            made.require_same(place, lab)
        box = boxes.for_lab(lab.box, lab.release, place.written.kubernetes.source, progress)
        if not engine.has_image(box.image):
            with progress.step("import the box into docker", limit_seconds=180):
                engine.import_image(box.root_tree, box.image)
        place.work.make()
        with _kept(place):
            place.work.write({**workfiles.rendered(place, lab, image=box.image), **made.note(lab)})
            started = boot(place, lab, engine, progress)
            provisioner = Provisioner(lab, place.work, access.guests(place), progress, RealClock())
            changes = provisioner.run()
            _save_credentials(place, provisioner)
            return Brought(lab, settle(place, lab, progress), started + changes)


def start(place: Place, progress: Progress) -> Observation:
    """Start a stopped lab and wait until it is steady."""
    with labs.locked(place, f"start, process {os.getpid()}"), _kept(place):
        lab = labs.existing(place)
        engine = Engine()
        gone = [each.name for each in lab.machines if engine.state(lab, each, place.work.path) is State.GONE]
        if gone:
            raise LabProblem(
                f"nothing is left to start of {', '.join(gone)}", hint="`halab up` makes them anew"
            )
        boot(place, lab, engine, progress)
        return settle(place, lab, progress)


def stop(place: Place, progress: Progress) -> None:
    """Stop the machines of a lab and keep their disks."""
    with labs.locked(place, f"stop, process {os.getpid()}"):
        lab = labs.existing(place)
        with progress.step("stop the machines", limit_seconds=120):
            vagrant(place, lab).halt()


def settle(place: Place, lab: Lab, progress: Progress) -> Observation:
    """Wait until the lab is steady."""
    limit = _STEADY_SECONDS * lab.patience
    api = access.api(place, lab)
    with progress.step("wait until the lab is steady", limit_seconds=limit) as step:
        seen = wait_until_steady(
            access.guests(place), api, lab, Deadline.after(RealClock(), limit), note=step.note
        )
        step.done(str(seen))
    api.close()
    return seen


def require_docker(place: Place) -> None:
    if labs.provider_of(place.written) is not Provider.DOCKER:
        raise HostProblem(
            "this version brings up containers only; for libvirt it renders the Vagrantfile",
            hint=f"write `provider: docker` in {place.file}, or leave it out",
        )


def _allocate(place: Place, engine: Engine) -> Lab:
    if allocation.of(place.work.path):
        return labs.existing(place)
    taken = [*allocation.host_routes(), *engine.networks()]
    got = allocation.allocate(place.name, place.written.network, place.work.path, taken=taken)
    return plan(place.written, network=got.network, provider=labs.provider_of(place.written))


def _save_credentials(place: Place, provisioner: Provisioner) -> None:
    kubeconfig, credentials = provisioner.kubeconfig(), access.credentials(place)
    replace(place.work.kubeconfig, kubeconfig)
    credentials.save(kubeconfig)
    credentials.of_etcd.write(*provisioner.etcd_client())


@contextmanager
def _kept(place: Place) -> Iterator[None]:
    """What failed stays for a look: the error says where the logs are and how to go on."""
    try:
        yield
    except HalabError as error:
        kept = f"the machines are kept; logs: {place.work.logs}; go on with `halab up`, or remove all with `halab down`"
        error.hint = f"{error.hint}\n{kept}" if error.hint else kept
        raise
