"""libvirt's own test driver: a hypervisor in this process, whose machines are only descriptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from halab.config.lab import ProviderKind
from halab.machines.host import identity
from halab.machines.libvirt.hypervisor import Hypervisor
from halab.machines.libvirt.power import LibvirtPower
from halab.machines.work import Work
from halab.topology import domain
from halab.topology.lab import Lab
from support.fakes import lab_of

VIRTUAL = lab_of(name="ha", provider=ProviderKind.LIBVIRT)


@contextmanager
def test_driver() -> Iterator[Any]:
    """A connection without domains. While a connection is open, all others see the same domains."""
    import libvirt

    connection = libvirt.open("test:///default")
    try:
        _clear(connection)
        yield connection
    finally:
        _clear(connection)
        connection.close()


def define(connection: Any, lab: Lab, work: Work, prefix: str = "") -> None:
    """Define the machines of a lab as Vagrant does: running, with halab's description."""
    for machine in lab.machines:
        label = escape(domain.description(lab, machine, work=str(work), identity=identity.of_this_host()))
        xml = (
            f"<domain type='test'><name>{prefix}{machine.host_name}</name><description>{label}</description>"
            "<memory>65536</memory><os><type>hvm</type></os><devices>"
            f"<disk type='file' device='disk'><source file='/halab-no-pool/{prefix}{machine.host_name}.img'/>"
            "<target dev='vda' bus='virtio'/></disk>"
            f"<interface type='network'><mac address={quoteattr(domain.management_mac(lab, machine))}/>"
            f"<source network={quoteattr(domain.management_name(lab))}/></interface>"
            f"<interface type='network'><mac address={quoteattr(machine.mac)}/>"
            f"<source network={quoteattr(lab.label)}/></interface></devices></domain>"
        )
        connection.defineXML(xml).create()


@contextmanager
def libvirt_power(folder: Path) -> Iterator[tuple[LibvirtPower, list[str]]]:
    """Power over a lab beside another one of the same name; and the machines whose clock was set."""
    work = Work(folder / ".halab")
    work.path.mkdir()
    with test_driver() as connection:
        machines = Hypervisor(connection).of(VIRTUAL, work)
        machines.make_networks()
        define(connection, VIRTUAL, work)
        define(connection, VIRTUAL, Work(Path("/labs/bob/.halab")), prefix="bob-")
        clocks: list[str] = []
        yield LibvirtPower(machines, set_clock=clocks.append), clocks


def _clear(connection: Any) -> None:
    import libvirt

    for each in connection.listAllDomains():
        if each.isActive():
            each.destroy()
        if each.isPersistent():
            each.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
    for each in connection.listAllNetworks():
        if each.name().startswith("halab"):
            if each.isActive():
                each.destroy()
            each.undefine()
