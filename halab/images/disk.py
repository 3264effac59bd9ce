"""A libvirt box: a root file system on a bootable disk, packed for vagrant-libvirt.

The format: https://vagrant-libvirt.github.io/vagrant-libvirt/boxes.html
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from halab import packages, process
from halab.errors import HostProblem
from halab.images.cache import Architecture
from halab.images.rootfs import add_templates, run_inside
from halab.progress import Progress

# Increased when this module makes another disk from the same inputs.
FORMAT = 1
# Our files on the disk, in addition to those that containers have as well.
TEMPLATES = "box-libvirt"

_TOOLS = {
    "sfdisk": "fdisk",
    "mkfs.ext4": "e2fsprogs",
    "extlinux": "extlinux",
    "qemu-img": "qemu-utils",
    "unshare": "util-linux",
    "gzip": "gzip",
}
# Where distributions put extlinux's code for the first sector of a disk.
_BOOT_CODES = (
    Path("/usr/lib/EXTLINUX/mbr.bin"),  # Debian, Ubuntu
    Path("/usr/share/syslinux/mbr.bin"),  # Fedora, RHEL, openSUSE
    Path("/usr/lib/syslinux/bios/mbr.bin"),  # Arch
)
# The partition table comes after it.
_BOOT_CODE_BYTES = 440
_MEBIBYTE = 1 << 20
# Where the only partition starts: the usual place, aligned for every disk.
_PARTITION_BYTES = _MEBIBYTE

# extlinux writes its second stage through a mounted file system. The mount is in a namespace of this command:
# however the command ends, the kernel removes mount and loop device.
_BOOT_LOADER = """
set -eu
mount -o "loop,offset=$2" "$1" "$3"
extlinux --install "$3/boot/extlinux"
umount "$3"
"""

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


def kernel_package(architecture: Architecture) -> str:
    """Debian's kernel for virtual machines, with virtio drivers and a small initramfs."""
    if architecture is not Architecture.AMD64:
        raise HostProblem(
            f"a libvirt box cannot be built for {architecture}: it has no boot loader",
            hint="use containers, which work here: halab box build --provider docker",
        )
    return f"linux-image-cloud-{architecture}"


def require_tools() -> None:
    """HostProblem where a tool that `pack` needs is missing: before minutes are spent on the root file system."""
    install = packages.install(*_TOOLS.values())
    for tool in _TOOLS:
        process.find(tool, hint=install)
    boot_code(hint=install)
    if not Path("/dev/loop-control").exists():
        raise HostProblem(
            "this host has no loop devices: /dev/loop-control",
            hint="sudo modprobe loop; in a container, build the box on its host instead",
        )


def boot_code(hint: str = "") -> Path:
    """The file of extlinux that begins a bootable disk. HostProblem if this host does not have it."""
    for path in _BOOT_CODES:
        if path.is_file():
            return path
    raise HostProblem(
        f"not found: mbr.bin of extlinux, in any of {', '.join(map(str, _BOOT_CODES))}", hint=hint or None
    )


def prepare(tree: Path) -> None:
    """Add what a virtual machine needs and a container does not: its network, a boot menu, a key for SSH."""
    add_templates(TEMPLATES, tree)
    keys = tree / "home/vagrant/.ssh"
    keys.chmod(0o700)
    (keys / "authorized_keys").chmod(0o600)
    run_inside(tree, ["chown", "-R", "vagrant:vagrant", "/home/vagrant/.ssh"])
    # a container gets it from the engine; here systemd-resolved uses what DHCP says
    resolver = tree / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.symlink_to("../run/systemd/resolve/stub-resolv.conf")


def pack(tree: Path, gibibytes: int, box: Path, progress: Progress) -> None:
    """Make the `.box` file of a prepared root file system, with a disk of that size."""
    scratch = box.parent / "disk"
    scratch.mkdir()
    raw, image = scratch / "disk.raw", scratch / "box.img"
    with progress.step("make a bootable disk", limit_seconds=180):
        _partition(raw, gibibytes)
        _fill(raw, tree)
        _install_boot_loader(raw, scratch)
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
    with raw.open("r+b") as disk:
        disk.write(boot_code().read_bytes()[:_BOOT_CODE_BYTES])


def _fill(raw: Path, tree: Path) -> None:
    """Make the file system with the files in it. It fills the disk, so that nothing has to grow at the first start."""
    mebibytes = (raw.stat().st_size - _PARTITION_BYTES) // _MEBIBYTE
    process.run(
        ["mkfs.ext4", "-q", "-F", "-L", "root", "-d", tree, "-E", f"offset={_PARTITION_BYTES}",
         # extlinux cannot read the first, and kernels of the suite may not know the second
         "-O", "^64bit,^metadata_csum_seed", raw, f"{mebibytes}M"],
        timeout_seconds=600,
    )  # fmt: skip


def _install_boot_loader(raw: Path, scratch: Path) -> None:
    mounted = scratch / "mounted"
    mounted.mkdir()
    process.run(
        ["unshare", "--mount", "sh", "-c", _BOOT_LOADER, "sh", raw, str(_PARTITION_BYTES), mounted],
        timeout_seconds=120,
    )
    mounted.rmdir()
