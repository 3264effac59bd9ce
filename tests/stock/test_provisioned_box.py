"""A stock box of Debian 12 is provisioned, in the root file system of that distribution instead of a machine.

Needs root and a way to the distribution's packages, so it runs outside of a bare host's network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from halab import data, process
from halab.config import box as recipes
from halab.config import kubernetes
from halab.config.box import Recipe
from halab.config.kubernetes import BundleSource
from halab.config.lab import LabFile, ProviderKind
from halab.errors import CommandFailed
from halab.images import box as boxes
from halab.images import bundle as bundles
from halab.images import rootfs
from halab.lifecycle.payload import Payload
from halab.process import Completed
from halab.progress import Quiet
from halab.topology import files
from halab.topology.files import HostValues
from halab.topology.lab import plan

# What a stock box has: SSH, and not much else.
STOCK = Recipe(
    suite="bookworm",
    packages=(
        "systemd-sysv",
        "openssh-server",
        "sudo",
        "ifupdown",
        "isc-dhcp-client",
        "unattended-upgrades",
    ),
)
INSIDE = """
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
chroot "$1" bash -c "$2"
exit $?
"""
# No service runs in the tree: only the files on its disk count.
SYSTEMCTL = """#!/bin/bash
case $1 in
  start | stop | restart | reload-or-restart | daemon-reload) exit 0 ;;
esac
SYSTEMD_OFFLINE=1 exec /bin/systemctl "${@/--now/-q}"
"""
CONTAINERD = """version = 3
disabled_plugins = ['io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri']
"""
FSTAB = "LABEL=root / ext4 errors=remount-ro 0 1\nUUID=1234 none swap sw 0 0\n"


class Tree:
    """Guests with one machine: commands run in its tree, with the network of this host and without systemd."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sent: list[str] = []

    def run(
        self,
        machine: str,
        command: str,
        *,
        timeout_seconds: float = 20,
        input: str | None = None,
        input_file: Path | None = None,
        log: Path | None = None,
        check: bool = True,
    ) -> Completed:
        if input_file:
            self.sent.append(input_file.name)
        if command.startswith("set -e; for image"):
            command = f"containerd & sleep 3; {command}"
        return process.run(
            [
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                INSIDE,
                "sh",
                self.path,
                command,
            ],
            timeout_seconds=timeout_seconds,
            input=input,
            input_file=input_file,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            log=log,
            check=check,
        )

    def changes(self, script: str) -> list[str]:
        said = self.run("", "bash -s", input=script, timeout_seconds=900).output
        return re.findall(r"^changed: (.*)$", said, re.MULTILINE)

    def state(self, unit: str) -> str:
        return self.run("", f"systemctl is-enabled {unit}", check=False).output.strip()

    def read(self, path: str) -> str:
        return (self.path / path.lstrip("/")).read_text()


def unpacked(folder: Path) -> Tree:
    path = folder / "tree"
    path.mkdir()
    subprocess.run(["tar", "-C", path, "-xpf", rootfs.base(STOCK, Quiet())], check=True, timeout=120)
    # use the package sources of this host; there is no init system that could start services
    shutil.copytree("/etc/apt/apt.conf.d", path / "etc/apt/apt.conf.d", dirs_exist_ok=True)
    shutil.copyfile("/etc/resolv.conf", path / "etc/resolv.conf")
    if "VERSION_CODENAME=bookworm" in Path("/etc/os-release").read_text():
        shutil.rmtree(path / "etc/apt/sources.list.d")
        (path / "etc/apt/sources.list").unlink(missing_ok=True)
        for each in (*Path("/etc/apt").glob("sources.list*"), *Path("/etc/apt").glob("trusted.gpg*")):
            if each.is_dir():
                shutil.copytree(each, path / "etc/apt" / each.name, dirs_exist_ok=True)
            else:
                shutil.copyfile(each, path / "etc/apt" / each.name)
    for program, text in {
        "sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
        "local/sbin/systemctl": SYSTEMCTL,
    }.items():
        (path / "usr" / program).write_text(text)
        (path / "usr" / program).chmod(0o755)
    (path / "etc/fstab").write_text(FSTAB)
    return Tree(path)


def scripts() -> dict[str, str]:
    written = LabFile(provider=ProviderKind.LIBVIRT, box="debian/bookworm64", control_planes=1)
    lab = plan(
        written, network=IPv4Network("10.213.0.0/24"), provider=ProviderKind.LIBVIRT,
        management=IPv4Network("10.214.0.0/24"),
    )  # fmt: skip
    proxies = {name: os.environ[name] for name in process.PROXIES if os.environ.get(name)}
    host = HostValues(
        work="/labs",
        base=lab.box,
        private_key="key",
        public_key="pub",
        proxies=proxies,
        identity="1234abcd5678",
    )
    return files.work_files(lab, host)


def packages(status: str) -> set[str]:
    return {
        entry.split("\n", 1)[0].removeprefix("Package: ")
        for entry in status.split("\n\n")
        if "\nStatus: install ok installed\n" in entry
    }


@pytest.mark.parametrize("machine", ["cp1", "lb1"])
def test_a_stock_box_gets_all_that_halabs_own_box_has(machine: str, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    stock, script = unpacked(tmp_path), scripts()[f"provision/{machine}/base.sh"]
    recipe = recipes.recipe("debian-12")

    changes = stock.changes(script)
    assert any(each.startswith("installed ") and " haproxy " in each for each in changes), changes
    assert stock.changes(script) == []

    bundle = bundles.find(kubernetes.resolve("1.37"), BundleSource.AUTO)
    assert bundle, "halab box build"
    own = boxes.find("debian-12", bundle.key)
    assert own, "halab box build"
    with tarfile.open(own.file) as packed:
        status = packed.extractfile("./var/lib/dpkg/status")
        assert status
        assert packages(status.read().decode()) - packages(stock.read("var/lib/dpkg/status")) == set()
    for path in (data.templates() / "box").rglob("*"):
        if path.is_file() and path.name != "vagrant":  # a stock box has its own sudo
            there = stock.path / path.relative_to(data.templates() / "box")
            assert there.read_text() == path.read_text(), path
            assert os.access(there, os.X_OK) == path.read_bytes().startswith(b"#!"), path
    assert {unit: stock.state(unit) for unit in recipe.mask} == dict.fromkeys(recipe.mask, "masked")
    assert {unit: stock.state(unit) for unit in recipe.disable} == dict.fromkeys(recipe.disable, "disabled")
    assert {unit: stock.state(unit) for unit in recipe.enable} == dict.fromkeys(recipe.enable, "enabled")
    assert stock.state("systemd-networkd.service") == "enabled"
    assert (stock.path / "etc/ssh/ssh_host_ed25519_key").exists()
    assert stock.read("etc/fstab").count("\nUUID=1234 none swap") == (0 if machine == "cp1" else 1)

    if machine == "cp1":
        payload, log = Payload(bundle), tmp_path / "cp1.log"
        assert not payload.is_there(stock, machine)
        assert payload.send(stock, machine, 1) == len(bundle.manifest.files)
        assert payload.send(stock, machine, 1) == 0
        for binary in bundle.binaries():
            copy = stock.path / "usr/local/bin" / binary.name
            assert hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(binary.read_bytes()).digest()
            assert copy.stat().st_mode & 0o777 == 0o755
        (stock.path / "etc/containerd").mkdir()
        (stock.path / "etc/containerd/config.toml").write_text(CONTAINERD)
        payload.import_images(stock, machine, 1, log=log)
        assert payload.is_there(stock, machine)
        assert log.read_text().count("registry.k8s.io/") >= len(bundle.images())
        assert not list((stock.path / "var/lib/halab/images").iterdir())


def test_another_distribution_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    stock = unpacked(tmp_path)
    release = stock.path / "etc/os-release"
    release.unlink()
    release.write_text('ID=fedora\nPRETTY_NAME="Fedora Linux 43"\n')
    with pytest.raises(CommandFailed, match="this box has Fedora Linux 43"):
        stock.changes(scripts()["provision/cp1/base.sh"])
