"""What the checks for virtual machines report about a host."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.doctor_results import run_check as run_check_on
from support.fake_host import GIB, KVM, LIBVIRT, LIBVIRT_SOCKET, SYSTEMD, FakeHost, place_of
from support.os_releases import OS_RELEASE

from halab.doctor.check import HostCheckResult, HostCheckState
from halab.errors import Corrupted, HalabError, HostProblem, TimedOut
from halab.machines.host.neighbours import NetworkKind, Subnet
from halab.machines.libvirt.facts import LibvirtFacts, Pool

WORK = str(place_of().work.path)


def run_check(name: str, host: FakeHost, **written: Any) -> HostCheckResult:
    return run_check_on(name, host, **{"provider": "libvirt", **written})


def state(name: str, host: FakeHost, **written: Any) -> HostCheckState:
    return run_check(name, host, **written).state


def test_the_libvirt_provider_passes() -> None:
    assert run_check("provider", FakeHost()).seen == "libvirt, from the lab file"


# access, the library, the answer


def test_the_fix_of_a_missing_libvirt_socket_starts_libvirt() -> None:
    result = run_check("libvirt access", FakeHost(existing={SYSTEMD}))
    assert (result.state, result.seen) == (
        HostCheckState.FAILED,
        "no such socket: /var/run/libvirt/libvirt-sock",
    )
    assert list(result.fixes) == ["sudo systemctl enable --now libvirtd"]


def test_the_daemon_for_qemu_only_is_accepted() -> None:
    host = FakeHost(existing={SYSTEMD})
    host.tools = host.tools - {"libvirtd"} | {"virtqemud"}
    assert list(run_check("libvirt access", host).fixes) == ["sudo systemctl enable --now virtqemud"]
    host.existing.add(Path("/var/run/libvirt/virtqemud-sock"))
    assert state("libvirt access", host) is HostCheckState.OK


def test_without_an_init_system_the_libvirt_fix_is_bare_host() -> None:
    (fix,) = run_check("libvirt access", FakeHost(existing=set())).fixes
    assert fix.startswith("scripts/bare-host virt halab up")


def test_the_fix_of_a_missing_libvirt_installs_qemu_too() -> None:
    host = FakeHost(existing=set())
    host.tools.remove("libvirtd")
    assert list(run_check("libvirt access", host).fixes) == [
        "sudo apt-get install -y --no-install-recommends libvirt-daemon-system qemu-system-x86"
    ]


def test_the_fix_of_a_forbidden_libvirt_socket_joins_the_group() -> None:
    host = FakeHost(forbidden={LIBVIRT_SOCKET}, groups=frozenset({"ada"}))
    join = "sudo usermod -aG libvirt ada  # then log in again"
    assert list(run_check("libvirt access", host).fixes) == [join]
    assert run_check("libvirt", host).seen == "not checked: no access to the socket"


def test_a_member_who_joined_after_the_login_only_needs_a_new_login() -> None:
    host = FakeHost(forbidden={LIBVIRT_SOCKET}, groups=frozenset({"ada"}))
    host.texts["/etc/group"] = "root:x:0:\nlibvirt:x:118:eve,ada\n"
    (fix,) = run_check("libvirt access", host).fixes
    assert fix.startswith("newgrp libvirt")


def test_libvirt_access_shows_why_it_is_granted() -> None:
    assert run_check("libvirt access", FakeHost()).seen.endswith("through the group libvirt")
    assert run_check("libvirt access", FakeHost(is_root=True)).seen.endswith("as root")
    assert run_check("libvirt access", FakeHost(groups=frozenset())).seen.endswith("open to everyone")


def test_libvirt_on_another_host_needs_no_local_socket() -> None:
    host = FakeHost(variables={"LIBVIRT_DEFAULT_URI": "qemu+ssh://ada@farm/system"}, existing=set())
    assert state("libvirt access", host) is HostCheckState.OK
    assert run_check("libvirt", host).seen.endswith("on another host, over SSH")
    assert run_check("kvm", host).seen == "not checked: the machines are on ada@farm"
    host.variables["LIBVIRT_DEFAULT_URI"] = "qemu+tls://barn/system"
    result = run_check("libvirt", host)
    assert (result.state, result.fixes[1]) == (HostCheckState.WARNING, "unset LIBVIRT_DEFAULT_URI")


def test_the_fix_of_a_missing_library_installs_its_headers() -> None:
    host = FakeHost(packages={"python-vagrant": "1.0.0"})
    result = run_check("libvirt-python", host)
    assert (result.state, result.seen) == (HostCheckState.FAILED, "not installed: libvirt-python")
    assert "libvirt-dev" in result.fixes[0]
    assert "pip install 'libvirt-python>=9.0'" in result.fixes[0]
    assert run_check("libvirt", host).seen == "not checked: libvirt-python is missing"


def test_a_library_that_cannot_be_imported_fails_with_the_error() -> None:
    host = FakeHost(unimportable={"libvirt": "libvirt.so.0: cannot open shared object file"})
    result = run_check("libvirt-python", host)
    assert result.state is HostCheckState.FAILED
    assert "libvirt.so.0" in result.seen
    assert result.fixes[0].endswith("--force-reinstall --no-cache-dir 'libvirt-python>=9.0'")


def test_the_first_fix_of_a_silent_libvirt_joins_the_group() -> None:
    host = FakeHost(libvirt_facts=HostProblem("authentication unavailable"), groups=frozenset({"ada"}))
    result = run_check("libvirt", host)
    assert (result.state, result.seen) == (HostCheckState.FAILED, "authentication unavailable")
    assert [fix.split("  #")[0] for fix in result.fixes] == [
        "sudo usermod -aG libvirt ada", "sudo systemctl enable --now libvirtd",
    ]  # fmt: skip


def test_the_first_fix_of_a_wrong_address_unsets_it() -> None:
    host = FakeHost(
        libvirt_facts=HostProblem("no route to host"),
        variables={"LIBVIRT_DEFAULT_URI": "qemu+tcp://barn/system"},
    )
    assert run_check("libvirt", host).fixes[0].startswith("unset LIBVIRT_DEFAULT_URI")


@pytest.mark.parametrize(
    ("uri", "driver", "state"),
    [("qemu:///system", "QEMU", HostCheckState.OK), ("qemu:///session", "QEMU", HostCheckState.FAILED),
     ("test:///default", "TEST", HostCheckState.FAILED)],
)  # fmt: skip
def test_labs_need_the_system_connection_of_qemu(uri: str, driver: str, state: HostCheckState) -> None:
    host = FakeHost(libvirt_facts=replace(LIBVIRT, driver=driver), variables={"LIBVIRT_DEFAULT_URI": uri})
    assert run_check("libvirt", host).state is state


# qemu, the plugin, the processor


def test_qemu_and_qemu_img_are_both_needed() -> None:
    host = FakeHost()
    assert run_check("qemu", host).seen == "7.2.22, /usr/bin/qemu-system-x86_64"
    host.tools.remove("qemu-img")
    result = run_check("qemu", host)
    assert result.seen == "not found: qemu-img"
    assert list(result.fixes) == ["sudo apt-get install -y --no-install-recommends qemu-utils"]


HASHICORP = Path("/opt/vagrant/embedded")


@pytest.mark.parametrize(
    ("plugin", "vagrant", "expected"),
    [
        ("0.11.2, global", "2.3.4", HostCheckState.OK),
        ("0.12.2, global", "2.3.4", HostCheckState.OK),
        ("0.12.2, global", "2.4.3", HostCheckState.OK),
        ("0.12.2, global", "2.4.9", HostCheckState.OK),
        ("0.10.8, global", "2.3.4", HostCheckState.FAILED),
        ("0.11.2, global", "2.4.9", HostCheckState.FAILED),
        ("0.12.2, global", "2.3.7", HostCheckState.WARNING),
        # its logger conflicts with the plugin's: vagrant-libvirt#1831
        ("0.12.2, global", "2.4.2", HostCheckState.WARNING),
        # what a distribution ships together fits: Debian 13 has 0.12.2-4 with 2.3.7+git, which calls itself 2.3.8.dev
        ("0.12.2, system", "2.3.8.dev", HostCheckState.OK),
        ("0.10.8, system", "2.3.8.dev", HostCheckState.FAILED),
    ],
)
def test_plugin_and_vagrant_must_work_together(plugin: str, vagrant: str, expected: HostCheckState) -> None:
    host = FakeHost()
    host.outputs["vagrant plugin list"] = f"vagrant-libvirt ({plugin})\n"
    host.outputs["vagrant --version"] = f"Vagrant {vagrant}\n"
    result = run_check("vagrant-libvirt", host)
    assert result.state is expected
    assert bool(result.fixes) is (expected is not HostCheckState.OK)


def test_a_plugin_of_hashicorps_vagrant_is_no_pair_of_the_distribution() -> None:
    host = FakeHost()
    host.outputs["vagrant plugin list"] = "vagrant-libvirt (0.12.2, system)\n"
    host.outputs["vagrant --version"] = "Vagrant 2.4.2\n"
    assert state("vagrant-libvirt", host) is HostCheckState.OK
    host.existing.add(HASHICORP)
    assert state("vagrant-libvirt", host) is HostCheckState.WARNING


def test_the_fix_of_a_missing_plugin_depends_on_where_vagrant_comes_from() -> None:
    """HashiCorp's .deb puts Ruby into /opt/vagrant/embedded: package/build-deb in hashicorp/vagrant-installers."""
    host = FakeHost()
    host.outputs["vagrant plugin list"] = "No plugins installed.\n"
    apt = "sudo apt-get install -y --no-install-recommends"
    as_gem = f"{apt} build-essential libvirt-dev pkg-config && vagrant plugin install vagrant-libvirt"
    assert list(run_check("vagrant-libvirt", host).fixes) == [f"{apt} vagrant-libvirt", as_gem]
    host.existing.add(HASHICORP)
    assert run_check("vagrant-libvirt", host).fixes[0] == as_gem
    host.existing.remove(HASHICORP)
    host.texts["/etc/os-release"] = OS_RELEASE["ubuntu-24.04"]
    assert run_check("vagrant-libvirt", host).fixes[0] == as_gem


def test_ubuntu_gets_vagrant_from_hashicorp() -> None:
    host = FakeHost()
    host.tools.remove("vagrant")
    host.texts["/etc/os-release"] = OS_RELEASE["ubuntu-24.04"]
    fix = run_check("vagrant", host).fixes[0]
    assert "https://apt.releases.hashicorp.com noble main' | sudo tee" in fix
    assert fix.endswith("sudo apt-get update && sudo apt-get install -y vagrant")


# KVM


def test_without_permission_kvm_is_a_warning_if_libvirt_has_it() -> None:
    host = FakeHost(forbidden={KVM}, groups=frozenset({"ada", "libvirt"}))
    result = run_check("kvm", host)
    assert (result.state, host.guests) == (HostCheckState.WARNING, [])
    assert result.seen.endswith("libvirt says that it can use KVM")
    assert result.fixes[0] == "sudo usermod -aG kvm ada  # then log in again"
    assert "99-kvm4all.rules" in result.fixes[1]


def test_who_is_in_the_group_kvm_already_is_not_told_to_join_it() -> None:
    result = run_check("kvm", FakeHost(forbidden={KVM}, groups=frozenset({"ada", "kvm", "libvirt"})))
    assert "although in the group kvm: the device is not open to that group" in result.seen
    assert not [fix for fix in result.fixes if "usermod" in fix]
    assert "99-kvm4all.rules" in result.fixes[0]
    assert result.fixes[1].startswith("sudo sh -c 'chgrp kvm /dev/kvm && chmod 660 /dev/kvm'  # ")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (False, "libvirt cannot use KVM either"),
        (TimedOut("gave up"), "libvirt does not say whether it can use KVM"),
    ],
)
def test_without_permission_kvm_fails_unless_libvirt_has_it(answer: bool | HalabError, said: str) -> None:
    result = run_check("kvm", FakeHost(forbidden={KVM}, libvirt_kvm=answer))
    assert result.state is HostCheckState.FAILED
    assert said in result.seen


def test_kvm_fails_if_a_guest_boots_but_libvirt_does_not_see_the_device() -> None:
    """A libvirt in a namespace that hides /dev/kvm, or that looked before the module was loaded."""
    result = run_check("kvm", FakeHost(libvirt_kvm=False))
    assert (result.state, result.seen) == (
        HostCheckState.FAILED,
        "a guest booted, but libvirt cannot use /dev/kvm",
    )
    assert result.fixes[0].startswith("sudo systemctl restart libvirtd")
    assert run_check("kvm", FakeHost()).seen == "a guest booted, and libvirt can use KVM"
    assert state("kvm", FakeHost(libvirt_kvm=TimedOut("gave up"))) is HostCheckState.OK


def test_the_udev_rule_is_one_line_for_a_shell() -> None:
    rule = run_check("kvm", FakeHost(forbidden={KVM})).fixes[0]
    sudo, shell, option, script = shlex.split(rule, comments=True)
    assert (sudo, shell, option) == ("sudo", "sh", "-c")
    assert shlex.split(script)[1] == 'KERNEL=="kvm", GROUP="kvm", MODE="0666", OPTIONS+="static_node=kvm"'


def test_a_missing_plugin_fails_only_for_virtual_machines() -> None:
    host = FakeHost()
    host.outputs["vagrant plugin list"] = "No plugins installed.\n"
    assert state("vagrant-libvirt", host) is HostCheckState.FAILED
    assert state("vagrant-libvirt", host, provider="docker") is HostCheckState.SKIPPED
    host.tools.remove("vagrant")
    assert state("vagrant-libvirt", host) is HostCheckState.SKIPPED


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu svm", HostCheckState.OK),
        ("fpu hypervisor vmx", HostCheckState.OK),
        ("fpu hypervisor", HostCheckState.WARNING),
        ("", HostCheckState.SKIPPED),
    ],
)
def test_nested_kvm_is_checked_on_a_virtual_machine(flags: str, expected: HostCheckState) -> None:
    host = FakeHost()
    host.texts["/proc/cpuinfo"] = (
        f"processor\t: 0\nflags\t\t: {flags}\n" if flags else "Features\t: fp asimd\n"
    )
    assert state("nested kvm", host) is expected
    assert state("nested kvm", host, accel="tcg") is HostCheckState.SKIPPED


def test_without_kvm_the_fixes_offer_docker_and_tcg() -> None:
    host = FakeHost(existing=set())
    host.texts["/proc/cpuinfo"] = "flags: fpu\n"
    fixes = run_check("kvm", host).fixes
    assert any(fix.startswith("provider: docker") for fix in fixes)
    assert any(fix.startswith("accel: tcg  # in the lab file") for fix in fixes)


def test_emulated_control_planes_need_more_than_one_core_each() -> None:
    assert state("processors", FakeHost(cores=2), accel="tcg") is HostCheckState.WARNING
    assert state("processors", FakeHost(cores=2), accel="tcg", control_planes=1) is HostCheckState.OK
    assert state("processors", FakeHost(cores=4), accel="tcg") is HostCheckState.OK
    assert state("processors", FakeHost(cores=2)) is HostCheckState.OK


# disks


def with_pool(pool: Pool) -> LibvirtFacts:
    return replace(LIBVIRT, pools=(pool,))


POOL = Pool("default", True, True, Path("/var/lib/libvirt/images"), 100 * GIB)


def test_a_pool_with_free_space_passes() -> None:
    assert run_check("storage pool", FakeHost()).seen == "107.4 GB free: default in /var/lib/libvirt/images"


def test_the_fix_of_an_inactive_pool_also_sets_autostart() -> None:
    inactive = replace(POOL, active=False, available_bytes=None)
    result = run_check("storage pool", FakeHost(libvirt_facts=with_pool(inactive)))
    assert result.state is HostCheckState.FAILED
    virsh = "virsh -c qemu:///system"
    assert list(result.fixes) == [f"{virsh} pool-start default && {virsh} pool-autostart default"]


def test_a_pool_without_autostart_is_a_warning() -> None:
    result = run_check("storage pool", FakeHost(libvirt_facts=with_pool(replace(POOL, autostart=False))))
    assert result.state is HostCheckState.WARNING
    assert list(result.fixes) == ["virsh -c qemu:///system pool-autostart default"]


def test_a_full_pool_fails_unless_the_lab_is_up() -> None:
    full = with_pool(replace(POOL, available_bytes=GIB))
    assert state("storage pool", FakeHost(libvirt_facts=full)) is HostCheckState.FAILED
    assert state("storage pool", FakeHost(libvirt_facts=full, machines_up=4)) is HostCheckState.OK


def test_a_pool_needs_space_for_the_memory_in_a_snapshot() -> None:
    # three times 2 GiB and a balancer of 512 MiB beside disks of 4.5 GB
    almost = with_pool(replace(POOL, available_bytes=11_400_000_000))
    assert state("storage pool", FakeHost(libvirt_facts=almost)) is HostCheckState.FAILED
    enough = with_pool(replace(POOL, available_bytes=11_500_000_000))
    assert state("storage pool", FakeHost(libvirt_facts=enough)) is HostCheckState.OK


def test_a_missing_pool_needs_space_on_its_future_disk() -> None:
    none = replace(LIBVIRT, pools=())
    assert "`halab up` creates default" in run_check("storage pool", FakeHost(libvirt_facts=none)).seen
    assert state("storage pool", FakeHost(libvirt_facts=none, free=GIB)) is HostCheckState.FAILED


def test_without_libvirt_pool_and_networks_are_skipped() -> None:
    host = FakeHost(libvirt_facts=HostProblem("no libvirt answers"))
    assert state("storage pool", host) is HostCheckState.SKIPPED
    assert state("libvirt networks", host) is HostCheckState.SKIPPED


def test_vagrant_home_needs_space_for_a_missing_box() -> None:
    host = FakeHost(variables={"HOME": "/home/ada"}, free=GIB)
    assert state("vagrant home", host) is HostCheckState.FAILED
    host.cached_bundle = Corrupted("the manifest is no JSON")
    assert state("vagrant home", host) is HostCheckState.FAILED
    assert run_check("vagrant home", FakeHost(variables={"VAGRANT_HOME": "/big/vagrant"})).seen.endswith(
        "/big/vagrant"
    )


def test_the_fix_of_a_vagrant_home_owned_by_root_changes_the_owner() -> None:
    home = Path("/home/ada/.vagrant.d")
    host = FakeHost(variables={"HOME": "/home/ada"}, forbidden={home})
    host.existing.add(home)
    result = run_check("vagrant home", host)
    assert result.state is HostCheckState.FAILED
    assert result.fixes[0] == "sudo chown -R ada /home/ada/.vagrant.d"


def test_memory_is_checked_even_if_libvirt_hangs() -> None:
    host = FakeHost(libvirt_facts=HostProblem("libvirt does not answer within 8 s"))
    assert state("memory", host) is HostCheckState.OK


# networks, names, the firewall


def subnet(name: str, *, active: bool = True, own: bool = False) -> Subnet:
    return Subnet(
        NetworkKind.LIBVIRT, name, (), "virbr0", active, *(("ha", WORK) if own else ("", "")), forward="nat"
    )


def with_networks(*subnets: Subnet) -> FakeHost:
    return FakeHost(libvirt_facts=replace(LIBVIRT, networks=subnets))


def test_libvirt_networks_are_listed_with_their_kind() -> None:
    assert (
        run_check("libvirt networks", FakeHost()).seen
        == "`halab up` creates two for the lab; existing networks: none"
    )
    host = with_networks(subnet("default", active=False), subnet("halab-ha", own=True))
    result = run_check("libvirt networks", host)
    assert (result.state, result.seen) == (HostCheckState.OK, "default (not active), halab-ha (nat)")


def test_an_inactive_network_of_the_lab_is_a_warning() -> None:
    result = run_check("libvirt networks", with_networks(subnet("halab-ha", active=False, own=True)))
    assert result.state is HostCheckState.WARNING
    assert list(result.fixes) == ["halab up", "virsh -c qemu:///system net-start halab-ha"]


def test_a_name_server_on_every_address_is_a_warning() -> None:
    host = FakeHost()
    head = "   sl  local_address rem_address   st\n"
    host.texts["/proc/net/udp"] = f"{head}  12: 0100007F:0035 00000000:0000 07\n"
    assert state("dnsmasq", host) is HostCheckState.OK
    host.texts["/proc/net/udp"] = f"{head} 1112: 00000000:0035 00000000:0000 07\n"
    assert state("dnsmasq", host) is HostCheckState.WARNING
    host.tools.remove("dnsmasq")
    assert state("dnsmasq", host) is HostCheckState.FAILED
