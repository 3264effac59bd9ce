"""What libvirt says of itself: libvirt's own test driver."""

from __future__ import annotations

import sys
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

import pytest
from support.fake_libvirt import VIRTUAL
from support.fake_libvirt import test_driver as driver

from halab.errors import HostProblem
from halab.machines.libvirt import facts as libvirt_facts
from halab.machines.libvirt.hypervisor import Hypervisor
from halab.machines.work import Work

libvirt = pytest.importorskip("libvirt", exc_type=ImportError)

OURS = Work(Path("/labs/ada/.halab"))
POOL = "<pool type='dir'><name>{}</name><target><path>/srv/{}</path></target></pool>"


def test_networks_of_a_lab_are_listed_with_bridge_owner_and_state() -> None:
    with driver() as connection:
        hypervisor = Hypervisor(connection)
        hypervisor.of(VIRTUAL, OURS).make_networks()
        connection.networkLookupByName("halab-ha-ssh").destroy()
        facts = hypervisor.facts()
        told = {each.name: each for each in facts.networks}
        own, ssh = told["halab-ha"], told["halab-ha-ssh"]
        assert (own.networks, own.device) == ((IPv4Network("10.213.7.0/24"),), "hl0ad50700")
        assert (own.active, own.forward, ssh.active, ssh.forward) == (True, "none", False, "nat")
        assert own.is_of("ha", OURS)
        assert not own.is_of("ha", Work(Path("/labs/bob/.halab")))
        assert not told["default"].is_of("ha", OURS)
        assert facts.driver == "TEST"
        assert facts.version.count(".") == 2


def test_an_inactive_pool_has_no_known_space() -> None:
    with driver() as connection:
        pool = connection.storagePoolDefineXML(POOL.format("resting", "resting"))
        try:
            resting = Hypervisor(connection).facts().pool("resting")
            assert resting is not None
            assert (resting.active, resting.available_bytes) == (False, None)
            assert resting.path == Path("/srv/resting")
            pool.create()
            running = Hypervisor(connection).facts().pool("resting")
            assert running is not None
            assert running.available_bytes
            assert Hypervisor(connection).facts().pool("none") is None
        finally:
            pool.destroy()
            pool.undefine()


def test_a_missing_library_is_named_by_a_package_that_can_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """halab itself is on no package index, so `pip install 'halab[libvirt]'` would find nothing."""
    monkeypatch.setitem(sys.modules, "libvirt", None)
    with pytest.raises(HostProblem, match="libvirt-python is not installed") as caught:
        Hypervisor(uri="test:///default")
    assert caught.value.hint == (
        f"{sys.executable} -m pip install 'libvirt-python>=9.0'; `halab doctor` says what else it needs"
    )


class _Capabilities:
    """libvirt's answer about KVM. Its test driver does not know this question."""

    def __init__(self, error_code: int | None = None) -> None:
        self._error_code = error_code

    def getDomainCapabilities(
        self, emulator: None, arch: None, machine: None, virttype: str, flags: int
    ) -> str:
        assert virttype == "kvm"
        if self._error_code is not None:
            error = libvirt.libvirtError(
                "the accel 'kvm' is not supported by '/usr/bin/qemu-system-x86_64' on this host"
            )
            error.err = (self._error_code, 0, str(error), 2, "", None, None, -1, -1)
            raise error
        return "<domainCapabilities/>"


def test_libvirt_is_asked_whether_it_can_use_kvm() -> None:
    """The message is in libvirt's driver for qemu (9.0); the error's code is that of an invalid argument."""
    assert libvirt_facts.has_kvm(cast(Any, _Capabilities()))
    assert not libvirt_facts.has_kvm(cast(Any, _Capabilities(libvirt.VIR_ERR_INVALID_ARG)))
    with pytest.raises(libvirt.libvirtError):
        libvirt_facts.has_kvm(cast(Any, _Capabilities(libvirt.VIR_ERR_RPC)))
