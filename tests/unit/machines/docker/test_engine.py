"""The docker engine: what has the lab's labels is ours, and nothing else is changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests
from support.fakes import lab_of

from halab.errors import HostProblem, LabProblem
from halab.machines.docker.engine import Engine
from halab.machines.host import identity
from halab.machines.work import Work

WORK = Work(Path("/labs/ada/.halab"))
OURS = {"halab.lab": "ha", "halab.work": str(WORK)}
OTHER_WORK = {"halab.lab": "ha", "halab.work": "/labs/bob/.halab"}


@dataclass
class FakeContainer:
    """A container, or a network, as the docker library shows it."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    running: bool = True
    subnet: str = "10.213.7.0/24"
    connected: dict[str, Any] = field(default_factory=lambda: {"bridge": {"IPAddress": "172.17.0.2"}})
    removed: dict[str, bool] | None = None

    @property
    def attrs(self) -> dict[str, Any]:
        return {
            "Name": f"/{self.name}",
            "Config": {"Labels": self.labels},
            "Labels": self.labels or None,
            "State": {"Running": self.running},
            "NetworkSettings": {"Networks": self.connected},
            "IPAM": {"Config": [{"Subnet": self.subnet}] if self.subnet else None},
        }

    def remove(self, **options: bool) -> None:
        self.removed = options

    def connect(self, container: FakeContainer, ipv4_address: str) -> None:
        container.connected[self.name] = {"IPAddress": ipv4_address}


@dataclass
class FakeCollection:
    items: list[FakeContainer]
    created: list[dict[str, Any]] = field(default_factory=list)

    def list(self, filters: dict[str, Any] | None = None, **options: bool) -> Iterable[FakeContainer]:
        wanted = (filters or {}).get("label", [])
        labels = [wanted] if isinstance(wanted, str) else wanted
        return [
            each
            for each in self.items
            if each.removed is None and all(_carries(each.labels, label) for label in labels)
        ]

    def get(self, name: str) -> FakeContainer:
        return next(each for each in self.items if each.name == name)

    def create(self, name: str, **options: Any) -> None:
        self.created.append({"name": name, **options})


def _carries(labels: dict[str, str], label: str) -> bool:
    name, _, value = label.partition("=")
    return labels.get(name) == value if value else name in labels


@dataclass
class FakeClient:
    containers: FakeCollection = field(default_factory=lambda: FakeCollection([]))
    networks: FakeCollection = field(default_factory=lambda: FakeCollection([]))
    volumes: FakeCollection = field(default_factory=lambda: FakeCollection([]))
    images: FakeCollection = field(default_factory=lambda: FakeCollection([]))

    def ping(self) -> None:
        pass


def engine(
    containers: Iterable[FakeContainer] = (), networks: Iterable[FakeContainer] = ()
) -> tuple[Engine, FakeClient]:
    client: Any = FakeClient(FakeCollection([*containers]), FakeCollection([*networks]))
    return Engine(client), client


def test_down_removes_what_has_both_labels_and_nothing_else() -> None:
    ours = [FakeContainer("halab-ha-cp1", OURS), FakeContainer("halab-ha-lb1", OURS, running=False)]
    others = [
        FakeContainer("halab-ha-cp2", OTHER_WORK),
        FakeContainer("halab-x-cp1", {**OURS, "halab.lab": "x"}),
        FakeContainer("postgres"),
    ]
    network, foreign = FakeContainer("halab-ha", OURS), FakeContainer("halab-ha", OTHER_WORK)
    found, _ = engine([*ours, *others], [network, foreign])
    assert found.remove("ha", WORK) == ["halab-ha-cp1", "halab-ha-lb1", "halab-ha"]
    assert [each.removed for each in ours] == [{"force": True, "v": True}] * 2
    assert [each.removed for each in (*others, foreign)] == [None] * 4
    assert found.remove("ha", WORK) == []


def test_machines_are_found_by_label_in_every_state() -> None:
    machine = {**OURS, "halab.machine": "cp1"}
    found, _ = engine(
        [FakeContainer("halab-ha-cp1", machine, running=False, connected={}), FakeContainer("other")]
    )
    (container,) = found.machines("ha")
    assert (container.lab, container.machine, container.host_name) == ("ha", "cp1", "halab-ha-cp1")
    assert (container.running, container.address) == (False, None)
    assert found.machines() == [container]
    assert found.machines("x") == []


def test_a_machine_is_reached_on_the_engines_bridge() -> None:
    found, _ = engine([FakeContainer("halab-ha-cp1", {**OURS, "halab.machine": "cp1"})])
    assert found.machines("ha")[0].address == IPv4Address("172.17.0.2")


@pytest.mark.parametrize("labels", [{}, OTHER_WORK])
@pytest.mark.parametrize("kind", ["container", "network"])
def test_a_name_of_another_owner_is_refused(kind: str, labels: dict[str, str]) -> None:
    name = "halab-ha-cp2" if kind == "container" else "halab-ha"
    there = [FakeContainer(name, labels)]
    found, _ = engine(there) if kind == "container" else engine((), there)
    with pytest.raises(LabProblem, match=f"another owner's .*{kind}: {name} ") as caught:
        found.of(lab_of(), WORK).require_free_names()
    assert labels.get("halab.work", "not made by halab") in caught.value.message


def test_the_labs_own_names_and_unrelated_names_are_accepted() -> None:
    found, _ = engine(
        [FakeContainer("halab-ha-cp2", OURS), FakeContainer("halab-ha-cp9"), FakeContainer("db")],
        [FakeContainer("halab-ha", OURS), FakeContainer("halab-hat"), FakeContainer("bridge")],
    )
    found.of(lab_of(), WORK).require_free_names()


def test_the_network_of_a_lab_is_made_once() -> None:
    found, client = engine()
    found.of(lab_of(), WORK).make_networks()
    (made,) = client.networks.created
    assert (made["name"], made["labels"]) == ("halab-ha", {**OURS, "halab.host": identity.of_this_host()})
    assert made["ipam"]["Config"][0]["Subnet"] == "10.213.7.0/24"
    assert made["ipam"]["Config"][0]["Gateway"] == "10.213.7.1"
    assert len(made["options"]["com.docker.network.bridge.name"]) <= 15
    again, client = engine(networks=[FakeContainer("halab-ha", OURS)])
    again.of(lab_of(), WORK).make_networks()
    assert client.networks.created == []


def test_a_network_with_other_addresses_is_replaced() -> None:
    before = FakeContainer("halab-ha", OURS, subnet="10.213.9.0/24")
    found, client = engine(networks=[before])
    found.of(lab_of(), WORK).make_networks()
    assert before.removed is not None
    assert len(client.networks.created) == 1


def test_a_machine_is_connected_once_at_its_address() -> None:
    container, network = (
        FakeContainer("halab-ha-cp1", {**OURS, "halab.machine": "cp1"}),
        FakeContainer("halab-ha", OURS),
    )
    found, _ = engine([container], [network])
    for _ in range(2):
        found.of(lab_of(), WORK).connect("cp1")
    assert container.connected["halab-ha"] == {"IPAddress": "10.213.7.11"}


def test_networks_of_others_are_listed() -> None:
    found, _ = engine(
        networks=[
            FakeContainer("a", subnet="172.17.0.0/16"),
            FakeContainer("b", subnet="fd00::/64"),
            FakeContainer("host", subnet=""),
        ]
    )
    assert found.networks() == [IPv4Network("172.17.0.0/16")]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            docker.errors.APIError("x", explanation="no space left on device"),
            "the docker engine refused: no space",
        ),
        (docker.errors.DockerException("x"), "no docker engine answers: x"),
        (requests.exceptions.ConnectionError("gone"), "no docker engine answers: gone"),
        (
            requests.exceptions.ConnectionError(
                ValueError("Connection aborted.", FileNotFoundError(2, "No such file or directory"))
            ),
            "no docker engine answers: no such file or directory",
        ),
    ],
)
def test_errors_of_the_library_become_host_problems(error: Exception, message: str) -> None:
    found, client = engine()

    def fail(**options: object) -> None:
        raise error

    client.containers.list = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(HostProblem, match=message):
        found.machines("ha")


def test_a_missing_engine_is_reported_with_a_way_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # nobody listens at port 1 of the loopback
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(HostProblem, match="no docker engine answers") as caught:
        Engine()
    assert "scripts/bare-host" in (caught.value.hint or "")


def test_networks_are_listed_with_bridge_and_owner() -> None:
    found, _ = engine([], [FakeContainer("halab-ha", OURS)])
    (subnet,) = found.subnets()
    assert subnet.networks == (IPv4Network("10.213.7.0/24"),)
    assert not subnet.is_of("ha", Work(Path("/labs/bob/.halab")))
