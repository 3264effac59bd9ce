"""The resources of labs at a libvirt, listed and removed: libvirt's own test driver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from support.fake_libvirt import VIRTUAL, define
from support.fake_libvirt import test_driver as driver

from halab.errors import HostProblem
from halab.machines.host import identity
from halab.machines.inventory import Resource, ResourceKind
from halab.machines.libvirt import inventory
from halab.machines.libvirt.hypervisor import Hypervisor
from halab.machines.work import Work
from halab.topology import domain

OURS = Work(Path("/labs/ada/.halab"))
OTHERS = Work(Path("/labs/bob/.halab"))
BASE = "halab-VAGRANTSLASH-debian-12-0123456789ab_vagrant_box_image_0_box.img"


@pytest.fixture
def connection() -> Iterator[Any]:
    with driver() as found:
        yield found
        for each in pool(found).listAllVolumes():
            each.delete()


def pool(connection: Any) -> Any:
    return connection.storagePoolLookupByName("default-pool")


def disk(connection: Any, name: str) -> str:
    xml = f"<volume><name>{name}</name><capacity>4096</capacity><allocation>1024</allocation></volume>"
    path = pool(connection).createXML(xml).path()
    assert isinstance(path, str)
    return path


def machine_with(connection: Any, name: str, *paths: str, label: str = "") -> Any:
    disks = "".join(
        f"<disk type='file' device='disk'><source file='{path}'/><target dev='vd{letter}'/></disk>"
        for path, letter in zip(paths, "abc", strict=False)
    )
    return connection.defineXML(
        f"<domain type='test'><name>{name}</name><description>{escape(label)}</description>"
        f"<memory>65536</memory><os><type>hvm</type></os><devices>{disks}</devices></domain>"
    )


def label_of(name: str = "cp1", work: Work = OURS) -> str:
    return domain.description(
        VIRTUAL, VIRTUAL.machine(name), work=str(work), identity=identity.of_this_host()
    )


def names(found: list[Resource], kind: ResourceKind) -> list[str]:
    return sorted(each.name for each in found if each.kind is kind)


def test_machines_networks_disks_and_snapshots_are_listed(connection: Any) -> None:
    hypervisor = Hypervisor(connection)
    hypervisor.of(VIRTUAL, OURS).make_networks()
    path = disk(connection, "halab-ha-cp1.img")
    cp1 = machine_with(connection, "halab-ha-cp1", path, label=label_of())
    cp1.snapshotCreateXML("<domainsnapshot><name>noon</name></domainsnapshot>")
    machine_with(connection, "somebodys", disk(connection, "somebodys.img"))
    found = hypervisor.resources()
    assert names(found, ResourceKind.MACHINE) == ["halab-ha-cp1"]
    assert names(found, ResourceKind.NETWORK) == ["halab-ha", "halab-ha-ssh"]
    assert names(found, ResourceKind.SNAPSHOT) == ["halab-ha-cp1@noon"]
    assert names(found, ResourceKind.VOLUME) == ["halab-ha-cp1.img"]
    assert {(each.lab, each.work, each.host) for each in found} == {
        ("ha", str(OURS), identity.of_this_host())
    }
    by_kind = {each.kind: each for each in found}
    assert by_kind[ResourceKind.VOLUME].size_bytes == 1024
    assert (
        by_kind[ResourceKind.SNAPSHOT].created is not None
        and by_kind[ResourceKind.SNAPSHOT].snapshot == "noon"
    )
    assert by_kind[ResourceKind.NETWORK].created is not None


def test_a_label_without_a_host_is_accepted(connection: Any) -> None:
    label = '{"halab.lab": "ha", "halab.machine": "cp1", "halab.work": "/labs"}'
    machine_with(connection, "halab-ha-cp1", label=label)
    (found,) = Hypervisor(connection).resources()
    assert (found.work, found.host) == ("/labs", "")


def test_an_unused_disk_is_listed_only_if_it_has_the_name_of_a_machines_disk(connection: Any) -> None:
    for name in (
        "halab-ha-cp1.img",
        BASE,
        "halab-ha.img",
        "halab-ha-data.img",
        "halab-ha-cp2.qcow2",
        "cp1.img",
    ):
        disk(connection, name)
    (found,) = Hypervisor(connection).resources()
    assert (found.name, found.lab, found.machine, found.work) == ("halab-ha-cp1.img", "ha", "cp1", "")


def test_a_disk_that_any_machine_uses_is_not_listed(connection: Any) -> None:
    machine_with(connection, "somebodys", disk(connection, "halab-ha-cp1.img"))
    assert Hypervisor(connection).resources() == []


def test_a_disk_that_a_machine_uses_since_then_stays(connection: Any) -> None:
    hypervisor = Hypervisor(connection)
    path = disk(connection, "halab-ha-cp1.img")
    (debris,) = hypervisor.resources()
    machine_with(connection, "somebodys", path)
    with pytest.raises(HostProblem, match="a virtual machine uses this disk: somebodys"):
        hypervisor.discard(debris)
    assert [each.name() for each in pool(connection).listAllVolumes()] == ["halab-ha-cp1.img"]


def test_everything_of_a_lab_is_removed_and_nothing_of_another(connection: Any) -> None:
    hypervisor = Hypervisor(connection)
    hypervisor.of(VIRTUAL, OURS).make_networks()
    attached, path = disk(connection, "precious.img"), disk(connection, "halab-ha-cp1.img")
    machine = machine_with(connection, "halab-ha-cp1", path, attached, label=label_of())
    machine.create()
    machine.snapshotCreateXML("<domainsnapshot><name>noon</name></domainsnapshot>")
    disk(connection, "halab-ha-cp2.img")
    disk(connection, BASE)
    define(connection, VIRTUAL, OTHERS, prefix="bob-")
    gone = [each for each in hypervisor.resources() if each.work != str(OTHERS)]
    for each in sorted(gone, key=lambda thing: list(ResourceKind).index(thing.kind)):
        hypervisor.discard(each)
    # the second time there is nothing to remove, and that is no problem
    for each in gone:
        hypervisor.discard(each)
    assert {each.work for each in hypervisor.resources()} == {str(OTHERS)}
    assert len(connection.listAllDomains()) == len(VIRTUAL.machines)
    assert [each.name() for each in connection.listAllNetworks()] == ["default"]
    # a disk that somebody has attached to a machine stays
    assert sorted(each.name() for each in pool(connection).listAllVolumes()) == [BASE, "precious.img"]


def test_one_snapshot_is_removed(connection: Any) -> None:
    hypervisor = Hypervisor(connection)
    machine = machine_with(connection, "halab-ha-cp1", label=label_of())
    for name in ("noon", "evening"):
        machine.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>")
    (noon,) = [each for each in hypervisor.resources() if each.snapshot == "noon"]
    hypervisor.discard(noon)
    assert [each.getName() for each in machine.listAllSnapshots()] == ["evening"]


def test_a_machine_that_now_belongs_to_another_lab_stays(connection: Any) -> None:
    hypervisor = Hypervisor(connection)
    before = machine_with(connection, "halab-ha-cp1", label=label_of())
    (found,) = hypervisor.resources()
    key = before.UUIDString()
    before.undefine()
    xml = f"<domain type='test'><name>x</name><uuid>{key}</uuid><memory>1</memory><os><type>hvm</type></os></domain>"
    connection.defineXML(xml)
    hypervisor.discard(found)
    assert [each.name() for each in connection.listAllDomains()] == ["x"]


def test_resources_are_listed_again_if_one_is_removed_meanwhile(connection: Any) -> None:
    class Restless:
        """A connection whose domain is removed a few times between the list and the look."""

        def __init__(self, times: int) -> None:
            self.times = times

        def listAllStoragePools(self) -> list[Any]:
            if self.times > 0:
                self.times -= 1
                connection.lookupByName("gone")
            return []

        def listAllDomains(self) -> list[Any]:
            return []

        listAllNetworks = listAllDomains

    restless: Any = Restless
    assert inventory.read(restless(2)) == []
    with pytest.raises(HostProblem, match="kept changing"):
        inventory.read(restless(99))


def test_a_copy_of_a_box_is_listed_while_no_disk_needs_it(connection: Any) -> None:
    hypervisor = Hypervisor(connection)
    unused, needed, taken = (
        f"halab-VAGRANTSLASH-debian-12-0123456789a{letter}_vagrant_box_image_0_1764345600_box.img"
        for letter in "abc"
    )
    paths = {
        name: disk(connection, name) for name in (unused, needed, taken, "bento-VAGRANTSLASH-x_box.img")
    }
    # the base of a machine that is off: libvirt names it with the disk, and not with the machine
    pool(connection).createXML(
        "<volume><name>halab-ha-cp1.img</name><capacity>4096</capacity>"
        f"<backingStore><path>{paths[needed]}</path><format type='qcow2'/></backingStore></volume>"
    )
    machine_with(connection, "somebodys", paths[taken])
    (found,) = [each for each in hypervisor.resources() if each.kind is ResourceKind.BASE_DISK]
    assert (found.name, found.lab, found.work, found.is_debris) == (unused, "", "", False)
    for name, reason in (
        (needed, "another disk needs this one"),
        (taken, "a virtual machine uses this disk: somebodys"),
    ):
        with pytest.raises(HostProblem, match=reason):
            hypervisor.discard(replace(found, key=paths[name]))
    hypervisor.discard(found)
    left = {volume.name() for volume in pool(connection).listAllVolumes()}
    assert unused not in left and {needed, taken} <= left
