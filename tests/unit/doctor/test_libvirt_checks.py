"""What the checks of virtual machines make of a host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.doctor_results import found as found_on
from support.fake_host import GIB, LIBVIRT, LIBVIRT_SOCKET, SYSTEMD, FakeHost, place_of

from halab.doctor.check import CheckResult, CheckState
from halab.errors import Corrupted, HostProblem
from halab.machines.host.neighbours import NetworkKind, Subnet
from halab.machines.libvirt.facts import LibvirtFacts, Pool

WORK = str(place_of().work.path)


def found(name: str, host: FakeHost, **written: Any) -> CheckResult:
    return found_on(name, host, **{"provider": "libvirt", **written})


def state(name: str, host: FakeHost, **written: Any) -> CheckState:
    return found(name, host, **written).state


def test_a_provider_of_virtual_machines_is_as_good_as_another() -> None:
    assert found("provider", FakeHost()).seen == "libvirt, as written"


# access, the library, the answer


def test_no_socket_says_how_libvirt_is_started() -> None:
    result = found("libvirt access", FakeHost(there={SYSTEMD}))
    assert (result.state, result.seen) == (
        CheckState.FAILED,
        "no such socket: /var/run/libvirt/libvirt-sock",
    )
    assert list(result.fixes) == ["sudo systemctl enable --now libvirtd"]


def test_the_daemon_for_qemu_alone_is_known() -> None:
    host = FakeHost(there={SYSTEMD})
    host.tools = host.tools - {"libvirtd"} | {"virtqemud"}
    assert list(found("libvirt access", host).fixes) == ["sudo systemctl enable --now virtqemud"]
    host.there.add(Path("/var/run/libvirt/virtqemud-sock"))
    assert state("libvirt access", host) is CheckState.OK


def test_without_an_init_system_a_libvirt_of_its_own_is_offered() -> None:
    (way,) = found("libvirt access", FakeHost(there=set())).fixes
    assert way.startswith("scripts/bare-host virt halab up")


def test_a_libvirt_that_is_not_installed_is_installed_with_qemu() -> None:
    host = FakeHost(there=set())
    host.tools.remove("libvirtd")
    assert list(found("libvirt access", host).fixes) == [
        "sudo apt-get install -y --no-install-recommends libvirt-daemon-system qemu-system-x86"
    ]


def test_a_socket_of_others_says_how_to_join_the_group() -> None:
    host = FakeHost(forbidden={LIBVIRT_SOCKET}, groups=frozenset({"ada"}))
    join = "sudo usermod -aG libvirt ada  # then log in again"
    assert list(found("libvirt access", host).fixes) == [join]
    assert found("libvirt", host).seen == "not asked, for want of access"


def test_who_joined_the_group_after_the_login_need_not_join_it_again() -> None:
    host = FakeHost(forbidden={LIBVIRT_SOCKET}, groups=frozenset({"ada"}))
    host.texts["/etc/group"] = "root:x:0:\nlibvirt:x:118:eve,ada\n"
    (way,) = found("libvirt access", host).fixes
    assert way.startswith("newgrp libvirt")


def test_the_group_that_gives_access_is_seen() -> None:
    assert found("libvirt access", FakeHost()).seen.endswith("by the group libvirt")
    assert found("libvirt access", FakeHost(is_root=True)).seen.endswith("as root")
    assert found("libvirt access", FakeHost(groups=frozenset())).seen.endswith("open to all")


def test_a_libvirt_elsewhere_has_no_socket_here() -> None:
    host = FakeHost(variables={"LIBVIRT_DEFAULT_URI": "qemu+ssh://ada@farm/system"}, there=set())
    assert state("libvirt access", host) is CheckState.OK
    assert found("libvirt", host).seen.endswith("on another host, by ssh")
    assert found("kvm", host).seen == "not asked: machines are on ada@farm"
    host.variables["LIBVIRT_DEFAULT_URI"] = "qemu+tls://barn/system"
    result = found("libvirt", host)
    assert (result.state, result.fixes[1]) == (CheckState.WARNING, "unset LIBVIRT_DEFAULT_URI")


def test_a_library_that_is_missing_is_built_with_its_headers() -> None:
    host = FakeHost(packages={"python-vagrant": "1.0.0"})
    result = found("libvirt-python", host)
    assert (result.state, result.seen) == (CheckState.FAILED, "not installed: libvirt-python")
    assert "libvirt-dev" in result.fixes[0]
    assert "pip install 'libvirt-python>=9.0'" in result.fixes[0]
    assert found("libvirt", host).seen == "not asked, for want of libvirt-python"


def test_a_library_that_cannot_be_imported_says_why() -> None:
    host = FakeHost(unimportable={"libvirt": "libvirt.so.0: cannot open shared object file"})
    result = found("libvirt-python", host)
    assert result.state is CheckState.FAILED
    assert "libvirt.so.0" in result.seen
    assert result.fixes[0].endswith("--force-reinstall --no-cache-dir 'libvirt-python>=9.0'")


def test_a_libvirt_that_does_not_answer_offers_the_group_first() -> None:
    host = FakeHost(libvirt_facts=HostProblem("authentication unavailable"), groups=frozenset({"ada"}))
    result = found("libvirt", host)
    assert (result.state, result.seen) == (CheckState.FAILED, "authentication unavailable")
    assert [fix.split("  #")[0] for fix in result.fixes] == [
        "sudo usermod -aG libvirt ada", "sudo systemctl enable --now libvirtd",
    ]  # fmt: skip


def test_an_address_that_does_not_answer_can_be_forgotten() -> None:
    host = FakeHost(
        libvirt_facts=HostProblem("no route to host"),
        variables={"LIBVIRT_DEFAULT_URI": "qemu+tcp://barn/system"},
    )
    assert found("libvirt", host).fixes[0].startswith("unset LIBVIRT_DEFAULT_URI")


@pytest.mark.parametrize(
    ("uri", "driver", "state"),
    [("qemu:///system", "QEMU", CheckState.OK), ("qemu:///session", "QEMU", CheckState.FAILED),
     ("test:///default", "TEST", CheckState.FAILED)],
)  # fmt: skip
def test_only_the_qemu_of_the_system_makes_labs(uri: str, driver: str, state: CheckState) -> None:
    host = FakeHost(libvirt_facts=replace(LIBVIRT, driver=driver), variables={"LIBVIRT_DEFAULT_URI": uri})
    assert found("libvirt", host).state is state


# qemu, the plugin, the processor


def test_qemu_and_its_tool_for_disks_are_both_needed() -> None:
    host = FakeHost()
    assert found("qemu", host).seen == "7.2.22, /usr/bin/qemu-system-x86_64"
    host.tools.remove("qemu-img")
    result = found("qemu", host)
    assert result.seen == "not found: qemu-img"
    assert list(result.fixes) == ["sudo apt-get install -y --no-install-recommends qemu-utils"]


@pytest.mark.parametrize(
    ("plugin", "vagrant", "expected"),
    [
        ("0.11.2", "2.3.4", CheckState.OK),
        ("0.12.2", "2.3.4", CheckState.OK),
        ("0.12.2", "2.4.1", CheckState.OK),
        ("0.12.2", "2.4.9", CheckState.OK),
        ("0.10.8", "2.3.4", CheckState.FAILED),
        ("0.11.2", "2.4.9", CheckState.FAILED),
        ("0.12.2", "2.3.7", CheckState.WARNING),
    ],
)
def test_plugin_and_vagrant_must_fit(plugin: str, vagrant: str, expected: CheckState) -> None:
    host = FakeHost()
    host.outputs["vagrant plugin list"] = f"vagrant-libvirt ({plugin}, global)\n"
    host.outputs["vagrant --version"] = f"Vagrant {vagrant}\n"
    result = found("vagrant-libvirt", host)
    assert result.state is expected
    assert bool(result.fixes) is (expected is not CheckState.OK)


def test_a_plugin_that_is_missing_counts_for_virtual_machines_alone() -> None:
    host = FakeHost()
    host.outputs["vagrant plugin list"] = "No plugins installed.\n"
    assert state("vagrant-libvirt", host) is CheckState.FAILED
    assert state("vagrant-libvirt", host, provider="docker") is CheckState.SKIPPED
    host.tools.remove("vagrant")
    assert state("vagrant-libvirt", host) is CheckState.SKIPPED


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu svm", CheckState.OK),
        ("fpu hypervisor vmx", CheckState.OK),
        ("fpu hypervisor", CheckState.WARNING),
        ("", CheckState.SKIPPED),
    ],
)
def test_a_host_that_is_a_virtual_machine_says_whether_it_may_nest(flags: str, expected: CheckState) -> None:
    host = FakeHost()
    host.texts["/proc/cpuinfo"] = (
        f"processor\t: 0\nflags\t\t: {flags}\n" if flags else "Features\t: fp asimd\n"
    )
    assert state("nested kvm", host) is expected
    assert state("nested kvm", host, accel="tcg") is CheckState.SKIPPED


def test_a_guest_that_fails_leaves_two_ways_to_go_on() -> None:
    host = FakeHost(there=set())
    host.texts["/proc/cpuinfo"] = "flags: fpu\n"
    fixes = found("kvm", host).fixes
    assert any(fix.startswith("provider: docker") for fix in fixes)
    assert any(fix.startswith("accel: tcg  # in the lab file") for fix in fixes)


def test_emulated_control_planes_want_more_than_a_core_each() -> None:
    assert state("processors", FakeHost(cores=2), accel="tcg") is CheckState.WARNING
    assert state("processors", FakeHost(cores=2), accel="tcg", control_planes=1) is CheckState.OK
    assert state("processors", FakeHost(cores=4), accel="tcg") is CheckState.OK
    assert state("processors", FakeHost(cores=2)) is CheckState.OK


# disks


def with_pool(pool: Pool) -> LibvirtFacts:
    return replace(LIBVIRT, pools=(pool,))


POOL = Pool("default", True, True, Path("/var/lib/libvirt/images"), 100 * GIB)


def test_a_pool_with_room_is_well() -> None:
    assert found("storage pool", FakeHost()).seen == "107.4 GB free: default in /var/lib/libvirt/images"


def test_a_pool_that_is_not_active_is_started_for_good() -> None:
    resting = replace(POOL, active=False, available_bytes=None)
    result = found("storage pool", FakeHost(libvirt_facts=with_pool(resting)))
    assert result.state is CheckState.FAILED
    virsh = "virsh -c qemu:///system"
    assert list(result.fixes) == [f"{virsh} pool-start default && {virsh} pool-autostart default"]


def test_a_pool_that_does_not_come_back_is_a_warning() -> None:
    result = found("storage pool", FakeHost(libvirt_facts=with_pool(replace(POOL, autostart=False))))
    assert result.state is CheckState.WARNING
    assert list(result.fixes) == ["virsh -c qemu:///system pool-autostart default"]


def test_a_full_pool_fails_unless_the_lab_is_up() -> None:
    full = with_pool(replace(POOL, available_bytes=GIB))
    assert state("storage pool", FakeHost(libvirt_facts=full)) is CheckState.FAILED
    assert state("storage pool", FakeHost(libvirt_facts=full, machines_up=4)) is CheckState.OK


def test_a_pool_has_room_for_the_memory_that_a_snapshot_keeps() -> None:
    # three times 2 GiB and a balancer of 512 MiB beside disks of 4.5 GB
    almost = with_pool(replace(POOL, available_bytes=11_400_000_000))
    assert state("storage pool", FakeHost(libvirt_facts=almost)) is CheckState.FAILED
    enough = with_pool(replace(POOL, available_bytes=11_500_000_000))
    assert state("storage pool", FakeHost(libvirt_facts=enough)) is CheckState.OK


def test_a_pool_that_is_not_there_yet_needs_its_disk() -> None:
    none = replace(LIBVIRT, pools=())
    assert "`up` makes default" in found("storage pool", FakeHost(libvirt_facts=none)).seen
    assert state("storage pool", FakeHost(libvirt_facts=none, free=GIB)) is CheckState.FAILED


def test_without_libvirt_there_is_no_pool_to_ask() -> None:
    host = FakeHost(libvirt_facts=HostProblem("no libvirt answers"))
    assert state("storage pool", host) is CheckState.SKIPPED
    assert state("libvirt networks", host) is CheckState.SKIPPED


def test_vagrant_needs_room_for_a_box_that_it_does_not_have() -> None:
    host = FakeHost(variables={"HOME": "/home/ada"}, free=GIB)
    assert state("vagrant home", host) is CheckState.FAILED
    host.cached_bundle = Corrupted("the manifest is no JSON")
    assert state("vagrant home", host) is CheckState.FAILED
    assert found("vagrant home", FakeHost(variables={"VAGRANT_HOME": "/big/vagrant"})).seen.endswith(
        "/big/vagrant"
    )


def test_a_folder_of_vagrant_that_belongs_to_root_is_given_back() -> None:
    home = Path("/home/ada/.vagrant.d")
    host = FakeHost(variables={"HOME": "/home/ada"}, forbidden={home})
    host.there.add(home)
    result = found("vagrant home", host)
    assert result.state is CheckState.FAILED
    assert result.fixes[0] == "sudo chown -R ada /home/ada/.vagrant.d"


def test_a_libvirt_that_hangs_leaves_memory_to_be_judged() -> None:
    host = FakeHost(libvirt_facts=HostProblem("libvirt does not answer within 8 s"))
    assert state("memory", host) is CheckState.OK


# networks, names, the firewall


def subnet(name: str, *, active: bool = True, own: bool = False) -> Subnet:
    return Subnet(
        NetworkKind.LIBVIRT, name, (), "virbr0", active, *(("ha", WORK) if own else ("", "")), forward="nat"
    )


def with_networks(*subnets: Subnet) -> FakeHost:
    return FakeHost(libvirt_facts=replace(LIBVIRT, networks=subnets))


def test_networks_are_listed_with_what_they_are() -> None:
    assert found("libvirt networks", FakeHost()).seen == "`halab up` makes two for the lab; there are none"
    host = with_networks(subnet("default", active=False), subnet("halab-ha", own=True))
    result = found("libvirt networks", host)
    assert (result.state, result.seen) == (CheckState.OK, "default (not active), halab-ha (nat)")


def test_a_network_of_the_lab_that_is_not_active_is_a_warning() -> None:
    result = found("libvirt networks", with_networks(subnet("halab-ha", active=False, own=True)))
    assert result.state is CheckState.WARNING
    assert list(result.fixes) == ["halab up", "virsh -c qemu:///system net-start halab-ha"]


def test_a_name_server_on_every_address_is_in_the_way_of_dnsmasq() -> None:
    host = FakeHost()
    head = "   sl  local_address rem_address   st\n"
    host.texts["/proc/net/udp"] = f"{head}  12: 0100007F:0035 00000000:0000 07\n"
    assert state("dnsmasq", host) is CheckState.OK
    host.texts["/proc/net/udp"] = f"{head} 1112: 00000000:0035 00000000:0000 07\n"
    assert state("dnsmasq", host) is CheckState.WARNING
    host.tools.remove("dnsmasq")
    assert state("dnsmasq", host) is CheckState.FAILED


def firewall(rules: str = "", ruleset: str = "") -> FakeHost:
    host = FakeHost(is_root=True)
    host.outputs |= {"iptables -S": rules, "nft list ruleset": ruleset}
    return host


def test_the_firewall_is_for_root_to_see() -> None:
    result = found("firewall", FakeHost())
    assert (result.state, result.needs_root) == (CheckState.SKIPPED, True)
    assert list(result.fixes) == [
        'sudo -E "$(command -v halab)" doctor -f /labs/ha/lab.yml', "sudo iptables -S; sudo nft list ruleset",
    ]  # fmt: skip


def test_where_nothing_tells_of_the_firewall_it_is_skipped() -> None:
    host = firewall()
    host.outputs |= {"iptables -S": HostProblem("no table"), "nft list ruleset": HostProblem("no netlink")}
    assert state("firewall", host) is CheckState.SKIPPED
    host.tools -= {"iptables", "nft"}
    assert state("firewall", host) is CheckState.SKIPPED


DOCKER = "-P INPUT ACCEPT\n-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n"


def test_docker_drops_what_libvirt_does_not_let_through() -> None:
    host = firewall(DOCKER)
    host.texts["/proc/sys/net/bridge/bridge-nf-call-iptables"] = "1\n"
    result = found("firewall", host)
    assert result.state is CheckState.WARNING
    assert result.seen == (
        "iptables' chain FORWARD drops what it does not know, and lets no lab through: "
        "packets are lost between machines too, for bridges are filtered"
    )
    assert result.fixes[0].startswith("iptables -I FORWARD -i hl+ -o hl+ -j ACCEPT && ")


@pytest.mark.parametrize(
    "accept",
    [
        "-A FORWARD -j LIBVIRT_FWX\n",
        "-A FORWARD -i hl+ -o hl+ -j ACCEPT\n",
        "-A DOCKER-USER -i hm+ -j ACCEPT\n",
    ],
)
def test_a_chain_of_libvirt_or_our_own_fix_lets_a_lab_through(accept: str) -> None:
    assert state("firewall", firewall(DOCKER + accept)) is CheckState.OK


def test_a_host_that_drops_what_comes_in_loses_questions_for_an_address() -> None:
    assert state("firewall", firewall("-P INPUT DROP\n")) is CheckState.WARNING
    assert state("firewall", firewall("-P INPUT DROP\n-A INPUT -j LIBVIRT_INP\n")) is CheckState.OK


NFT = """table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
table inet mine {
	chain base {
		type filter hook forward priority filter; policy drop;
		RULE
	}
}
table ip libvirt_network {
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
}
"""


def test_a_table_of_nft_drops_whatever_others_accept() -> None:
    result = found("firewall", firewall(ruleset=NFT.replace("RULE", "ct state established accept")))
    assert result.state is CheckState.WARNING
    assert result.seen.startswith("nft's chain inet mine base drops")
    assert result.fixes[0].startswith(
        "nft insert rule inet mine base iifname 'hl*' oifname 'hl*' accept && "
    )
    passing = NFT.replace("RULE", 'iifname "hl*" oifname "hl*" accept')
    assert state("firewall", firewall(ruleset=passing)) is CheckState.OK
