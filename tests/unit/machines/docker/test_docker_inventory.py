"""The resources of labs at a docker engine, listed and removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import docker.errors
import pytest

from halab.errors import HostProblem
from halab.machines.docker import inventory
from halab.machines.docker.engine import Engine
from halab.machines.inventory import Resource, ResourceKind

OURS = {"halab.lab": "ha", "halab.work": "/labs/.halab", "halab.host": "here"}
MACHINE = {**OURS, "halab.machine": "cp1"}


@dataclass
class Thing:
    id: str
    name: str
    labels: dict[str, str]
    created: str = "2026-11-26T09:00:00.123456789Z"
    tags: list[str] = field(default_factory=list)
    removed: dict[str, bool] | None = None
    refuses: Exception | None = None

    @property
    def attrs(self) -> dict[str, Any]:
        return {
            "Config": {"Labels": self.labels}, "Labels": self.labels, "Created": self.created,
            "CreatedAt": self.created,
        }  # fmt: skip

    def remove(self, **options: bool) -> None:
        if self.refuses:
            raise self.refuses
        self.removed = options


@dataclass
class Things:
    items: list[Thing]

    def list(self, filters: dict[str, Any], **options: bool) -> list[Thing]:
        return [each for each in self.items if set(filters["label"]) <= each.labels.keys()]

    def get(self, key: str) -> Thing:
        for each in self.items:
            if key in (each.id, each.name):
                return each
        raise docker.errors.NotFound("no such thing")

    def remove(self, key: str, **options: bool) -> None:
        self.get(key).remove(**options)


class Client:
    def __init__(self, usage: dict[str, Any] | Exception) -> None:
        self.containers = Things([
            Thing("c1", "halab-ha-cp1", MACHINE),
            Thing("c2", "quick", OURS),
            Thing("c3", "postgres", {}),
            Thing("c4", "half", {"halab.lab": "ha"}),
        ])  # fmt: skip
        self.networks = Things([Thing("n1", "halab-ha", OURS), Thing("n2", "bridge", {})])
        self.volumes = Things([
            Thing("v1", "v1", {**MACHINE, "halab.snapshot": "noon"}, created="2026-11-26T10:00:00+01:00"),
            Thing("v2", "v2", {}),
        ])  # fmt: skip
        self.images = Things([
            Thing("sha256:0123456789abcdef", "", {**OURS, "halab.snapshot": "noon"}, created="0001-01-01T00:00:00Z"),
            Thing("sha256:box", "", {"halab.box": "1"}, tags=["halab/debian-12:1"]),
        ])  # fmt: skip
        self.usage = usage

    def ping(self) -> None:
        pass

    def df(self) -> dict[str, Any]:
        if isinstance(self.usage, Exception):
            raise self.usage
        return self.usage


USAGE = {
    "Containers": [{"Id": "c1", "SizeRw": 7}, {"Id": "c2"}],
    "Volumes": [{"Name": "v1", "UsageData": {"Size": 12}}, {"Name": "v2", "UsageData": None}],
    "Images": [{"Id": "sha256:0123456789abcdef", "Size": 100, "SharedSize": 90}],
}


def engine(usage: dict[str, Any] | Exception) -> tuple[Engine, Client]:
    client: Any = Client(usage)
    return Engine(client), client


def test_everything_with_the_labels_is_listed_and_nothing_else() -> None:
    found = {each.key: each for each in engine(USAGE)[0].resources()}
    assert {key: (each.kind, each.name) for key, each in found.items()} == {
        "c1": (ResourceKind.MACHINE, "halab-ha-cp1"),
        "c2": (ResourceKind.CONTAINER, "quick"),
        "n1": (ResourceKind.NETWORK, "halab-ha"),
        "v1": (ResourceKind.VOLUME, "v1"),
        "sha256:0123456789abcdef": (ResourceKind.IMAGE, "0123456789ab"),
    }
    machine, volume = found["c1"], found["v1"]
    assert (machine.lab, machine.work, machine.host, machine.machine) == (
        "ha",
        "/labs/.halab",
        "here",
        "cp1",
    )
    assert (machine.size_bytes, volume.size_bytes, found["n1"].size_bytes) == (7, 12, None)
    assert found["c2"].size_bytes == 0
    # the layers that it shares with the box do not count
    assert found["sha256:0123456789abcdef"].size_bytes == 10
    assert volume.snapshot == "noon"
    assert volume.created == datetime(2026, 11, 26, 9, tzinfo=UTC)
    assert machine.created == datetime(2026, 11, 26, 9, 0, 0, 123456, UTC)
    assert found["sha256:0123456789abcdef"].created is None


def test_resources_are_listed_without_sizes_if_the_engine_cannot_count() -> None:
    busy = docker.errors.APIError("x", explanation="a disk usage operation is already running")
    found = engine(busy)[0].resources()
    assert len(found) == 5
    assert {each.size_bytes for each in found} == {None}


def test_every_kind_of_resource_is_removed() -> None:
    found, client = engine(USAGE)
    for each in found.resources():
        found.discard(each)
    collections = (client.containers, client.networks, client.volumes, client.images)
    removed = {each.id: each.removed for things in collections for each in things.items}
    assert removed == {
        "c1": {"force": True, "v": True}, "c2": {"force": True, "v": True}, "c3": None, "c4": None,
        "n1": {}, "n2": None, "v1": {"force": True}, "v2": None,
        "sha256:0123456789abcdef": {"force": True}, "sha256:box": None,
    }  # fmt: skip


def one(found: Engine, key: str) -> Resource:
    return next(each for each in found.resources() if each.key == key)


def test_a_resource_that_no_longer_exists_is_no_problem() -> None:
    found, client = engine(USAGE)
    machine = one(found, "c1")
    client.containers.items.clear()
    found.discard(machine)


def test_a_volume_that_now_belongs_to_another_owner_stays() -> None:
    found, client = engine(USAGE)
    volume = one(found, "v1")
    client.volumes.items[0].labels = {}
    found.discard(volume)
    assert client.volumes.items[0].removed is None


def test_an_error_of_the_engine_is_a_host_problem() -> None:
    found, client = engine(USAGE)
    client.networks.items[0].refuses = docker.errors.APIError("x", explanation="has active endpoints")
    with pytest.raises(HostProblem, match="has active endpoints"):
        found.discard(one(found, "n1"))


def test_unknown_sizes_are_left_out() -> None:
    assert inventory.sizes({"Volumes": [{"Name": "v", "UsageData": {"Size": -1}}]}) == {}
    assert inventory.sizes({"Volumes": None}) == {}
