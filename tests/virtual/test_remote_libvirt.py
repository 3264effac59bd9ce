"""A libvirt on another host, reached over SSH alone: what halab asks of it, with a machine that has no disk.

A whole lab there takes as long as one here, and only the way to it differs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from support.cli_driver import UserLab
from support.remote_host import remote_host

from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info, providers
from halab.lifecycle.lab import LabDir
from halab.machines.host import allocation, identity
from halab.machines.power import PowerState
from halab.topology import domain
from halab.topology.lab import Lab

LAB = """\
name: e2e-far
provider: libvirt
provider_uri: qemu+ssh://{host}/system
accel: tcg
control_planes: 1
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    folder = tmp_path_factory.mktemp("it's far")
    with remote_host(tmp_path_factory.mktemp("far"), "virt") as host:
        (folder / "lab.yml").write_text(LAB.format(host=host))
        yield UserLab(folder)


def diskless(lab: Lab, work: Path) -> str:
    """One machine as Vagrant leaves it, but for its disk."""
    machine = lab.machine("cp1")
    label = domain.description(lab, machine, work=str(work), identity=identity.of_this_host())
    return (
        f"<domain type='qemu'><name>{machine.host_name}</name>"
        f"<description>{escape(label)}</description>"
        "<memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os><devices>"
        f"<interface type='network'><mac address='{domain.management_mac(lab, machine)}'/>"
        f"<source network='{domain.management_name(lab)}'/></interface></devices></domain>"
    )


def brought(place: LabDir) -> Lab:
    """Networks and a machine there, as an `up` makes them."""
    maker = providers.maker(place)
    taken = [*allocation.host_routes(maker.remote), *maker.networks()]
    host = str(maker.remote)
    allocation.allocate(place.name, "auto", place.work.path, taken=taken, managed=True, host=host)
    lab = labs.allocated(place)
    place.work.write(machine_info.note(place.work, lab))
    maker.make_networks(lab, place.work.path)
    return lab


def test_power_and_down_reach_a_machine_on_another_host(lab: UserLab) -> None:
    import libvirt

    assert "on another host, by ssh" in lab.halab("doctor").output
    lab.ok("render")
    status = subprocess.run(
        ["vagrant", "status"],
        cwd=lab.folder / ".halab",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert status.stdout.count("not created (libvirt)") == 2

    place = labs.open_file(lab.folder / "lab.yml")
    planned = brought(place)
    there = libvirt.open(place.written.provider_uri)
    there.defineXML(diskless(planned, place.work.path)).create()
    power = providers.power(place, planned)
    assert power.state("cp1") is PowerState.RUNNING
    power.freeze("cp1")
    assert power.state("cp1") is PowerState.FROZEN
    power.cut("cp1")
    assert power.state("cp1") is PowerState.OFF
    power.start("cp1")
    assert power.state("cp1") is PowerState.RUNNING
    assert "ProxyCommand ssh " in place.work.ssh_config.read_text()

    table = lab.halab("status").output
    assert "cp1      10.213.0.11  running" in table
    said = lab.halab("down").errors.splitlines()[-1]
    assert said.startswith("removed ")
    assert set(said.removeprefix("removed ").split(", ")) == {
        "halab-e2e-far",
        "halab-e2e-far-cp1",
        "halab-e2e-far-ssh",
    }
    assert [each.name() for each in (*there.listAllDomains(), *there.listAllNetworks())] == []
    there.close()


def test_no_way_there_is_said_plainly(lab: UserLab, tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text(LAB.format(host="nobody@farm"))
    refused = UserLab(tmp_path).halab("up")
    assert refused.code == 3
    assert "no way to nobody@farm over SSH: " in refused.errors and "Permission denied" in refused.errors
    assert not (tmp_path / ".halab/keys").exists()
