"""Snapshots of containers: saved, restored, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.fakes import lab_of

from halab.config.lab import ProviderKind
from halab.machines.docker.engine import Engine
from halab.machines.docker.machines import DockerMachines
from halab.machines.power import PowerState
from halab.machines.work import Work

LAB = lab_of(name="ha", provider=ProviderKind.DOCKER)


@dataclass
class Thing:
    """A container, an image or a volume, as the docker library shows it."""

    client: FakeClient
    kind: str
    name: str
    labels: dict[str, str]
    attrs: dict[str, Any] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"id-of-{self.name}"

    @property
    def tags(self) -> list[str]:
        return [self.name, *self.others]

    def tag(self, repository: str, tag: str) -> None:
        self.client.did.append(f"tag {self.name} as {repository}:{tag}")
        for each in self.client.things:
            each.others = [other for other in each.others if other != f"{repository}:{tag}"]
        self.others.append(f"{repository}:{tag}")

    def remove(self, **options: Any) -> None:
        self.client.did.append(f"remove {self.kind} {self.name}")
        self.client.things.remove(self)

    def wait(self, *, condition: str, timeout: float) -> None:
        self.client.did.append(f"wait until {self.name} is {condition}")

    def commit(self, *, repository: str, tag: str, pause: bool, changes: list[str]) -> None:
        assert not pause
        self.client.did.append(f"commit {self.name} as {repository}:{tag}")
        labels = {**self.labels, "halab.snapshot": changes[0].partition("=")[2]}
        attrs = {"Config": {"Labels": labels}, "Created": "2026-11-26T10:00:00.123456789Z"}
        self.client.add("image", f"{repository}:{tag}", labels, attrs)

    def connect(self, container: Thing, ipv4_address: str) -> None:
        self.client.did.append(f"connect {container.name} at {ipv4_address}")


@dataclass
class FakeClient:
    """An engine that records what it is told; it has things of four kinds."""

    things: list[Thing] = field(default_factory=list)
    did: list[str] = field(default_factory=list)
    configs: list[dict[str, Any]] = field(default_factory=list)
    copies: list[dict[str, str]] = field(default_factory=list)

    def ping(self) -> None:
        pass

    def add(self, kind: str, name: str, labels: dict[str, str], attrs: dict[str, Any] | None = None) -> None:
        self.things.append(Thing(self, kind, name, labels, attrs or {"Labels": labels}))

    def names(self, kind: str) -> list[str]:
        return [each.name for each in self.things if each.kind == kind]

    @property
    def api(self) -> Any:
        client = self

        class Api:
            def create_container_from_config(self, config: dict[str, Any], name: str) -> dict[str, str]:
                client.configs.append(config)
                client.add("container", name, config["Labels"], container_attributes(config["Labels"]))
                return {"Id": f"new-{name}"}

        return Api()

    def __getattr__(self, kind: str) -> Any:
        client, one = self, kind.removesuffix("s")

        class Collection:
            def list(self, filters: dict[str, Any] | None = None, **options: Any) -> list[Thing]:
                labels = (filters or {}).get("label", [])
                wanted = [
                    label.partition("=") for label in ([labels] if isinstance(labels, str) else labels)
                ]
                return [
                    each
                    for each in client.things
                    if each.kind == one
                    and all(each.labels.get(n) == v if v else n in each.labels for n, _, v in wanted)
                ]

            def get(self, name: str) -> Thing:
                return next(each for each in client.things if (each.kind, each.name) == (one, name))

            def create(self, name: str, labels: dict[str, str]) -> None:
                client.add(one, name, labels)

            def run(
                self, image: str, words: Sequence[str], *, volumes: dict[str, Any], **options: Any
            ) -> None:
                source, target = volumes
                assert volumes[source]["mode"] == "ro" and volumes[target]["mode"] == "rw"
                # a container inherits the labels of its image, which may be a machine's
                images = [each for each in client.things if image in (each.id, each.name)]
                client.copies.append(
                    {**(images[0].attrs["Config"]["Labels"] if images else {}), **options["labels"]}
                )
                client.did.append(f"copy {source} to {target}")

            def remove(self, name: str, force: bool) -> None:
                """An image is removed with the last of its names."""
                found = next(each for each in client.things if each.kind == one and name in each.tags)
                if found.others and name == found.name:
                    found.name = found.others.pop()
                elif found.others:
                    found.others.remove(name)
                else:
                    found.remove()

        return Collection()


def container_attributes(labels: dict[str, str]) -> dict[str, Any]:
    return {
        "Name": f"/halab-ha-{labels['halab.machine']}",
        "Image": "sha256:box",
        "Config": {"Hostname": "cp1", "Env": ["HALAB_AUTHORIZED_KEY=key"], "Labels": labels, "Image": "box"},
        "HostConfig": {"Binds": ["halab-ha-cp1-etcd:/var/lib/etcd"], "NanoCpus": 50_000_000},
        "NetworkSettings": {"Networks": {}},
        "State": {"Running": False},
    }


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / ".halab")


@pytest.fixture
def client(work: Work) -> FakeClient:
    client = FakeClient()
    for machine in (LAB.machine("cp1"), LAB.machine("lb1")):
        labels = {"halab.lab": "ha", "halab.work": str(work), "halab.machine": machine.name}
        client.add("container", machine.host_name, labels, container_attributes(labels))
    client.add("network", "halab-ha", {"halab.lab": "ha", "halab.work": str(work)})
    client.add("volume", "pgdata", {})
    return client


@pytest.fixture
def engine(client: FakeClient) -> Engine:
    return Engine(client)  # type: ignore[arg-type]


@pytest.fixture
def machines(engine: Engine, work: Work) -> DockerMachines:
    work.of_vagrant("cp1", "docker").mkdir(parents=True)
    return engine.of(LAB, work)


def test_etcds_volume_is_copied_before_the_image_is_made(
    client: FakeClient, machines: DockerMachines
) -> None:
    machines.save("cp1", "one")
    assert client.did == [
        "copy halab-ha-cp1-etcd to halab-ha-cp1-etcd-at-one",
        "commit halab-ha-cp1 as halab-ha-cp1:one",
    ]
    (saved,) = machines.saved()
    assert (saved.snapshot, saved.machine) == ("one", "cp1")


def test_a_load_balancer_has_no_volume_to_copy(client: FakeClient, machines: DockerMachines) -> None:
    machines.save("lb1", "one")
    assert client.did == ["commit halab-ha-lb1 as halab-ha-lb1:one"]


def test_a_restored_machine_is_a_new_container_that_vagrant_knows(
    client: FakeClient, machines: DockerMachines, work: Work
) -> None:
    machines.save("cp1", "one")
    client.did.clear()
    machines.restore("cp1", "one")
    assert client.did == [
        "remove container halab-ha-cp1",
        "copy halab-ha-cp1-etcd-at-one to halab-ha-cp1-etcd",
        "tag halab-ha-cp1:one as halab-ha-cp1:_running",
        "connect halab-ha-cp1 at 10.213.7.11",
    ]
    (config,) = client.configs
    assert config["Image"] == "halab-ha-cp1:one"
    assert config["HostConfig"]["Binds"] == ["halab-ha-cp1-etcd:/var/lib/etcd"]
    # the limit of a fault is gone
    assert config["HostConfig"]["NanoCpus"] == 2_000_000_000
    assert config["Env"] == ["HALAB_AUTHORIZED_KEY=key"]
    assert (work.path / ".vagrant/machines/cp1/docker/id").read_text() == "new-halab-ha-cp1"


@pytest.mark.parametrize("what_comes_next", ["restore", "make_disks", "delete_snapshot"])
def test_a_copy_that_a_killed_halab_started_is_ended_first(
    what_comes_next: str, client: FakeClient, machines: DockerMachines
) -> None:
    machines.make_disks("cp1")
    machines.save("cp1", "one")
    client.add("container", "that-copies", client.copies[0])
    client.add("container", "of-another-lab", {**client.copies[0], "halab.lab": "other"})
    client.did.clear()
    match what_comes_next:
        case "restore":
            machines.restore("cp1", "one")
        case "make_disks":
            machines.make_disks("cp1")
        case _:
            machines.delete_snapshot("one")
    assert client.did[0] == "remove container that-copies"
    assert "of-another-lab" in client.names("container")


def test_a_helper_that_copies_is_not_listed_as_a_machine(
    client: FakeClient, machines: DockerMachines, work: Work
) -> None:
    machines.save("cp1", "one")
    machines.restore("cp1", "one")
    for labels in client.copies:
        client.things.insert(
            0, Thing(client, "container", "that-copies", labels, container_attributes(labels))
        )
    assert {each.machine for each in machines.infos()} == {"cp1", "lb1"}
    machines.register_with_vagrant("cp1")
    assert work.known_to_vagrant("cp1", "docker") == "id-of-halab-ha-cp1"


def test_a_machine_that_is_being_removed_is_waited_for(client: FakeClient, machines: DockerMachines) -> None:
    """A killed halab has asked for the removal; until it ends, the name is in use."""
    found = client.things[0]
    found.attrs["State"]["Status"] = "removing"
    assert machines.state("cp1") is PowerState.GONE
    assert client.did == ["wait until halab-ha-cp1 is removed"]


def test_a_machine_of_a_killed_halab_is_registered_with_vagrant(
    machines: DockerMachines, work: Work
) -> None:
    machines.register_with_vagrant("cp1")
    assert work.known_to_vagrant("cp1", "docker") == "id-of-halab-ha-cp1"


def test_a_missing_machine_is_not_registered_with_vagrant(engine: Engine, work: Work) -> None:
    engine.of(LAB, work).register_with_vagrant("cp2")
    assert not work.path.exists()


def test_a_snapshot_is_deleted_completely_and_others_stay(
    client: FakeClient, machines: DockerMachines
) -> None:
    for name in ("one", "two"):
        machines.save("cp1", name)
    machines.delete_snapshot("one")
    assert client.names("image") == ["halab-ha-cp1:two"]
    assert client.names("volume") == ["pgdata", "halab-ha-cp1-etcd-at-two"]


def test_the_image_of_a_restored_machine_outlives_the_snapshot(
    client: FakeClient, engine: Engine, machines: DockerMachines, work: Work
) -> None:
    """The next snapshot and the next pulled plug need a machine's image."""
    machines.save("cp1", "one")
    machines.restore("cp1", "one")
    machines.delete_snapshot("one")
    assert client.names("image") == ["halab-ha-cp1:_running"]
    assert machines.saved() == []
    engine.remove("ha", work)
    assert client.names("image") == []


def test_a_new_machine_gets_empty_volumes_and_snapshots_stay(
    client: FakeClient, machines: DockerMachines
) -> None:
    machines.make_disks("cp1")
    machines.save("cp1", "one")
    client.did.clear()
    machines.make_disks("cp1")
    assert client.did == ["remove volume halab-ha-cp1-containerd", "remove volume halab-ha-cp1-etcd"]
    assert sorted(client.names("volume")) == [
        "halab-ha-cp1-containerd", "halab-ha-cp1-etcd", "halab-ha-cp1-etcd-at-one", "pgdata",
    ]  # fmt: skip


def test_down_removes_only_the_volumes_and_snapshots_of_the_lab(
    client: FakeClient, engine: Engine, machines: DockerMachines, work: Work
) -> None:
    machines.make_disks("cp1")
    machines.save("cp1", "one")
    engine.remove("ha", work)
    assert [each.name for each in client.things] == ["pgdata"]
