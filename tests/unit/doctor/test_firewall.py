"""The check of the host's firewall: ufw, docker, nftables, and what a user sees without root."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.doctor_results import run_check as run_check_on
from support.fake_host import LIBVIRT, WITH_NETWORK, FakeHost

from halab.doctor.check import HostCheckResult, HostCheckState
from halab.errors import HostProblem
from halab.machines.libvirt.facts import LibvirtFacts


def run_check(host: FakeHost) -> HostCheckResult:
    return run_check_on("firewall", host, provider="libvirt")


def state(host: FakeHost) -> HostCheckState:
    return run_check(host).state


def firewall(rules: str = "", ruleset: str = "", libvirt: LibvirtFacts = WITH_NETWORK) -> FakeHost:
    host = FakeHost(is_root=True, libvirt_facts=libvirt)
    host.outputs |= {"iptables -S": rules, "nft list ruleset": ruleset}
    return host


def test_the_firewall_is_skipped_without_root() -> None:
    result = run_check(FakeHost())
    assert (result.state, result.needs_root) == (HostCheckState.SKIPPED, True)
    assert list(result.fixes) == [
        'sudo env HOME="$HOME" PATH="$PATH" halab doctor -f /labs/ha/lab.yml',
        "sudo iptables -S; sudo nft list ruleset",
    ]  # fmt: skip


def test_a_firewall_that_cannot_be_read_is_skipped() -> None:
    host = firewall()
    host.outputs |= {"iptables -S": HostProblem("no table"), "nft list ruleset": HostProblem("no netlink")}
    assert state(host) is HostCheckState.SKIPPED
    host.tools -= {"iptables", "nft"}
    assert state(host) is HostCheckState.SKIPPED


DOCKER = "-P INPUT ACCEPT\n-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n"


def test_the_forward_policy_of_docker_is_a_warning() -> None:
    host = firewall(DOCKER)
    host.texts["/proc/sys/net/bridge/bridge-nf-call-iptables"] = "1\n"
    result = run_check(host)
    assert result.state is HostCheckState.WARNING
    assert result.seen == (
        "the iptables chain FORWARD of docker drops by default and does not accept the lab's packets: "
        "packets between machines are lost too, because bridges are filtered"
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
def test_the_chain_of_libvirt_or_the_fix_clears_the_warning(accept: str) -> None:
    assert state(firewall(DOCKER + accept)) is HostCheckState.OK


def test_an_input_policy_of_drop_is_a_warning() -> None:
    assert state(firewall("-P INPUT DROP\n")) is HostCheckState.WARNING
    assert state(firewall("-P INPUT DROP\n-A INPUT -j LIBVIRT_INP\n")) is HostCheckState.OK


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


def test_an_nft_chain_that_drops_is_a_warning() -> None:
    result = run_check(firewall(ruleset=NFT.replace("RULE", "ct state established accept")))
    assert result.state is HostCheckState.WARNING
    assert result.seen.startswith("the nft chain inet mine base drops")
    assert result.fixes[0].startswith(
        "nft insert rule inet mine base iifname 'hl*' oifname 'hl*' accept && "
    )
    passing = NFT.replace("RULE", 'iifname "hl*" oifname "hl*" accept')
    assert state(firewall(ruleset=passing)) is HostCheckState.OK


# ufw and libvirt's two backends. Recorded on Debian 13: libvirt 11.3 and ufw 0.36.2, with the networks of a lab. With
# the backend nftables no machine got an address; with either of the two fixes, it did.

UFW = """-P INPUT DROP
-P FORWARD DROP
-P OUTPUT ACCEPT
-A INPUT -j ufw-before-logging-input
-A INPUT -j ufw-before-input
-A INPUT -j ufw-after-input
-A INPUT -j ufw-after-logging-input
-A INPUT -j ufw-reject-input
-A INPUT -j ufw-track-input
-A FORWARD -j ufw-before-logging-forward
-A FORWARD -j ufw-before-forward
-A FORWARD -j ufw-after-forward
-A FORWARD -j ufw-after-logging-forward
-A FORWARD -j ufw-reject-forward
-A FORWARD -j ufw-track-forward
"""
# after `ufw allow` and `ufw route allow`, as the check suggests them
UFW_OPENED = """-A ufw-user-forward -i hl+ -o hl+ -j ACCEPT
-A ufw-user-forward -i hm+ -j ACCEPT
-A ufw-user-forward -o hm+ -j ACCEPT
-A ufw-user-input -i hm+ -p udp -m udp --dport 67 -j ACCEPT
-A ufw-user-input -i hl+ -j ACCEPT
"""
# with the backend iptables
LIBVIRT_FIRST = UFW.replace("-A INPUT -j ufw", "-A INPUT -j LIBVIRT_INP\n-A INPUT -j ufw", 1).replace(
    "-A FORWARD -j ufw",
    "-A FORWARD -j LIBVIRT_FWX\n-A FORWARD -j LIBVIRT_FWI\n-A FORWARD -j LIBVIRT_FWO\n-A FORWARD -j ufw",
    1,
)
LIBVIRT_TABLE = """table ip libvirt_network {
	chain forward {
		type filter hook forward priority filter; policy accept;
		counter packets 0 bytes 0 jump guest_cross
		counter packets 0 bytes 0 jump guest_input
		counter packets 0 bytes 0 jump guest_output
	}

	chain guest_cross {
		iif "hl0ad50000" oif "hl0ad50000" counter packets 0 bytes 0 accept
		iif "hm0ad60000" oif "hm0ad60000" counter packets 0 bytes 0 accept
	}
}
"""
CONFIG = "/etc/libvirt/network.conf"


def test_libvirts_nftables_do_not_open_ufw() -> None:
    result = run_check(firewall(UFW, LIBVIRT_TABLE))
    assert result.state is HostCheckState.WARNING
    assert result.seen == (
        "the iptables chain FORWARD of ufw drops by default and does not accept the lab's packets; "
        "the iptables chain INPUT of ufw drops by default and does not accept the lab's packets, "
        "and libvirt's own rules are in nftables, which cannot accept what another chain drops: "
        "machines get no address by DHCP, packets that this host forwards are lost"
    )
    backend, rules = result.fixes
    assert backend == (
        "echo 'firewall_backend = \"iptables\"' | tee -a /etc/libvirt/network.conf && systemctl restart libvirtd"
    )
    assert rules == (
        "ufw route allow in on hl+ out on hl+ && ufw route allow in on hm+ && ufw route allow out on hm+ && "
        "ufw allow in on hm+ to any port 67 proto udp && ufw allow in on hl+"
    )


@pytest.mark.parametrize(
    "rules", [UFW + UFW_OPENED, LIBVIRT_FIRST], ids=["rules of ufw", "backend iptables"]
)
def test_either_fix_of_ufw_clears_the_warning(rules: str) -> None:
    assert state(firewall(rules, LIBVIRT_TABLE)) is HostCheckState.OK


def test_the_modular_daemon_of_networks_is_restarted_where_it_runs() -> None:
    host = firewall(UFW, LIBVIRT_TABLE)
    host.existing.add(Path("/var/run/libvirt/virtnetworkd-sock"))
    assert run_check(host).fixes[0].endswith("systemctl restart virtnetworkd")


def test_dockers_chain_is_named_and_libvirts_nftables_do_not_open_it() -> None:
    """docker sets the policy of FORWARD to DROP; libvirt's table cannot accept what that chain drops (moby#52612)."""
    result = run_check(firewall(DOCKER, LIBVIRT_TABLE))
    assert result.seen.startswith("the iptables chain FORWARD of docker drops by default")
    assert "libvirt's own rules are in nftables" in result.seen
    assert "firewall_backend" in result.fixes[0] and result.fixes[1].startswith("iptables -I FORWARD -i hl+")


def test_libvirts_configuration_tells_the_backend() -> None:
    """The two defaults: of Fedora, Arch and openSUSE (as released), and of Debian 13, whose comment was read."""
    host = firewall(UFW)
    assert len(run_check(host).fixes) == 1
    host.texts[CONFIG] = '#firewall_backend = "nftables"\n'
    assert len(run_check(host).fixes) == 2
    host.texts[CONFIG] = '#     [iptables, nftables]\n#firewall_backend = "iptables"\n'
    assert len(run_check(host).fixes) == 1
    host.texts[CONFIG] = 'firewall_backend = "iptables"\n#firewall_backend = "nftables"\n'
    assert len(run_check(host).fixes) == 1


def test_of_several_settings_libvirt_takes_the_first_so_the_fix_changes_it() -> None:
    """Seen with libvirt 11.3: a second line did not change the backend. The table of nftables stayed."""
    host = firewall(UFW, LIBVIRT_TABLE)
    host.texts[CONFIG] = 'firewall_backend = "nftables"\nfirewall_backend = "iptables"\n'
    assert run_check(host).fixes[0] == (
        "sed -i 's/^ *firewall_backend.*/firewall_backend = \"iptables\"/' /etc/libvirt/network.conf && "
        "systemctl restart libvirtd"
    )
    host = firewall(DOCKER, LIBVIRT_TABLE, libvirt=LIBVIRT)
    host.texts[CONFIG] = 'firewall_backend = "iptables"\n'
    assert state(host) is HostCheckState.OK


@pytest.mark.parametrize("rules", [UFW, DOCKER])
def test_libvirt_opens_iptables_when_its_first_network_starts(rules: str) -> None:
    """Seen on Debian 13: beside ufw and docker, `virsh net-start` put LIBVIRT_INP and LIBVIRT_FWX first."""
    stopped = tuple(replace(network, active=False) for network in WITH_NETWORK.networks)
    host = firewall(rules, libvirt=replace(LIBVIRT, networks=stopped))
    assert state(host) is HostCheckState.OK
    host.texts[CONFIG] = '#firewall_backend = "nftables"\n'
    assert state(host) is HostCheckState.WARNING


def test_rules_that_libvirt_does_not_write_again_are_a_warning() -> None:
    removed = "-N LIBVIRT_INP\n-N LIBVIRT_FWX\n"
    assert state(firewall(removed + UFW, libvirt=LIBVIRT)) is HostCheckState.WARNING
    assert (
        state(firewall("-P INPUT DROP\n", NFT.replace("RULE", ""), libvirt=LIBVIRT))
        is HostCheckState.WARNING
    )
    silent = firewall(UFW)
    silent.libvirt_facts = HostProblem("no libvirt answers")
    assert state(silent) is HostCheckState.WARNING


def test_what_a_user_can_see_of_the_firewall_is_reported_without_root() -> None:
    host = FakeHost()
    assert run_check(host).seen == "not checked: only root can read it"
    host.texts |= {
        "/etc/ufw/ufw.conf": "# Set to yes to start on boot.\nENABLED=yes\n",
        "/proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
        CONFIG: '#firewall_backend = "nftables"\n',
    }
    host.existing.add(Path("/sys/class/net/docker0"))
    result = run_check(host)
    assert result.seen == (
        "not checked: only root can read it; visible without root: ufw is enabled, docker has a bridge, "
        "bridges are filtered, libvirt's own rules are in nftables, which cannot accept what another chain drops"
    )
    assert (result.state, result.needs_root) == (HostCheckState.SKIPPED, True)
    host.texts["/etc/ufw/ufw.conf"] = "ENABLED=no\n"
    assert "ufw" not in run_check(host).seen
