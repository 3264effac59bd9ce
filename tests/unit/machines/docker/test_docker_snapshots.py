"""Snapshots of containers: what is copied, what is made anew from it, and what is removed."""

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
    """An engine that writes down what it is told; it holds things of four kinds."""

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
                # the image may be a machine's own, whose labels a container has where it says nothing else
                images = [each for each in client.things if image in (each.id, each.name)]
                client.copies.append(
                    {**(images[0].attrs["Config"]["Labels"] if images else {}), **options["labels"]}
                )
                client.did.append(f"copy {source} to {target}")

            def remove(self, name: str, force: bool) -> None:
                """An image goes with the last of its names."""
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


def test_etcds_disk_is_copied_before_the_image_that_says_that_all_is_there(
    client: FakeClient, machines: DockerMachines
) -> None:
    machines.save("cp1", "one")
    assert client.did == [
        "copy halab-ha-cp1-etcd to halab-ha-cp1-etcd-at-one",
        "commit halab-ha-cp1 as halab-ha-cp1:one",
    ]
    (saved,) = machines.saved()
    assert (saved.snapshot, saved.machine) == ("one", "cp1")


def test_a_load_balancer_has_no_disk_but_its_own(client: FakeClient, machines: DockerMachines) -> None:
    machines.save("lb1", "one")
    assert client.did == ["commit halab-ha-lb1 as halab-ha-lb1:one"]


def test_a_machine_is_made_anew_from_what_was_saved_and_vagrant_is_told(
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
    # a limit that a fault has set is not kept
    assert config["HostConfig"]["NanoCpus"] == 2_000_000_000
    assert config["Env"] == ["HALAB_AUTHORIZED_KEY=key"]
    assert (work.path / ".vagrant/machines/cp1/docker/id").read_text() == "new-halab-ha-cp1"


@pytest.mark.parametrize("what_comes_next", ["restore", "make_disks", "delete_snapshot"])
def test_a_copy_that_a_killed_halab_has_begun_is_ended_first(
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


def test_what_copies_is_no_machine_though_its_image_is_one_of_a_machine(
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


def test_a_machine_that_is_being_removed_is_waited_for_and_gone(
    client: FakeClient, machines: DockerMachines
) -> None:
    """A killed halab has asked for it, and its name is taken meanwhile."""
    found = client.things[0]
    found.attrs["State"]["Status"] = "removing"
    assert machines.state("cp1") is PowerState.GONE
    assert client.did == ["wait until halab-ha-cp1 is removed"]


def test_vagrant_is_told_of_a_machine_whose_maker_was_killed_before_it_could(
    machines: DockerMachines, work: Work
) -> None:
    machines.register_with_vagrant("cp1")
    assert work.known_to_vagrant("cp1", "docker") == "id-of-halab-ha-cp1"


def test_of_a_machine_that_is_not_there_vagrant_is_told_nothing(engine: Engine, work: Work) -> None:
    engine.of(LAB, work).register_with_vagrant("cp2")
    assert not work.path.exists()


def test_a_snapshot_is_deleted_with_all_that_it_has_and_no_other(
    client: FakeClient, machines: DockerMachines
) -> None:
    for name in ("one", "two"):
        machines.save("cp1", name)
    machines.delete_snapshot("one")
    assert client.names("image") == ["halab-ha-cp1:two"]
    assert client.names("volume") == ["pgdata", "halab-ha-cp1-etcd-at-two"]


def test_what_a_machine_was_restored_from_outlives_the_snapshot(
    client: FakeClient, engine: Engine, machines: DockerMachines, work: Work
) -> None:
    """The engine is asked for a machine's image at the next snapshot, and when a plug is pulled."""
    machines.save("cp1", "one")
    machines.restore("cp1", "one")
    machines.delete_snapshot("one")
    assert client.names("image") == ["halab-ha-cp1:_running"]
    assert machines.saved() == []
    engine.remove("ha", work)
    assert client.names("image") == []


def test_a_machine_that_is_made_anew_gets_empty_volumes_and_snapshots_stay(
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


def test_down_removes_the_volumes_and_snapshots_of_the_lab_alone(
    client: FakeClient, engine: Engine, machines: DockerMachines, work: Work
) -> None:
    machines.make_disks("cp1")
    machines.save("cp1", "one")
    engine.remove("ha", work)
    assert [each.name for each in client.things] == ["pgdata"]
