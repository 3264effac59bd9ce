"""From a lab file to machines and addresses."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import lab_of

from halab.config.roles import Role
from halab.topology import container

PODS, SERVICES = IPv4Network("10.244.0.0/16"), IPv4Network("10.96.0.0/12")
NETWORKS = st.integers(0, 255).map(lambda third: IPv4Network(f"10.213.{third}.0/24"))


def test_the_default_lab_is_a_load_balancer_and_three_control_planes() -> None:
    lab = lab_of()
    assert [machine.name for machine in lab.machines] == ["lb1", "cp1", "cp2", "cp3"]
    assert [str(machine.address) for machine in lab.machines] == [
        "10.213.7.10", "10.213.7.11", "10.213.7.12", "10.213.7.13"
    ]  # fmt: skip
    assert (lab.endpoint, str(lab.gateway), lab.label) == ("10.213.7.10:6443", "10.213.7.1", "halab-ha")
    assert lab.balancer.name == "lb1"
    assert not lab.balancer.is_node


@given(st.sampled_from([1, 3, 5]), st.integers(0, 20), NETWORKS)
def test_every_machine_has_its_own_addresses_and_name(
    control_planes: int, workers: int, network: IPv4Network
) -> None:
    lab = lab_of(network, control_planes=control_planes, workers=workers)
    assert (len(lab.control_planes), len(lab.workers)) == (control_planes, workers)
    assert lab.nodes == (*lab.control_planes, *lab.workers)
    for values in (
        [machine.name for machine in lab.machines],
        [machine.host_name for machine in lab.machines],
        [machine.address for machine in lab.machines],
        [machine.mac for machine in lab.machines],
        [machine.pods for machine in lab.machines],
    ):
        assert len(set(values)) == 1 + control_planes + workers
    reserved = {network.network_address, network.broadcast_address, lab.gateway}
    for machine in lab.machines:
        assert machine.address in network
        assert machine.address not in reserved
        assert machine.pods.subnet_of(PODS)
        assert not machine.pods.overlaps(SERVICES)


@given(st.sampled_from(["ha", "a", "x" * 20]), NETWORKS)
def test_the_same_input_gives_the_same_lab(name: str, network: IPv4Network) -> None:
    assert lab_of(network, name=name) == lab_of(network, name=name)


def test_two_labs_share_no_name_and_no_hardware_address() -> None:
    one, other = lab_of(name="one"), lab_of(name="other")
    assert not {machine.host_name for machine in one.machines} & {
        machine.host_name for machine in other.machines
    }
    assert not {machine.mac for machine in one.machines} & {machine.mac for machine in other.machines}


def test_a_hardware_address_has_qemus_prefix_and_does_not_change() -> None:
    assert lab_of().machine("cp1").mac == lab_of(IPv4Network("10.213.9.0/24")).machine("cp1").mac
    assert lab_of().machine("cp1").mac.startswith("52:54:00:")


def test_sizes_depend_on_the_role() -> None:
    lab = lab_of(workers=1, machines={"cp": {"cpus": 4, "memory": "3G"}, "worker": {"memory": "768M"}})
    sizes = {machine.role: (machine.cpus, machine.memory_mebibytes) for machine in lab.machines}
    assert sizes == {Role.LOAD_BALANCER: (1, 512), Role.CONTROL_PLANE: (4, 3072), Role.WORKER: (1, 768)}


def test_an_unknown_machine_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        lab_of().machine("cp9")


def arguments(machine: str) -> list[str]:
    lab = lab_of()
    return container.arguments(
        lab,
        lab.machine(machine),
        work="/labs/.halab",
        identity="0123456789ab",
        public_key="ssh-ed25519 AAAA",
    )


def pairs(words: list[str], option: str) -> list[str]:
    return [value for word, value in zip(words, words[1:], strict=False) if word == option]


def test_a_container_has_the_labels_by_which_it_is_found() -> None:
    assert pairs(arguments("cp1"), "--label") == [
        "halab.lab=ha",
        "halab.machine=cp1",
        "halab.work=/labs/.halab",
        "halab.host=0123456789ab",
    ]


def test_a_container_is_not_privileged() -> None:
    words = arguments("cp1")
    assert "--privileged" not in words
    assert pairs(words, "--cap-drop") == ["ALL"]
    # the clock and the kernel are the host's
    assert not {"SYS_TIME", "SYS_MODULE", "SYS_RAWIO", "SYS_RESOURCE"} & set(pairs(words, "--cap-add"))


def test_only_nodes_have_volumes_and_all_have_the_key() -> None:
    assert pairs(arguments("cp1"), "--volume") == [
        "halab-ha-cp1-containerd:/var/lib/containerd",
        "halab-ha-cp1-etcd:/var/lib/etcd",
    ]
    assert pairs(arguments("lb1"), "--volume") == []
    assert pairs(arguments("lb1"), "--env") == ["HALAB_AUTHORIZED_KEY=ssh-ed25519 AAAA"]


def test_one_machine_may_differ_from_its_role() -> None:
    own = {"cp2": {"memory": "3G", "address": "10.213.7.32"}, "lb1": {"cpus": 2}}
    lab = lab_of(machines=own)
    assert [machine.memory_mebibytes for machine in lab.control_planes] == [2048, 3072, 2048]
    assert lab.balancer.cpus == 2
    # the pods of a node have the network that its address ends with
    assert str(lab.machine("cp2").address) == "10.213.7.32"
    assert str(lab.machine("cp2").pods) == "10.244.32.0/24"


def test_the_networks_of_the_cluster_are_those_of_the_file() -> None:
    lab = lab_of(kubernetes={"pods": "172.20.0.0/16", "services": "172.21.0.0/16"})
    assert (str(lab.pods), str(lab.services)) == ("172.20.0.0/16", "172.21.0.0/16")
    assert [str(machine.pods) for machine in lab.nodes] == [
        "172.20.11.0/24",
        "172.20.12.0/24",
        "172.20.13.0/24",
    ]
