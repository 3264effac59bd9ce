"""Which provider makes a lab's machines, and what they start from."""

from __future__ import annotations

from halab.config.lab import ProviderKind
from halab.errors import CommandFailed, LabProblem
from halab.images import box as boxes
from halab.images import bundle as bundles
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.lifecycle.payload import Payload
from halab.machines.docker import client as docker_client
from halab.machines.docker.engine import Engine
from halab.machines.host.host_lock import HostLock, host_lock
from halab.machines.libvirt.hypervisor import Hypervisor
from halab.machines.provider import LabMachines, Provider
from halab.machines.vagrant import Vagrant, disk_of
from halab.progress import Progress
from halab.topology.lab import Lab

# Some seconds here; to another host, as its line is.
_COPY_SECONDS = 1800


def connect(place: LabDir) -> Provider:
    """Connect to what runs the lab's machines, on the host that the lab file or the environment names."""
    if labs.provider_of(place.written) is ProviderKind.DOCKER:
        return Engine()
    return Hypervisor(uri=place.written.provider_uri)


def machines(place: LabDir, lab: Lab) -> LabMachines:
    """The machines of a lab at their provider."""
    return connect(place).of(lab, place.work)


def vagrant(place: LabDir, lab: Lab) -> Vagrant:
    address = docker_client.address() if lab.provider is ProviderKind.DOCKER else None
    # over the tunnel that is open already: the docker command would open a connection for every question
    env = {"DOCKER_HOST": address} if address else {}
    return Vagrant(place.work.path, lab.provider, place.work.logs / "vagrant.log", env=env)


def base(place: LabDir, lab: Lab, progress: Progress) -> str:
    """What the lab's machines start from, made and known to their provider: a docker image, a box of Vagrant's."""
    if lab.has_stock_box:
        # before the box is fetched: machines without their payload are of no use
        source = place.written.kubernetes.source
        bundles.find(lab.release, source) or bundles.ensure(lab.release, source, progress)
        return _stock_box(place, lab, progress)
    box = boxes.for_lab(lab.box, lab.release, place.written.kubernetes.source, progress, lab.provider)
    if lab.provider is ProviderKind.DOCKER:
        known_images = Engine()
        if not known_images.has_image(box.base):
            with progress.step("import the box into docker", limit_seconds=180):
                box.require_as_built()
                known_images.import_image(box.file, box.base)
    else:
        place.work.make()
        known = vagrant(place, lab)
        if box.base not in known.boxes():
            with progress.step("add the box to Vagrant", limit_seconds=300):
                box.require_as_built()
                known.add_box(box.base, box.file)
        _give_disk(place, box.base, progress)
    return box.base


def payload(place: LabDir, lab: Lab) -> Payload | None:
    """What machines of a stock box are sent; None where it is in the box."""
    if not lab.has_stock_box:
        return None
    bundle = bundles.find(lab.release, place.written.kubernetes.source)
    if bundle is None:
        raise LabProblem(
            f"the bundle is not in the cache any more: Kubernetes {lab.release.kubernetes}",
            hint=f"halab bundle build --kubernetes {lab.release.kubernetes}",
        )
    return Payload(bundle)


def _give_disk(place: LabDir, box: str, progress: Progress) -> None:
    """The disk of the box, whole at libvirt, before Vagrant looks for it."""
    disk, hypervisor = disk_of(box), Hypervisor(uri=place.written.provider_uri)
    if disk is None or hypervisor.has_base(box, disk):
        return
    what = f"give libvirt the disk of the box, {disk.stat().st_size >> 20} MiB"
    with progress.step(what, limit_seconds=_COPY_SECONDS), host_lock(HostLock.DISKS):
        # whoever had the turn before may have done it
        if not hypervisor.has_base(box, disk):
            hypervisor.copy_base(box, disk)


def _stock_box(place: LabDir, lab: Lab, progress: Progress) -> str:
    place.work.make()
    known = vagrant(place, lab)
    if lab.box not in known.boxes():
        try:
            with progress.step(f"fetch the box {lab.box}", limit_seconds=1800):
                known.fetch_box(lab.box)
        except CommandFailed as error:
            error.hint = (
                f"is that its name, and does it exist for {lab.provider}? Where there is no way to it from here, bring "
                f"its file: vagrant box add --name {lab.box} FILE; or let halab build one: `box: debian-12` in "
                f"{place.file}"
            )
            raise
    return lab.box
