"""The provider of a lab's machines, and the box or image from which they start."""

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

# Takes some seconds on this host. To another host it depends on the connection.
_COPY_SECONDS = 1800

# Boxes of bento since 2025 have a boot loader for UEFI only: https://github.com/chef/bento/issues/1604 and 1684.
FIRMWARE_HINT = (
    "machines boot with a BIOS, and a stock box whose disk needs UEFI does not start: "
    "`box: cloud-image/ubuntu-24.04` starts with a BIOS"
)
_UEFI_BOXES = "bento/"


def connect(lab_dir: LabDir) -> Provider:
    """Connect to the provider of a lab's machines, on the host that the lab file or the environment names."""
    if labs.provider_of(lab_dir) is ProviderKind.DOCKER:
        return Engine()
    return Hypervisor(uri=lab_dir.written.provider_uri)


def machines(lab_dir: LabDir, lab: Lab) -> LabMachines:
    """The machines of a lab at their provider."""
    return connect(lab_dir).of(lab, lab_dir.work)


def engine(lab_dir: LabDir) -> str:
    """What runs the machines of a lab, with its version: `docker 20.10.24`."""
    if labs.provider_of(lab_dir) is ProviderKind.DOCKER:
        return f"docker {Engine().version}"
    return f"libvirt {Hypervisor(uri=lab_dir.written.provider_uri).facts().version}"


def vagrant(lab_dir: LabDir, lab: Lab) -> Vagrant:
    address = docker_client.address() if lab.provider is ProviderKind.DOCKER else None
    # the address of the open tunnel: the docker command would open a new connection for every request
    env = {"DOCKER_HOST": address} if address else {}
    return Vagrant(lab_dir.work.path, lab.provider, lab_dir.work.logs / "vagrant.log", env=env)


def base(lab_dir: LabDir, lab: Lab, progress: Progress) -> str:
    """The docker image or Vagrant box from which the lab's machines start. It is built and imported if needed."""
    if lab.has_stock_box:
        # before the box is downloaded, because machines are of no use without their bundle
        source = lab_dir.written.kubernetes.source
        bundles.find(lab.release, source) or bundles.ensure(lab.release, source, progress)
        return _stock_box(lab_dir, lab, progress)
    release, source = labs.base_release(lab_dir), lab_dir.written.kubernetes.source
    box = boxes.for_lab(lab.box, release, source, progress, lab.provider)
    if lab.provider is ProviderKind.DOCKER:
        docker_engine = Engine()
        if not docker_engine.has_image(box.base):
            with progress.step("import the box into docker", limit_seconds=180):
                box.require_as_built()
                docker_engine.import_image(box.file, box.base)
    else:
        lab_dir.work.make()
        tool = vagrant(lab_dir, lab)
        if box.base not in tool.boxes():
            with progress.step("add the box to Vagrant", limit_seconds=300):
                box.require_as_built()
                tool.add_box(box.base, box.file)
        _copy_disk(lab_dir, box.base, progress)
    return box.base


def payload(lab_dir: LabDir, lab: Lab) -> Payload | None:
    """The bundle to send to machines whose box lacks it: a stock box, or that of a lab which was upgraded."""
    if not lab.has_stock_box and labs.base_release(lab_dir) == lab.release:
        return None
    bundle = bundles.find(lab.release, lab_dir.written.kubernetes.source)
    if bundle is None:
        raise LabProblem(
            f"the bundle of Kubernetes {lab.release.kubernetes} is no longer in the cache",
            hint=f"build it with `halab bundle build --kubernetes {lab.release.kubernetes}`",
        )
    return Payload(bundle)


def _copy_disk(lab_dir: LabDir, box: str, progress: Progress) -> None:
    """Copy the disk of the box to libvirt before Vagrant looks for it."""
    disk, hypervisor = disk_of(box), Hypervisor(uri=lab_dir.written.provider_uri)
    if disk is None or hypervisor.has_base(box, disk):
        return
    what = f"copy the disk of the box to libvirt, {disk.stat().st_size >> 20} MiB"
    with progress.step(what, limit_seconds=_COPY_SECONDS), host_lock(HostLock.DISKS):
        # another process may have copied it while this one waited for the lock
        if not hypervisor.has_base(box, disk):
            hypervisor.copy_base(box, disk)


def _stock_box(lab_dir: LabDir, lab: Lab, progress: Progress) -> str:
    lab_dir.work.make()
    tool = vagrant(lab_dir, lab)
    if lab.box not in tool.boxes():
        if lab.box.startswith(_UEFI_BOXES):
            progress.say(f"warning: boxes of bento since 2025 may not start here: {FIRMWARE_HINT}")
        try:
            with progress.step(f"download the box {lab.box}", limit_seconds=1800):
                tool.fetch_box(lab.box)
        except CommandFailed as error:
            error.hint = (
                f"check that the box has this name and exists for {lab.provider}; without a network, add its file: "
                f"`vagrant box add --name {lab.box} FILE`, or let halab build a box: write `box: debian-12` in "
                f"{lab_dir.file}"
            )
            raise
    return lab.box
