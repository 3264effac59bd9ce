"""Rules of a lab file that take several fields together, and what is allowed with a warning."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from halab.config import lab_rules
from halab.config.lab import LabFile
from halab.errors import BadFile
from halab.lifecycle.lab import open_file

PAIR = "network: 192.168.56.0/24\nload_balancer:\n  machines: 2\n"
KUBE_VIP = "network: 192.168.56.0/24\nload_balancer:\n  kind: kube-vip\n"


def problems(folder: Path, text: str) -> list[str]:
    """What `open_file` reports, without the folder."""
    (folder / "lab.yml").write_text(text)
    with pytest.raises(BadFile) as caught:
        open_file(folder / "lab.yml")
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def written(folder: Path, text: str) -> LabFile:
    (folder / "lab.yml").write_text(text)
    return open_file(folder / "lab.yml").written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "network: 10.96.1.0/24\n",
            "lab.yml:1: network: overlaps the cluster's service network 10.96.0.0/12",
        ),
        (
            "network: 10.244.11.0/24\n",
            "lab.yml:1: network: overlaps the cluster's pod network 10.244.0.0/16",
        ),
        (
            "kubernetes:\n  pods: 10.100.0.0/16\n",
            "lab.yml:2: kubernetes.pods: overlaps the network of Services, 10.96.0.0/12",
        ),
        (
            "machines:\n  cp2:\n    disks:\n    - {mount: /srv, size: 1G}\n",
            "lab.yml:4: machines.cp2.disks[1].size: a container's disk is a docker volume, which has no size of its "
            "own: remove this setting, or write `provider: libvirt`",
        ),
        (
            "provider: docker\nmachines:\n  worker: {disks: [{mount: /srv}, {mount: /data, size: 1G}]}\n",
            "lab.yml:3: machines.worker.disks[2].size: a container's disk is a docker volume, which has no size of its "
            "own: remove this setting, or write `provider: libvirt`",
        ),
        (
            "machines: {cp4: {memory: 3G}}\n",
            "lab.yml:1: machines.cp4: is neither a role nor a machine of this lab; did you mean cp?",
        ),
        (
            "machines:\n  cp2: {memory: 1G}\n",
            "lab.yml:2: machines.cp2.memory: should be 1700M or more, not 1024M",
        ),
        ("machines:\n  cp2: {cpus: 1}\n", "lab.yml:2: machines.cp2.cpus: should be 2 or more, not 1"),
        (
            "machines:\n  cp2: {hostname: cp3}\n",
            "lab.yml:2: machines.cp2.hostname: is a name that halab gives to another machine",
        ),
        (
            "machines:\n  cp2: {hostname: w7}\n",
            "lab.yml:2: machines.cp2.hostname: is a name that halab gives to another machine",
        ),
        (
            "machines:\n  cp1: {hostname: alpha}\n  lb1: {hostname: alpha}\n",
            "lab.yml:3: machines.lb1.hostname: is the host name of cp1 too",
        ),
        (
            "machines:\n  cp2: {address: 192.168.56.12}\n",
            "lab.yml:2: machines.cp2.address: needs a fixed `network`: write `network: 192.168.56.0/24`",
        ),
        (
            "network: 192.168.56.0/24\nmachines:\n  cp2: {address: 192.168.57.12}\n",
            "lab.yml:3: machines.cp2.address: is not in the lab's network 192.168.56.0/24",
        ),
        (
            "network: 192.168.56.0/24\nmachines:\n  cp2: {address: 192.168.56.1}\n",
            "lab.yml:3: machines.cp2.address: is the network's own, the host's or the broadcast address",
        ),
        (
            "network: 192.168.56.0/24\nmachines:\n  cp2: {address: 192.168.56.10}\n",
            "lab.yml:3: machines.cp2.address: is the address of lb1 too",
        ),
        (
            "load_balancer: {machines: 3}\n",
            "lab.yml:1: load_balancer.machines: should be 2 or less, not 3",
        ),
        (
            "load_balancer:\n  address: 10.0.0.5\n",
            "lab.yml:2: load_balancer.address: is for two load balancers or kube-vip: write `machines: 2` or "
            "`kind: kube-vip`, or remove this setting",
        ),
        (
            "load_balancer:\n  keepalived: {check: api}\n",
            "lab.yml:2: load_balancer.keepalived: is for two load balancers: write `machines: 2`, or remove this "
            "setting",
        ),
        (
            "load_balancer:\n  machines: 2\n  keepalived:\n    config: k.conf\n    preempt: false\n",
            "lab.yml:5: load_balancer.keepalived.preempt: has no effect beside `config`: write it in k.conf",
        ),
        (
            "load_balancer:\n  machines: 2\n  address: 192.168.56.5\n",
            "lab.yml:3: load_balancer.address: needs a fixed `network`: write `network: 192.168.56.0/24`",
        ),
        (
            f"{PAIR}  address: 192.168.57.5\n",
            "lab.yml:4: load_balancer.address: is not in the lab's network 192.168.56.0/24",
        ),
        (
            f"{PAIR}  address: 192.168.56.1\n",
            "lab.yml:4: load_balancer.address: is the network's own, the host's or the broadcast address",
        ),
        (f"{PAIR}  address: 192.168.56.9\n", "lab.yml:4: load_balancer.address: is the address of lb2 too"),
        (
            f"{PAIR}machines: {{lb2: {{address: 192.168.56.13}}}}\n",
            "lab.yml:4: machines.lb2.address: is the address of cp3 too",
        ),
        (
            f"{KUBE_VIP}  address: 192.168.56.12\n",
            "lab.yml:4: load_balancer.address: is the address of cp2 too",
        ),
        (
            f"{KUBE_VIP}  address: 192.168.57.5\n",
            "lab.yml:4: load_balancer.address: is not in the lab's network 192.168.56.0/24",
        ),
        (
            "load_balancer: {kind: kube-vip, address: 192.168.56.5}\n",
            "lab.yml:1: load_balancer.address: needs a fixed `network`: write `network: 192.168.56.0/24`",
        ),
        (
            f"{KUBE_VIP}  kube_vip: {{lease_duration: 3}}\n",
            "lab.yml:4: load_balancer.kube_vip.lease_duration: should be longer than renew_deadline, 3, not 3",
        ),
        (
            f"{KUBE_VIP}  kube_vip: {{retry_period: 3}}\n",
            "lab.yml:4: load_balancer.kube_vip.renew_deadline: should be longer than 1.2 times retry_period, 3, not 3",
        ),
        (
            f"{KUBE_VIP}machines: {{lb1: {{memory: 1G}}}}\n",
            "lab.yml:4: machines.lb1: is neither a role nor a machine of this lab; did you mean lb?",
        ),
    ],
)
def test_a_problem_names_the_line_and_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    assert said in problems(tmp_path, text)


@pytest.mark.parametrize(
    "bad", ["Alpha", "alpha.lab.example", "7up", "alpha_1", "alpha-", "localhost", "a" * 64]
)
def test_a_host_name_is_one_label(bad: str, tmp_path: Path) -> None:
    (said,) = problems(tmp_path, f"machines:\n  cp2: {{hostname: {bad}}}\n")
    assert said.startswith("lab.yml:2: machines.cp2.hostname: should be up to 63 lower-case letters")


def test_a_machine_may_keep_its_own_name(tmp_path: Path) -> None:
    lab = written(tmp_path, "machines: {cp1: {hostname: cp1}, cp2: {hostname: beta}}\n")
    assert [lab_rules.hostname(lab, name) for name in ("cp1", "cp2", "cp3")] == ["cp1", "beta", "cp3"]


def test_two_machines_may_swap_their_addresses(tmp_path: Path) -> None:
    text = "network: 192.168.56.0/24\nmachines:\n  lb1: {address: 192.168.56.11}\n  cp1: {address: 192.168.56.10}\n"
    lab = written(tmp_path, text)
    network = IPv4Network(lab.network)
    assert lab_rules.address(lab, "lb1", network) == IPv4Address("192.168.56.11")
    assert lab_rules.address(lab, "cp1", network) == IPv4Address("192.168.56.10")


@pytest.mark.parametrize("count", [1, 3, 5])
def test_an_odd_number_of_members_needs_no_warning(count: int) -> None:
    assert list(lab_rules.warnings(LabFile(control_planes=count))) == []


@pytest.mark.parametrize(("count", "quorum", "tolerated"), [(2, 2, 0), (4, 3, 1)])
def test_an_even_number_of_members_is_allowed_with_a_warning_that_says_why_not(
    count: int, quorum: int, tolerated: int
) -> None:
    assert list(lab_rules.warnings(LabFile(control_planes=count))) == [
        f"control_planes: {count}: etcd needs {quorum} of {count} members. The number of failed machines that the lab "
        f"tolerates is {tolerated}, the same as with one control plane fewer"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "kubernetes: {pods: 10.1.0.0/20}\n",
            "lab.yml:1: kubernetes.pods: should be a /16, not a /20",
        ),
        (
            "kubernetes: {services: 10.96.0.0/28}\n",
            "lab.yml:1: kubernetes.services: should be a /12 to /24, not a /28",
        ),
        (
            "kubernetes: {services: 8.8.0.0/16}\n",
            "lab.yml:1: kubernetes.services: should be a private network (RFC 1918), a /16 in 10.0.0.0/8, "
            "172.16.0.0/12 or 192.168.0.0/16, not 8.8.0.0/16",
        ),
    ],
)
def test_a_network_of_the_cluster_has_a_size_and_is_private(text: str, said: str, tmp_path: Path) -> None:
    assert said in problems(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "warns"),
    [
        ("cni: none\n", True),
        ("cni: none\nmanifests: [cni.yaml]\n", False),
        ("cni: none\nsetup: {cp: {before: cni.sh}}\n", False),
        ("", False),
    ],
)
def test_a_lab_without_a_cni_is_warned_of(tmp_path: Path, text: str, warns: bool) -> None:
    assert (
        any("nodes stay NotReady" in line for line in lab_rules.warnings(written(tmp_path, text))) is warns
    )


@pytest.mark.parametrize(
    ("text", "warns"),
    [
        ("kubeadm: {cluster: {proxy: {disabled: true}}}\n", True),
        ("kubeadm: {init: {skipPhases: [addon/kube-proxy]}}\n", True),
        ("kubeadm: {init: {skipPhases: [addon]}}\n", False),
        ("kubeadm: {cluster: {proxy: {disabled: true}}}\nmanifests: [cilium.yaml]\n", False),
    ],
)
def test_a_lab_without_kube_proxy_is_warned_of(tmp_path: Path, text: str, warns: bool) -> None:
    said = lab_rules.warnings(written(tmp_path, text))
    assert any("CoreDNS does not reach the API" in line for line in said) is warns


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "manifests: [https://example.com/a.yaml]\n",
            "manifests[1]: should be the path of a file: download https://example.com/a.yaml, and write where",
        ),
        (
            "network: 192.168.77.0/24\nmachines: {cp1: {address: 192.168.77.300}}\n",
            'machines.cp1.address: should be an IPv4 address such as 192.168.77.21, not "192.168.77.300"',
        ),
    ],
)
def test_what_is_no_file_and_no_address_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, text)
    assert said in problem


def test_two_load_balancers_share_the_first_free_address_from_100_on(tmp_path: Path) -> None:
    network = IPv4Network("192.168.56.0/24")
    lab = written(tmp_path, PAIR)
    assert lab_rules.address(lab, "lb1", network) == IPv4Address("192.168.56.10")
    assert lab_rules.address(lab, "lb2", network) == IPv4Address("192.168.56.9")
    assert lab_rules.virtual_address(lab, network) == IPv4Address("192.168.56.100")
    taken = written(tmp_path, f"{PAIR}machines: {{cp1: {{address: 192.168.56.100}}}}\n")
    assert lab_rules.virtual_address(taken, network) == IPv4Address("192.168.56.101")
    chosen = written(tmp_path, f"{PAIR}  address: 192.168.56.5\n")
    assert lab_rules.virtual_address(chosen, network) == IPv4Address("192.168.56.5")


def test_the_virtual_address_stays_when_a_machine_with_an_address_of_its_own_leaves(tmp_path: Path) -> None:
    network = IPv4Network("192.168.56.0/24")
    text = f"{PAIR}workers: 1\nmachines: {{w1: {{address: 192.168.56.100}}}}\n"
    lab = written(tmp_path, text)
    smaller = lab.model_copy(update={"workers": 0})
    for size in (lab, smaller):
        assert lab_rules.virtual_address(size, network) == IPv4Address("192.168.56.101")


def test_kube_vip_has_the_first_free_address_from_100_on(tmp_path: Path) -> None:
    network = IPv4Network("192.168.56.0/24")
    lab = written(tmp_path, KUBE_VIP)
    assert list(lab_rules.names(lab)) == ["cp1", "cp2", "cp3"]
    assert lab_rules.virtual_address(lab, network) == IPv4Address("192.168.56.100")


def test_the_size_of_a_load_balancer_that_does_not_exist_is_a_warning(tmp_path: Path) -> None:
    lab = written(tmp_path, f"{KUBE_VIP}machines: {{lb: {{memory: 1G}}}}\n")
    assert list(lab_rules.warnings(lab)) == [
        "machines.lb has no effect: with kube-vip, no machine is a load balancer"
    ]


def test_one_load_balancer_has_no_virtual_address(tmp_path: Path) -> None:
    assert lab_rules.virtual_address(written(tmp_path, ""), IPv4Network("192.168.56.0/24")) is None


def test_a_configuration_of_keepalived_that_is_gone_is_named_with_its_line(tmp_path: Path) -> None:
    found = problems(tmp_path, "load_balancer:\n  machines: 2\n  keepalived: {config: gone.conf}\n")
    assert found == [f"lab.yml:3: load_balancer.keepalived.config: no such file: {tmp_path}/gone.conf"]


def test_with_dns_the_endpoint_has_a_name_in_any_case(tmp_path: Path) -> None:
    dns = "name: blue\nload_balancer: {kind: dns}\n"
    assert lab_rules.endpoint_name(written(tmp_path, dns)) == "api.blue.internal"
    assert (
        lab_rules.endpoint_name(written(tmp_path, f"{dns}endpoint: api.lab.example\n")) == "api.lab.example"
    )
    assert lab_rules.endpoint_name(written(tmp_path, "name: blue\n")) is None
    assert lab_rules.virtual_address(written(tmp_path, dns), IPv4Network("192.168.56.0/24")) is None
