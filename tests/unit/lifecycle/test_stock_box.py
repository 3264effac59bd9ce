"""Stock boxes: which labs may use them, and what their machines get in addition."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.doctor_results import run_check
from support.fake_host import FakeHost, bundle_of
from support.fake_provisioning import Machines, kind_of
from support.fakes import Call, FakeClock, FakeGuests, Recorded, lab_of

from halab import process
from halab.config import kubernetes
from halab.config.lab import LabFile, ProviderKind
from halab.config.loading import loads
from halab.doctor.check import HostCheckState
from halab.errors import BadFile, LabProblem
from halab.images import box as boxes
from halab.images.bundle import Bundle
from halab.images.manifest import FileRecord
from halab.lifecycle.payload import Payload
from halab.lifecycle.provision import Provisioner
from halab.machines.work import Work
from halab.process import Completed
from halab.topology import files
from halab.topology.files import HostValues
from halab.topology.lab import Lab

UBUNTU = "bento/ubuntu-24.04"


def stock_lab(box: str = UBUNTU) -> Lab:
    return lab_of(provider=ProviderKind.LIBVIRT, control_planes=1, box=box)


def rendered(lab: Lab) -> dict[str, str]:
    return files.work_files(
        lab,
        HostValues(
            "/labs", base=lab.box, private_key="k", public_key="p", proxies={}, identity="0123456789ab"
        ),
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    empty = bundle_of(kubernetes.resolve("1.37"), tmp_path / "bundle")
    records = {}
    for name in ("bin/kubelet", "bin/ctr", "images/etcd.tar"):
        path = empty.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 1000)
        records[name] = FileRecord(sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size=0, origin=())
    return replace(empty, manifest=empty.manifest.model_copy(update={"files": records}))


@pytest.mark.parametrize("provider", ["", "provider: auto\n", "provider: docker\n"])
def test_containers_have_no_stock_box(provider: str) -> None:
    with pytest.raises(BadFile) as caught:
        loads(f"{provider}box: {UBUNTU}\n", "lab.yml", LabFile)
    (problem,) = caught.value.problems
    assert (problem.line, problem.field) == (1 + provider.count("\n"), "box")
    assert "write `provider: libvirt`, or a box that halab builds" in problem.what


@pytest.mark.parametrize("box", ["a/b/c", "/b", "a/", "../b", "a/.."])
def test_an_invalid_box_name_is_refused(box: str) -> None:
    with pytest.raises(BadFile):
        loads(f"provider: libvirt\nbox: {box}\n", "lab.yml", LabFile)


def test_vagrant_gets_the_name_of_the_box() -> None:
    assert f"override.vm.box = '{UBUNTU}'" in rendered(stock_lab())["Vagrantfile"]
    release = kubernetes.resolve("1.37")
    assert boxes.expected_base(UBUNTU, release, kubernetes.BundleSource.AUTO, ProviderKind.LIBVIRT) == UBUNTU


def test_only_machines_with_a_stock_box_get_base_sh() -> None:
    assert {name for name in rendered(stock_lab()) if name.endswith("/base.sh")} == {
        "provision/lb1/base.sh",
        "provision/cp1/base.sh",
    }
    assert not any(name.endswith("/base.sh") for name in rendered(stock_lab("debian-12")))


def test_only_nodes_lose_their_swap() -> None:
    scripts = rendered(stock_lab())
    assert "/etc/fstab" in scripts["provision/cp1/base.sh"]
    assert "/etc/fstab" not in scripts["provision/lb1/base.sh"]


def test_the_stock_box_keeps_its_own_login() -> None:
    script = rendered(stock_lab())["provision/cp1/base.sh"]
    written = re.findall(r"^put \d+ (\S+)", script, re.MULTILINE)
    assert "/etc/systemd/system/kubelet.service" in written
    assert not [path for path in written if re.search("sudoers|authorized_keys|eth0|resolv", path)]


class NewMachines(Machines):
    """Machines with a stock box: they lack the bundle until it is sent."""

    def __init__(self, *joined: str, key: str = "") -> None:
        super().__init__(*joined)
        self.key = key
        self.steps: list[tuple[str, str]] = []

    def _answer(self, call: Call) -> str | Completed:
        text = f"{call.command}\n{call.input or ''}"
        for pattern, step in {
            "os-release": "base",
            "cat /var/lib/halab/bundle": "asked",
            "sha256sum --check --status 2>": "has",
            "images import": "import",
            ".part": "sent",
        }.items():
            if pattern in text:
                self.steps.append((call.machine, step))
                if step == "asked":
                    return self.key
                return Completed(1, "", "") if step == "has" else "12:00:00 changed: x\n" * (step == "base")
        if kind_of(call) in ("set-up", "init"):
            self.steps.append((call.machine, kind_of(call)))
        return super()._answer(call)


def provisioned(guests: FakeGuests, bundle: Bundle, tmp_path: Path) -> int:
    lab, work = stock_lab(), Work(tmp_path / ".halab")
    work.logs.mkdir(parents=True)
    work.write(rendered(lab))
    return Provisioner(lab, work, guests, Recorded(), FakeClock(), Payload(bundle)).run()


def test_a_node_gets_packages_then_programs_then_images_then_a_cluster(
    bundle: Bundle, tmp_path: Path
) -> None:
    guests = NewMachines()
    # base.sh and the set-up of both machines, three files, the images, init
    assert provisioned(guests, bundle, tmp_path) == 2 + 2 + 3 + 1 + 1
    sent = [("cp1", "has"), ("cp1", "sent")] * 3
    steps = [step for step in guests.steps if step[0] == "cp1"]
    assert steps == [
        ("cp1", "base"), ("cp1", "asked"), *sent, ("cp1", "set-up"), ("cp1", "import"), ("cp1", "init"),
    ]  # fmt: skip
    assert [step for step in guests.steps if step[0] == "lb1"] == [("lb1", "base"), ("lb1", "set-up")]
    assert [call.input_file for call in guests.calls if call.input_file] == [
        bundle.path / name for name in ("bin/ctr", "bin/kubelet", "images/etcd.tar")
    ]


def test_files_that_a_machine_has_are_not_sent_again(bundle: Bundle, tmp_path: Path) -> None:
    guests = NewMachines("cp1", key=f"{bundle.key}\n")
    provisioned(guests, bundle, tmp_path)
    assert not {"has", "sent", "import"} & {step for _, step in guests.steps}


def test_an_upgrade_brings_everything_and_runs_nothing_of_it(bundle: Bundle) -> None:
    guests, payload = FakeGuests({"status 2>": Completed(1, "", "")}), Payload(bundle)
    payload.bring_for_upgrade(guests, "cp1", 1)
    sent = [call.command for call in guests.calls if call.input_file]
    assert ["/var/lib/halab/programs/ctr" in sent[0], "/var/lib/halab/images/etcd.tar" in sent[2]] == [
        True,
        True,
    ]
    last = guests.calls[-1].command
    # the mark would say that the new programs run
    assert "images import" in last and "/var/lib/halab/bundle" not in last
    payload.complete_upgrade(guests, "cp1")
    last = guests.calls[-1].command
    assert (
        last.startswith("rm -rf /var/lib/halab/programs; ")
        and f"echo {bundle.key} >/var/lib/halab/bundle" in last
    )


class Here(FakeGuests):
    """A machine whose commands run on this host, below a folder."""

    def run(self, machine: str, command: str, **options: Any) -> Completed:
        # not on this host itself
        assert "/usr/local/" not in command and "/var/lib/" not in command
        return process.run(["bash", "-c", command], **options)


def test_a_file_that_arrives_damaged_is_not_installed(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = tmp_path / "a machine's"
    monkeypatch.setattr("halab.lifecycle.payload.PROGRAMS", machine / "bin")
    monkeypatch.setattr("halab.lifecycle.payload.IMAGES", machine / "images")
    payload = Payload(bundle)
    bundle.binary("kubelet").write_bytes(b"something else")
    with pytest.raises(LabProblem, match="cannot send kubelet of the bundle to cp1: checksum mismatch"):
        payload.send(Here(), "cp1", 1)
    assert [path.name for path in (machine / "bin").iterdir()] == ["ctr"]

    bundle.binary("kubelet").write_bytes(b"bin/kubelet" * 1000)
    assert payload.send(Here(), "cp1", 1) == 2
    assert payload.send(Here(), "cp1", 1) == 0
    assert (machine / "bin/kubelet").stat().st_mode & 0o777 == 0o755
    (machine / "bin/kubelet").write_bytes(b"broken since")
    assert payload.send(Here(), "cp1", 1) == 1


@pytest.mark.parametrize(
    ("listed", "state"),
    [
        (f"{UBUNTU} (libvirt, 202502.21.0, (amd64))\n", HostCheckState.OK),
        (f"{UBUNTU}      (libvirt, 0)\n", HostCheckState.OK),
        (f"{UBUNTU} (virtualbox, 0)\nmy-{UBUNTU} (libvirt, 0)\n", HostCheckState.WARNING),
        ("There are no installed boxes!\n", HostCheckState.WARNING),
    ],
)
def test_the_doctor_asks_vagrant_for_a_stock_box(listed: str, state: HostCheckState) -> None:
    host = FakeHost(has_box=False)
    host.outputs["vagrant box list"] = listed
    result = run_check("box", host, provider="libvirt", box=UBUNTU)
    assert result.state is state
    assert list(result.fixes) == (
        [] if state is HostCheckState.OK else [f"vagrant box add {UBUNTU} --provider libvirt"]
    )
