"""libvirt: what has the lab's label is ours, and nothing else is changed."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, cast

import pytest
from support.fake_libvirt import VIRTUAL, define, libvirt_power
from support.fake_libvirt import test_driver as driver
from support.fakes import FakeClock

from halab.errors import HostProblem, LabProblem, Unable
from halab.machines.libvirt import limits as libvirt_limits
from halab.machines.libvirt import snapshots
from halab.machines.libvirt.hypervisor import Hypervisor
from halab.machines.libvirt.power import LibvirtPower
from halab.machines.power import PowerState
from halab.machines.work import Work

OURS = Work(Path("/labs/ada/.halab"))
OTHERS = Work(Path("/labs/bob/.halab"))


def test_machines_are_found_by_label_and_reached_where_dhcp_puts_them() -> None:
    with driver() as connection:
        hypervisor = Hypervisor(connection)
        hypervisor.of(VIRTUAL, OURS).make_networks()
        define(connection, VIRTUAL, OURS)
        made = hypervisor.machines("ha", OURS)
        assert [each.machine for each in made] == ["cp1", "cp2", "cp3", "lb1"]
        assert made[0].address == IPv4Address("10.214.7.11")
        connection.lookupByName("halab-ha-cp1").destroy()
        off = hypervisor.machines("ha", OURS)[0]
        assert (off.running, off.address) == (False, None)
        assert hypervisor.machines("ha", OTHERS) == []
        assert hypervisor.machines("x") == []


def test_down_removes_what_has_the_label_and_nothing_else() -> None:
    with driver() as connection:
        hypervisor = Hypervisor(connection)
        hypervisor.of(VIRTUAL, OURS).make_networks()
        define(connection, VIRTUAL, OURS)
        define(connection, VIRTUAL, OTHERS, prefix="bob-")
        removed = hypervisor.remove("ha", OURS)
        assert sorted(removed) == [
            "halab-ha", "halab-ha-cp1", "halab-ha-cp2", "halab-ha-cp3", "halab-ha-lb1", "halab-ha-ssh",
        ]  # fmt: skip
        assert sorted(each.name() for each in connection.listAllDomains()) == [
            "bob-halab-ha-cp1", "bob-halab-ha-cp2", "bob-halab-ha-cp3", "bob-halab-ha-lb1",
        ]  # fmt: skip
        assert "default" in [each.name() for each in connection.listAllNetworks()]
        assert hypervisor.remove("ha", OURS) == []


def test_a_disk_of_a_machine_that_was_never_defined_is_removed_with_its_lab() -> None:
    with driver() as connection:
        pool = connection.storagePoolLookupByName("default-pool")
        try:
            for name in (
                "halab-ha-cp2.img",
                "halab-ha-etcd1-disk2.img",
                "halab-hat-cp2.img",
                "halab-ha.img",
            ):
                pool.createXML(f"<volume><name>{name}</name><capacity>4096</capacity></volume>")
            # if another owner has a lab of that name, it may be the disk of a machine that is being made
            Hypervisor(connection).of(VIRTUAL, OTHERS).make_networks()
            assert Hypervisor(connection).remove("ha", OURS) == []
            for each in ("halab-ha", "halab-ha-ssh"):
                connection.networkLookupByName(each).destroy()
                connection.networkLookupByName(each).undefine()
            assert sorted(Hypervisor(connection).remove("ha", OURS)) == [
                "halab-ha-cp2.img",
                "halab-ha-etcd1-disk2.img",
            ]
            assert sorted(each.name() for each in pool.listAllVolumes()) == [
                "halab-ha.img",
                "halab-hat-cp2.img",
            ]
        finally:
            for each in pool.listAllVolumes():
                each.delete()


def test_networks_are_listed_again_if_one_is_removed_meanwhile() -> None:
    import libvirt

    with driver() as connection:

        class Restless:
            """A connection whose network is removed once between the list and the look."""

            asked = 0

            def __getattr__(self, name: str) -> object:
                return getattr(connection, name)

            def listAllNetworks(self) -> list[libvirt.virNetwork]:
                self.asked += 1
                if self.asked == 1:
                    connection.networkLookupByName("gone")
                found: list[libvirt.virNetwork] = connection.listAllNetworks()
                return found

        restless: Any = Restless()
        assert Hypervisor(restless).networks() == Hypervisor(connection).networks()
        assert restless.asked == 2


def test_halab_connects_again_to_a_restarted_libvirt(monkeypatch: pytest.MonkeyPatch) -> None:
    import libvirt

    class Dead:
        def isAlive(self) -> int:
            return 0

    with driver() as connection:
        hypervisor = Hypervisor(connection)
        monkeypatch.setattr(hypervisor._connection, "_handle", Dead())
        monkeypatch.setattr(libvirt, "open", lambda uri: connection)
        assert hypervisor.facts().driver == "TEST"


def test_what_is_left_of_a_machines_disks_is_removed_before_it_is_made() -> None:
    with driver() as connection:
        pool = connection.storagePoolLookupByName("default-pool")
        try:
            for name in ("halab-ha-cp2.img", "halab-ha-cp2-disk1.img", "halab-ha-cp1-disk1.img"):
                pool.createXML(f"<volume><name>{name}</name><capacity>4096</capacity></volume>")
            Hypervisor(connection).of(VIRTUAL, OURS).make_disks("cp2")
            assert [each.name() for each in pool.listAllVolumes()] == ["halab-ha-cp1-disk1.img"]
        finally:
            for each in pool.listAllVolumes():
                each.delete()


def test_a_machine_with_a_disk_error_is_not_reported_as_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import libvirt

    stopped = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR]
    with driver() as connection:
        hypervisor = Hypervisor(connection)
        define(connection, VIRTUAL, OURS)
        with monkeypatch.context() as full:
            full.setattr(libvirt.virDomain, "state", lambda found: stopped)
            with pytest.raises(HostProblem, match="halab-ha-cp1 was paused because") as caught:
                hypervisor.of(VIRTUAL, OURS).state("cp1")
            assert "resume halab-ha-cp1" in (caught.value.hint or "")
            # it can still be removed
            assert "halab-ha-cp1" in hypervisor.remove("ha", OURS)


class Cores:
    """A domain whose processor share can be set; with `limits` off, libvirt has no control groups."""

    def __init__(self, *, limits: bool = True, told: int | None = None) -> None:
        self.limits, self.told, self.set = limits, told, 0

    def setSchedulerParametersFlags(self, values: dict[str, int], flags: int) -> None:
        import libvirt

        if not self.limits:
            error = libvirt.libvirtError("")
            error.err = [libvirt.VIR_ERR_OPERATION_INVALID, 10, "cgroup CPU controller is not mounted"]
            raise error
        self.set = values["vcpu_quota"]

    def schedulerParametersFlags(self, flags: int) -> dict[str, int]:
        return {"vcpu_quota": self.set if self.told is None else self.told}

    def isActive(self) -> int:
        return 1


def test_processors_are_limited_or_unable_is_raised() -> None:
    machine = VIRTUAL.machine("cp1")
    cores, unlimited, other = cast(Any, Cores()), cast(Any, Cores(limits=False)), cast(Any, Cores(told=100))
    libvirt_limits.of_cpus(cores, machine, machine.cpus / 4)
    assert cores.set == 25_000
    # control groups v2 report `no limit` as another number than the one that was set
    for told in (None, 17_592_186_044_415):
        cores.told = told
        libvirt_limits.of_cpus(cores, machine, None)
        assert cores.set == -1
    for cpus in (0.5, None):
        with pytest.raises(Unable, match="cannot limit processors here"):
            libvirt_limits.of_cpus(unlimited, machine, cpus)
    with pytest.raises(HostProblem, match="of cp1: it reports 100 µs"):
        libvirt_limits.of_cpus(other, machine, 0.5)


def test_the_networks_of_a_lab_are_made_once_and_listed() -> None:
    with driver() as connection:
        hypervisor = Hypervisor(connection)
        for _ in range(2):
            hypervisor.of(VIRTUAL, OURS).make_networks()
        names = sorted(each.name() for each in connection.listAllNetworks())
        assert names == ["default", "halab-ha", "halab-ha-ssh"]
        assert {IPv4Network("10.213.7.0/24"), IPv4Network("10.214.7.0/24")} <= set(hypervisor.networks())


def test_a_network_that_was_stopped_is_started_again() -> None:
    with driver() as connection:
        hypervisor = Hypervisor(connection)
        hypervisor.of(VIRTUAL, OURS).make_networks()
        connection.networkLookupByName("halab-ha").destroy()
        hypervisor.of(VIRTUAL, OURS).make_networks()
        assert connection.networkLookupByName("halab-ha").isActive()


@pytest.mark.parametrize("kind", ["machine", "network"])
def test_a_name_of_another_owner_is_refused(kind: str) -> None:
    with driver() as connection:
        hypervisor = Hypervisor(connection)
        if kind == "machine":
            define(connection, VIRTUAL, OTHERS)
        else:
            hypervisor.of(VIRTUAL, OTHERS).make_networks()
        with pytest.raises(LabProblem, match="halab-ha") as caught:
            hypervisor.of(VIRTUAL, OURS).require_free_names()
        assert str(OTHERS) in caught.value.message
        hypervisor.of(VIRTUAL, OTHERS).require_free_names()


def test_machines_of_another_work_folder_are_never_touched(tmp_path: Path) -> None:
    with libvirt_power(tmp_path) as (power, _), driver_of(power) as connection:
        power.freeze("cp2")
        power.cut("cp2")
        power.remove("cp2")
        assert power.state("cp2") is PowerState.GONE
        assert connection.lookupByName("bob-halab-ha-cp2").isActive()


def test_writes_are_limited_by_the_hypervisor_and_unlimited_again(tmp_path: Path) -> None:
    with libvirt_power(tmp_path) as (power, _), driver_of(power) as connection:

        def limits(name: str) -> int:
            return int(connection.lookupByName(name).blockIoTune("vda")["write_iops_sec"])

        power.limit_writes("cp2", 20)
        assert [limits(name) for name in ("halab-ha-cp1", "halab-ha-cp2", "bob-halab-ha-cp2")] == [0, 20, 0]
        power.limit_writes("cp2", None)
        assert limits("halab-ha-cp2") == 0


def test_turning_off_a_machine_that_has_just_gone_off_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest may go off after halab asked for its state, and before halab acts on it."""
    with driver() as connection:
        machines = Hypervisor(connection).of(VIRTUAL, Work(tmp_path))
        define(connection, VIRTUAL, Work(tmp_path))
        power = LibvirtPower(machines, clock=FakeClock())
        monkeypatch.setattr(power, "state", lambda machine: PowerState.RUNNING)
        # the button is pressed many times, and then the machine is cut
        power.shut_down("cp2")
        assert machines.state("cp2") is PowerState.OFF
        power.cut("cp2")
        assert machines.state("cp2") is PowerState.OFF


def test_a_machine_that_stays_on_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import libvirt

    def refuse(found: libvirt.virDomain) -> None:
        raise libvirt.libvirtError("no")

    with driver() as connection, monkeypatch.context() as broken:
        define(connection, VIRTUAL, Work(tmp_path))
        broken.setattr(libvirt.virDomain, "destroy", refuse)
        with pytest.raises(HostProblem, match="libvirt refused: "):
            LibvirtPower(Hypervisor(connection).of(VIRTUAL, Work(tmp_path))).cut("cp2")


def test_a_reset_starts_a_new_process(tmp_path: Path) -> None:
    """libvirt counts the processes. Its own reset keeps the process, and the firmware may then hang."""
    with libvirt_power(tmp_path) as (power, _), driver_of(power) as connection:
        before = connection.lookupByName("halab-ha-cp2").ID()
        power.reset("cp2")
        assert connection.lookupByName("halab-ha-cp2").ID() > before


def test_the_clock_of_a_thawed_machine_is_set(tmp_path: Path) -> None:
    with libvirt_power(tmp_path) as (power, clocks):
        power.thaw("cp2")
        power.freeze("cp2")
        assert clocks == []
        power.thaw("cp2")
        assert clocks == ["cp2"]


def test_a_start_writes_address_and_key_into_the_ssh_config(tmp_path: Path) -> None:
    with libvirt_power(tmp_path) as (power, _):
        power.cut("cp2")
        power.start("cp2")
        key = tmp_path / ".halab/.vagrant/machines/cp2/libvirt/private_key"
        config = (tmp_path / ".halab/ssh_config").read_text()
        assert f'Host cp2\n  HostName 10.214.7.12\n  HostKeyAlias cp2\n  IdentityFile "{key}"\n' in config


def test_vagrants_files_of_a_removed_machine_are_removed(tmp_path: Path) -> None:
    with libvirt_power(tmp_path) as (power, _):
        known = tmp_path / ".halab/.vagrant/machines/cp2/libvirt"
        known.mkdir(parents=True)
        (known / "private_key").touch()
        power.remove("cp2")
        assert not known.exists()


def test_machines_are_registered_with_vagrant_and_incomplete_ones_removed(tmp_path: Path) -> None:
    """The first step of `up`, after an `up` that was killed while Vagrant made its machines."""
    work = Work(tmp_path)
    with driver() as connection:
        machines = Hypervisor(connection).of(VIRTUAL, work)
        define(connection, VIRTUAL, work)
        identities = {
            name: connection.lookupByName(f"halab-ha-{name}").UUIDString()
            for name in ("lb1", "cp1", "cp2", "cp3")
        }
        connection.lookupByName("halab-ha-cp1").destroy()
        connection.lookupByName("halab-ha-cp2").destroy()
        for name, key in (("cp2", "one"), ("cp3", "another"), ("lb1", "")):
            work.tell_vagrant(name, "libvirt", "x" if name == "cp3" else identities[name])
            work.key_of_vagrant(name).write_text(key)
        for machine in VIRTUAL.machines:
            machines.register_with_vagrant(machine.name)

        def seen(name: str) -> tuple[PowerState, str]:
            return machines.state(name), work.known_to_vagrant(name, "libvirt")

        # off and without a key; off; running with another id; running without a key
        assert seen("cp1") == (PowerState.GONE, "")
        assert seen("cp2") == (PowerState.OFF, identities["cp2"])
        assert seen("cp3") == (PowerState.RUNNING, identities["cp3"])
        assert seen("lb1") == (PowerState.GONE, "")


def test_a_silent_libvirt_is_a_host_problem(tmp_path: Path) -> None:
    with pytest.raises(HostProblem, match=r"libvirt at qemu\+unix:///system\?socket=.* does not answer"):
        Hypervisor(uri=f"qemu+unix:///system?socket={tmp_path}/none")


def driver_of(power: object) -> AbstractContextManager[Any]:
    """Another connection to the same driver."""
    import libvirt

    return closing(libvirt.open("test:///default"))


def test_snapshots_are_saved_listed_restored_and_deleted_by_name() -> None:
    with driver() as connection:
        hypervisor = Hypervisor(connection)
        hypervisor.of(VIRTUAL, OURS).make_networks()
        define(connection, VIRTUAL, OURS)
        define(connection, VIRTUAL, OTHERS, prefix="bob-")
        machines = hypervisor.of(VIRTUAL, OURS)
        power = LibvirtPower(machines)
        power.freeze("cp1")
        machines.save("cp1", "one")
        power.thaw("cp1")
        assert [(saved.snapshot, saved.machine) for saved in machines.saved()] == [("one", "cp1")]
        assert hypervisor.saved("ha", OURS) == machines.saved()
        assert hypervisor.saved("ha", OTHERS) == []
        power.cut("cp1")
        machines.restore("cp1", "one")
        # as it was when it was saved: frozen with the others
        assert machines.state("cp1") is PowerState.FROZEN
        machines.delete_snapshot("two")
        assert len(machines.saved()) == 1
        machines.delete_snapshot("one")
        assert machines.saved() == []


@pytest.mark.parametrize(("saved", "calls"), [(1, ["remove", "revert"]), (0, ["revert"])])
def test_memory_that_libvirt_saved_is_not_used_on_the_disk_of_a_snapshot(
    saved: int, calls: list[str]
) -> None:
    """libvirt's test driver forgets such memory by itself."""
    made: list[str] = []

    class Saved:
        def hasManagedSaveImage(self) -> int:
            return saved

        def managedSaveRemove(self) -> None:
            made.append("remove")

        def snapshotLookupByName(self, name: str) -> str:
            return name

        def revertToSnapshot(self, snapshot: object, flags: int) -> None:
            made.append("revert")

    snapshots.restore(Saved(), "up")  # type: ignore[arg-type]
    assert made == calls
