"""A libvirt box: a root file system on a bootable disk, packed for vagrant-libvirt.

The format: https://vagrant-libvirt.github.io/vagrant-libvirt/boxes.html
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from halab import packages, process
from halab.errors import HalabError, HostProblem
from halab.images.cache import Architecture
from halab.images.rootfs import add_templates, run_inside
from halab.progress import Progress

# Increased when this module makes another disk from the same inputs.
FORMAT = 2
# Our files on the disk, in addition to those that containers have as well.
TEMPLATES = "box-libvirt"

_TOOLS = {
    "sfdisk": "fdisk",
    "mkfs.ext4": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "gzip": "gzip",
}
_MEBIBYTE = 1 << 20
_SECTOR_BYTES = 512
# The partition table comes after it, in the first sector.
_BOOT_CODE_BYTES = 440
# Where the only partition starts: the usual place, aligned for every disk. The rest of GRUB fits before it.
_PARTITION_BYTES = _MEBIBYTE

# GRUB is a package of the box, and runs there: it fits the box on every host, and the host needs none.
_GRUB = "usr/lib/grub/i386-pc"
_GRUB_CORE = "boot/grub/core.img"
# What it needs to read boot/grub/grub.cfg and the kernel. It takes the disk that the BIOS started it from.
_GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux")
_GRUB_PREFIX = "(,msdos1)/boot/grub"

_VAGRANTFILE = """# The defaults of every machine that starts from this box.
Vagrant.configure('2') do |config|
  config.ssh.username = 'vagrant'
  # neither rsync nor an NFS client is inside
  config.vm.synced_folder '.', '/vagrant', disabled: true
  config.vm.provider 'libvirt' do |libvirt|
    libvirt.disk_bus = 'virtio'
    libvirt.nic_model_type = 'virtio'
  end
end
"""


def boot_packages(architecture: Architecture) -> tuple[str, ...]:
    """Debian's kernel for virtual machines, with virtio drivers and a small initramfs, and its boot loader."""
    if architecture is not Architecture.AMD64:
        raise HostProblem(
            f"a libvirt box cannot be built for {architecture}: it has no boot loader",
            hint="use containers, which work here: halab box build --provider docker",
        )
    return (f"linux-image-cloud-{architecture}", "grub-pc-bin")


def require_tools() -> None:
    """Raise HostProblem if a tool that `pack` needs is missing: before minutes are spent on the root file system."""
    install = packages.install(*_TOOLS.values())
    for tool in _TOOLS:
        process.find(tool, hint=install)


def prepare(tree: Path) -> None:
    """Add what a virtual machine needs and a container does not: its network, a boot loader, a key for SSH."""
    add_templates(TEMPLATES, tree)
    keys = tree / "home/vagrant/.ssh"
    keys.chmod(0o700)
    (keys / "authorized_keys").chmod(0o600)
    run_inside(tree, ["chown", "-R", "vagrant:vagrant", "/home/vagrant/.ssh"])
    # a container gets it from the engine; here systemd-resolved uses what DHCP says
    resolver = tree / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    run_inside(
        tree,
        [
            "grub-mkimage",
            "--format=i386-pc",
            f"--prefix={_GRUB_PREFIX}",
            f"--output=/{_GRUB_CORE}",
            *_GRUB_MODULES,
        ],
    )


def pack(tree: Path, gibibytes: int, box: Path, progress: Progress) -> None:
    """Make the `.box` file of a prepared root file system, with a disk of that size."""
    scratch = box.parent / "disk"
    scratch.mkdir()
    raw, image = scratch / "disk.raw", scratch / "box.img"
    with progress.step("make a bootable disk", limit_seconds=180):
        _partition(raw, gibibytes)
        _fill(raw, tree)
        _install_boot_loader(raw, tree)
        process.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], timeout_seconds=600)
        raw.unlink()
    with progress.step("pack the libvirt box", limit_seconds=180):
        (scratch / "metadata.json").write_text(metadata(gibibytes))
        (scratch / "Vagrantfile").write_text(_VAGRANTFILE)
        process.run(
            # the fastest level: the box is read once, at `vagrant box add`
            ["tar", "-C", scratch, "--use-compress-program=gzip -1", "-cf", box,
             "metadata.json", "Vagrantfile", "box.img"],
            timeout_seconds=900,
        )  # fmt: skip
    shutil.rmtree(scratch)


def metadata(gibibytes: int) -> str:
    return json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": gibibytes}) + "\n"


def _partition(raw: Path, gibibytes: int) -> None:
    with raw.open("wb") as disk:
        disk.truncate(gibibytes << 30)
    table = f"label: dos\nstart={_PARTITION_BYTES // 512}, type=83, bootable\n"
    process.run(["sfdisk", "--quiet", raw], input=table, timeout_seconds=60)


def _fill(raw: Path, tree: Path) -> None:
    """Make the file system with the files in it. It fills the disk, so that nothing has to grow at the first start."""
    mebibytes = (raw.stat().st_size - _PARTITION_BYTES) // _MEBIBYTE
    process.run(
        ["mkfs.ext4", "-q", "-F", "-L", "root", "-d", tree, "-E", f"offset={_PARTITION_BYTES}",
         # GRUB of the suite cannot read it, and newer hosts set it
         "-O", "^metadata_csum_seed", raw, f"{mebibytes}M"],
        timeout_seconds=600,
    )  # fmt: skip


def _install_boot_loader(raw: Path, tree: Path) -> None:
    """Write GRUB to the first sector, and the rest of it behind that, where it expects it.

    grub-install does the same, but needs root: it wants a block device and a mounted file system. The numbers of the
    sectors are the defaults of both files: kernel_sector in boot.S, blocklist_default_start in diskboot.S.
    """
    core = (tree / _GRUB_CORE).read_bytes()
    room = _PARTITION_BYTES - _SECTOR_BYTES
    if len(core) > room:
        raise HalabError(
            f"GRUB does not fit before the partition: it has {len(core)} bytes, {room} are free"
        )
    with raw.open("r+b") as disk:
        disk.write((tree / _GRUB / "boot.img").read_bytes()[:_BOOT_CODE_BYTES])
        disk.seek(_SECTOR_BYTES)
        disk.write(core)
