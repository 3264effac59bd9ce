"""The libvirt of another host, which is reached only over SSH: what halab asks it, with a machine that has no disk.

A real lab there would take as long as one on this host, and would show nothing more than the connection does.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from support.cli_driver import UserLab
from support.remote_host import remote_host

from halab.config.lab import ProviderKind
from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info, providers
from halab.lifecycle.lab import LabDir
from halab.machines.host import allocation, identity
from halab.machines.power import PowerState
from halab.topology import domain
from halab.topology.lab import Lab

LAB = """\
name: e2e-remote
provider: libvirt
provider_uri: qemu+ssh://{host}/system
accel: tcg
control_planes: 1
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    folder = tmp_path_factory.mktemp("it's remote")
    with remote_host(tmp_path_factory.mktemp("remote"), "virt") as host:
        (folder / "lab.yml").write_text(LAB.format(host=host))
        yield UserLab(folder)


def diskless(lab: Lab, work: Path) -> str:
    """The domain of a machine as Vagrant defines it, but without a disk."""
    machine = lab.machine("cp1")
    label = domain.description(lab, machine, work=str(work), identity=identity.of_this_host())
    return (
        f"<domain type='qemu'><name>{machine.host_name}</name>"
        f"<description>{escape(label)}</description>"
        "<memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os><devices>"
        f"<interface type='network'><mac address='{domain.management_mac(lab, machine)}'/>"
        f"<source network='{domain.management_name(lab)}'/></interface></devices></domain>"
    )


def make_networks(lab_dir: LabDir) -> Lab:
    """The lab, with the networks that `up` makes."""
    provider = providers.connect(lab_dir)
    taken = [*allocation.host_routes(provider.remote), *provider.networks()]
    host = str(provider.remote)
    allocation.allocate(
        lab_dir.name, "auto", lab_dir.work.path, taken=taken, provider=ProviderKind.LIBVIRT, host=host
    )
    lab = labs.allocated(lab_dir)
    lab_dir.work.write(machine_info.record(lab_dir.work, lab))
    provider.of(lab, lab_dir.work).make_networks()
    return lab


def test_power_and_down_reach_a_machine_on_another_host(lab: UserLab) -> None:
    import libvirt

    assert "on another host, over SSH" in lab.halab("doctor").output
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

    lab_dir = labs.open_file(lab.folder / "lab.yml")
    planned = make_networks(lab_dir)
    connection = libvirt.open(lab_dir.written.provider_uri)
    connection.defineXML(diskless(planned, lab_dir.work.path)).create()
    power = providers.machines(lab_dir, planned).power()
    assert power.state("cp1") is PowerState.RUNNING
    power.freeze("cp1")
    assert power.state("cp1") is PowerState.FROZEN
    power.cut("cp1")
    assert power.state("cp1") is PowerState.OFF
    power.start("cp1")
    assert power.state("cp1") is PowerState.RUNNING
    assert "ProxyCommand ssh " in lab_dir.work.ssh_config.read_text()

    table = lab.halab("status").output
    assert "cp1      10.213.0.11  running" in table
    removed = lab.halab("down").errors.splitlines()[-1]
    assert removed.startswith("removed ")
    assert set(removed.removeprefix("removed ").split(", ")) == {
        "halab-e2e-remote",
        "halab-e2e-remote-cp1",
        "halab-e2e-remote-ssh",
    }
    assert [thing.name() for thing in (*connection.listAllDomains(), *connection.listAllNetworks())] == []
    connection.close()


def test_a_host_that_cannot_be_reached_is_named_with_the_reason(lab: UserLab, tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text(LAB.format(host="nobody@farm"))
    refused = UserLab(tmp_path).halab("up")
    assert refused.code == 3
    assert "cannot reach nobody@farm over SSH: " in refused.errors and "Permission denied" in refused.errors
    assert not (tmp_path / ".halab/keys").exists()
