"""keepalived's configuration: every setting, a file of the user's own, and what is wrong with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fakes import lab_of

from halab.config.lab import ProviderKind
from halab.config.own_file import OwnFile
from halab.errors import BadFile
from halab.topology import balancer_messages
from halab.topology.balancer import BalancerFile
from halab.topology.keepalived import configuration, preferred
from halab.topology.lab import Lab


def pair(kind: str = "haproxy", **keepalived: Any) -> Lab:
    return lab_of(load_balancer={"kind": kind, "machines": 2, "keepalived": keepalived})


def with_own(text: str) -> Lab:
    return replace(pair(), keepalived_file=OwnFile(Path("own/k.conf"), text))


def of(lab: Lab, name: str = "lb1") -> BalancerFile:
    return configuration(lab, lab.machine(name))


@pytest.mark.parametrize(
    ("check", "script"),
    [
        ("process", 'script "/usr/bin/killall -0 nginx"'),
        ("port", 'script "/usr/bin/nc -z -w 1 127.0.0.1 6443"'),
        ("api", 'script "/usr/bin/curl -sfk -m 1 -o /dev/null https://127.0.0.1:6443/readyz"'),
    ],
)
def test_a_check_is_a_script_of_the_machine(check: str, script: str) -> None:
    text = of(pair("nginx", check=check)).text
    assert f"  {script}\n" in text and "  track_script {\n    load_balancer\n" in text


def test_without_a_check_there_is_no_script() -> None:
    assert "script {" not in of(pair(check="none")).text


def test_a_check_of_emulated_machines_has_more_time() -> None:
    lab = lab_of(provider=ProviderKind.LIBVIRT, accel="tcg", load_balancer={"machines": 2})
    assert "  interval 5\n  timeout 6\n" in of(lab).text


def test_the_first_machine_is_preferred() -> None:
    assert "  priority 101\n" in of(pair(), "lb1").text
    assert "  priority 100\n" in of(pair(), "lb2").text
    assert "nopreempt\n" not in of(pair()).text.partition("vrrp_instance")[2]
    assert "  nopreempt\n" in of(pair(preempt=False)).text


def test_by_unicast_each_machine_names_the_other_one() -> None:
    text = of(pair(vrrp="unicast"), "lb2").text
    assert "  unicast_src_ip 10.213.7.9\n  unicast_peer {\n    10.213.7.10\n  }\n" in text
    assert "unicast" not in of(pair(), "lb2").text


def test_the_address_returns_to_lb1_if_halab_knows_it() -> None:
    assert preferred(pair()) == "lb1"
    assert preferred(pair(preempt=False)) is None
    assert preferred(with_own("vrrp_instance A {\n}\n")) is None


def test_a_template_knows_the_machine_and_the_name_of_its_nic_comes_later() -> None:
    lab = with_own("{{ machine.name }} {{ nic }} {{ lab.virtual_address }}")
    assert of(lab, "lb2").text == "lb2 @nic@ 10.213.7.100\n"


def test_what_is_wrong_with_a_template_has_a_line() -> None:
    with pytest.raises(BadFile) as caught:
        of(with_own("a\n{{ machine.nam }}\n"))
    assert str(caught.value.problems[0]) == "own/k.conf:2: Machine has no attribute 'nam'"


def test_vrrp_on_a_network_that_all_labs_share_is_refused() -> None:
    """Two labs side by side with one virtual router id would be one pair of four machines."""
    text = "# interface eth0\nvrrp_instance {{ lab.name }} {\n  interface eth0\n  virtual_router_id 51\n}\n"
    with pytest.raises(BadFile) as caught:
        of(with_own(text))
    (problem,) = map(str, caught.value.problems)
    assert problem.startswith("own/k.conf:3: eth0 is on a network that the containers of all labs share")
    assert "{{ nic }}" in (caught.value.hint or "")
    with pytest.raises(BadFile):
        of(with_own("vrrp_instance A { interface eth0 }\n"))
    for harmless in ("eth1", "eth01", "{{ nic }}", "eth1 # not interface eth0"):
        of(with_own(text.replace("  interface eth0", f"  interface {harmless}")))


def test_of_virtual_machines_each_lab_has_all_its_networks_to_itself() -> None:
    lab = lab_of(provider=ProviderKind.LIBVIRT, load_balancer={"machines": 2})
    text = "vrrp_instance api {\n  interface eth0\n}\n"
    assert of(replace(lab, keepalived_file=OwnFile(Path("k.conf"), text))).text == text


SAYS = """\
21:03:05 (/etc/keepalived/keepalived.conf.halab-new: Line 2) Unknown keyword 'prio'
21:03:05 (/etc/keepalived/keepalived.conf.halab-new: Line 1) (A) Unknown interface!
21:03:05 error: keepalived rejects the configuration; the one in use was not changed
"""


def test_what_keepalived_says_has_the_lines_of_the_user_s_file() -> None:
    file = of(with_own("vrrp_instance A {\n  prio 5\n}\n"))
    assert [str(problem) for problem in balancer_messages.problems(SAYS, file, "rendered")] == [
        "own/k.conf:2: Unknown keyword 'prio': prio 5",
        "own/k.conf:1: (A) Unknown interface!: vrrp_instance A {",
    ]
    of_template = of(with_own("vrrp_instance A {\n  prio {{ 5 }}\n}\n"))
    said = balancer_messages.problems(SAYS, of_template, "rendered")
    assert str(said[0]) == "rendered:2: Unknown keyword 'prio': prio 5"


def test_what_keepalived_says_of_halab_s_own_configuration_is_no_problem_of_the_user() -> None:
    assert balancer_messages.problems(SAYS, of(pair()), "rendered") == []
