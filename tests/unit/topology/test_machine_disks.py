"""Disks of the lab file: volumes of a container, and disks of a virtual machine that a script mounts first."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.fake_provisioning import Machines
from support.fakes import Call, FakeClock, Recorded, lab_of

from halab import templates
from halab.config.lab import LabFile, ProviderKind
from halab.config.loading import loads
from halab.errors import BadFile
from halab.lifecycle.provision import Provisioner
from halab.machines.work import Work
from halab.process import Completed
from halab.topology import container, domain, files
from halab.topology.domain import DomainDisk
from halab.topology.files import HostValues
from halab.topology.lab import Lab

DISKS = {
    "cp": {"disks": [{"mount": "/var/lib/etcd"}, {"mount": "/srv/data"}]},
    "lb": {"disks": [{"mount": "/data"}]},
}


def problems(text: str) -> list[str]:
    with pytest.raises(BadFile) as caught:
        loads(text, "lab.yml", LabFile)
    return [f"{problem.field}: {problem.what}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    "folder", ["/etc", "/", "/var/lib", "/var/lib/halab", "data", "/srv/../etc", "/srv/", "/srv x"]
)
def test_a_disk_is_mounted_where_the_machine_can_do_without_it(folder: str) -> None:
    (problem,) = problems(f"machines: {{cp: {{disks: [{{mount: '{folder}'}}]}}}}\n")
    assert problem.startswith(
        "machines.cp.disks[1].mount: should be a folder such as /var/lib/etcd, in /data"
    )


@pytest.mark.parametrize(
    ("disks", "said"),
    [
        ("[{size: 1G}]", "machines.cp.disks[1].mount: is missing"),
        ("[{mount: /srv}, {mount: /srv}]", "machines.cp.disks: two disks have the folder /srv"),
        (
            "[{mount: /srv/a}, {mount: /srv}]",
            "machines.cp.disks: /srv/a is inside /srv, which is another disk's folder",
        ),
        (
            "[{mount: /srv, size: 10T}]",
            "machines.cp.disks[1].size: should be a size such as 512M or 2G, not 10T",
        ),
        ("[{mount: /srv, size: 100M}]", "machines.cp.disks[1].size: should be 256M or more, not 100M"),
        (
            f"[{', '.join(f'{{mount: /srv/{number}}}' for number in range(9))}]",
            "machines.cp.disks: should be at most 8 disks, not 9",
        ),
    ],
)
def test_disks_that_cannot_be_are_refused(disks: str, said: str) -> None:
    assert problems(f"provider: libvirt\nmachines: {{cp: {{disks: {disks}}}}}\n") == [said]


def test_a_machine_has_the_disks_of_its_role_or_its_own() -> None:
    lab = lab_of(machines={**DISKS, "cp2": {"disks": []}, "cp3": {"cpus": 4}})
    folders = {machine.name: [disk.mount for disk in machine.disks] for machine in lab.machines}
    assert folders == {
        "lb1": ["/data"],
        "cp1": ["/var/lib/etcd", "/srv/data"],
        "cp2": [],
        "cp3": ["/var/lib/etcd", "/srv/data"],
    }


def test_a_containers_disk_is_a_volume_that_snapshots_save() -> None:
    lab = lab_of(machines=DISKS)
    # etcd's volume is there anyway
    assert container.volumes(lab.machine("cp1")) == {
        "halab-ha-cp1-containerd": "/var/lib/containerd",
        "halab-ha-cp1-etcd": "/var/lib/etcd",
        "halab-ha-cp1-disk2": "/srv/data",
    }
    assert container.saved_volumes(lab.machine("cp1"), "one") == {
        "halab-ha-cp1-etcd": "halab-ha-cp1-etcd-at-one",
        "halab-ha-cp1-disk2": "halab-ha-cp1-disk2-at-one",
    }
    assert container.volumes(lab.machine("lb1")) == {"halab-ha-lb1-disk1": "/data"}
    assert list(container.saved_volumes(lab.machine("lb1"), "one")) == ["halab-ha-lb1-disk1"]


def virtual_lab() -> Lab:
    disks = [{"mount": "/var/lib/etcd", "size": "512M"}, {"mount": "/srv/data"}]
    return lab_of(provider=ProviderKind.LIBVIRT, control_planes=1, machines={"cp": {"disks": disks}})


def rendered(lab: Lab) -> dict[str, str]:
    host = HostValues(
        work="/w", identity="1", base="b", private_key="/k", public_key="ssh-ed25519 A", proxies={}
    )
    return files.work_files(lab, host)


def test_a_virtual_machine_gets_disks_of_their_sizes() -> None:
    lab = virtual_lab()
    assert domain.disks(lab.machine("cp1")) == [
        DomainDisk("halab-ha-cp1-disk1.img", "halab-disk1", 512, "/var/lib/etcd"),
        DomainDisk("halab-ha-cp1-disk2.img", "halab-disk2", 10240, "/srv/data"),
    ]
    vagrantfile = rendered(lab)["Vagrantfile"]
    assert vagrantfile.count("libvirt.storage :file") == 2
    assert "size: '512M'" in vagrantfile and "serial: 'halab-disk2'" in vagrantfile


def test_only_virtual_machines_with_disks_have_the_script() -> None:
    def scripts(lab: Lab) -> list[str]:
        return [path for path in rendered(lab) if path.endswith("/disks.sh")]

    assert scripts(virtual_lab()) == ["provision/cp1/disks.sh"]
    assert scripts(lab_of(machines=DISKS)) == []


class Recording(Machines):
    """A lab that works, and the scripts that were run on its control plane."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []

    def _answer(self, call: Call) -> str | Completed:
        if call.machine == "cp1" and call.input:
            self.ran.append("disks" if "mount_disk" in call.input else "another")
        return super()._answer(call)


def test_disks_are_mounted_before_anything_else_is_set_up(tmp_path: Path) -> None:
    lab, work, guests = virtual_lab(), Work(tmp_path / ".halab"), Recording()
    work.logs.mkdir(parents=True)
    work.write(rendered(lab))
    Provisioner(lab, work, guests, Recorded(), FakeClock()).run()
    assert guests.ran[0] == "disks" and guests.ran.count("disks") == 1 and len(guests.ran) > 1


# What the machine's tools do: a label is a file, and a mounted folder has its device's name in the file `mounts`.
TOOLS = {
    "e2label": 'file=labels/$(basename "$1"); if [ $# = 2 ]; then echo "$2" >"$file"; else cat "$file"; fi',
    "findmnt": "exit 1",
    "mkfs.ext4": "",
    "mount": """[ ! -e broken ] || exit 1
if [ $# = 2 ]; then mkdir "$2/lost+found"; basename "$1" >device; else echo "$1" >>mounts; fi""",
    "mountpoint": 'grep -qxF "$2" mounts',
    "systemctl": "",
    "umount": 'cp -a "$1" "of-$(cat device)"; rm -rf "$1"/*',
}


@dataclass(frozen=True)
class Guest:
    """A machine with two new disks, below a folder of this host."""

    root: Path

    def __post_init__(self) -> None:
        for folder in ("bin", "labels", "dev", "etc", "srv/data"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "mounts").touch()
        (self.root / "etc" / "fstab").write_text("/dev/vda1 / ext4 defaults 0 1\n")
        (self.root / "srv" / "data" / "kept").write_text("of the box\n")
        for serial in ("halab-disk1", "halab-disk2"):
            (self.root / "dev" / f"virtio-{serial}").touch()
        for name, does in TOOLS.items():
            path = self.root / "bin" / name
            path.write_text(f'#!/bin/bash\necho "{name} $*" >>did\n{does}\n')
            path.chmod(0o755)

    def did(self, tool: str) -> int:
        return sum(line.startswith(f"{tool} ") for line in (self.root / "did").read_text().splitlines())

    def run(self) -> subprocess.CompletedProcess[str]:
        lab = virtual_lab()
        machine = lab.machine("cp1")
        script: str = templates.text(
            "provision/disks.sh.j2", lab=lab, machine=machine, disks=domain.disks(machine)
        )
        for path in ("/dev/disk/by-id", "/etc/fstab", "/var/lib/etcd", "/srv/data"):
            own = "/dev" if path.startswith("/dev") else path
            script = script.replace(path, f"{self.root}{own}")
        path = f"{self.root}/bin:{os.environ['PATH']}"
        return subprocess.run(
            ["bash"], input=script, cwd=self.root, env={**os.environ, "PATH": path, "TMPDIR": str(self.root)},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


def test_new_disks_get_a_file_system_and_are_mounted_at_every_start(guest: Guest) -> None:
    done = guest.run()
    assert (done.returncode, done.stderr) == (0, "")
    folders = [f"{guest.root}/var/lib/etcd", f"{guest.root}/srv/data"]
    assert done.stdout == "".join(f"changed: a disk of its own in {folder}\n" for folder in folders)
    assert (guest.root / "etc" / "fstab").read_text() == (
        "/dev/vda1 / ext4 defaults 0 1\n"
        f"LABEL=halab-disk1 {folders[0]} ext4 defaults 0 2\nLABEL=halab-disk2 {folders[1]} ext4 defaults 0 2\n"
    )
    assert guest.did("mkfs.ext4") == 2
    copied = guest.root / "of-virtio-halab-disk2"
    assert [path.name for path in copied.iterdir()] == ["kept"]


def test_mounted_disks_are_left_alone(guest: Guest) -> None:
    guest.run()
    (guest.root / "did").unlink()
    done = guest.run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert guest.did("mkfs.ext4") == guest.did("mount") == 0


def test_a_disk_with_data_that_is_not_mounted_is_mounted_and_not_formatted(guest: Guest) -> None:
    guest.run()
    (guest.root / "mounts").write_text("")
    assert guest.run().returncode == 0
    assert guest.did("mkfs.ext4") == 2
    assert (guest.root / "etc" / "fstab").read_text().count("LABEL=") == 2


def test_an_interrupted_run_begins_again(guest: Guest) -> None:
    (guest.root / "broken").touch()
    assert guest.run().returncode != 0
    (guest.root / "broken").unlink()
    assert guest.run().returncode == 0
    assert guest.did("mkfs.ext4") == 3
    assert sorted(path.name for path in (guest.root / "labels").iterdir()) == [
        "virtio-halab-disk1",
        "virtio-halab-disk2",
    ]


def test_a_missing_disk_is_named(guest: Guest) -> None:
    (guest.root / "dev" / "virtio-halab-disk1").unlink()
    done = guest.run()
    assert done.returncode == 1
    assert done.stderr == f"error: this machine has no disk for {guest.root}/var/lib/etcd\n"
