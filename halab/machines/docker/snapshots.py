"""Snapshots of machines that are containers: an image of a machine's own files, and a copy of its etcd volume.

A container cannot be put back into the middle of its work: a snapshot has what a power cut at that moment would have
left on the disks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from docker import DockerClient
from docker.models.containers import Container

from halab.machines.docker import labels as labelled
from halab.machines.docker.labels import Labels
from halab.machines.snapshots import Saved
from halab.machines.work import Work
from halab.topology import container as planned
from halab.topology.container import (
    COPY_LABEL,
    HOST_LABEL,
    LABEL,
    MACHINE_LABEL,
    NO_MACHINE,
    SNAPSHOT_LABEL,
    WORK_LABEL,
)
from halab.topology.lab import Machine

_COPY = "find /to -mindepth 1 -delete && cp -a /from/. /to/"


def make_volumes(client: DockerClient, machine: Machine, labels: Labels) -> None:
    """Make the empty volumes of a machine that does not exist yet; what is left of volumes of that name is removed."""
    remove_volumes(client, labels, saved=False)
    for name in planned.volumes(machine):
        client.volumes.create(name, labels=labelled.from_this_host(labels))


def remove_volumes(client: DockerClient, labels: Labels, *, saved: bool) -> list[str]:
    """Remove the volumes that carry these labels, and volumes of snapshots only if `saved`. Return their names."""
    removed = []
    _end_copies(client, labels, labels.get(MACHINE_LABEL))
    for volume in client.volumes.list(filters=labelled.filters(labels)):
        if saved or SNAPSHOT_LABEL not in (volume.attrs.get("Labels") or {}):
            volume.remove(force=True)
            removed.append(volume.name)
    return removed


def save(
    client: DockerClient, container: Container, machine: Machine, labels: Labels, snapshot: str
) -> None:
    """Save what a machine has on its disks, while all machines of the lab are frozen or off.

    The image is made last: a machine that has one is saved completely.
    """
    saved_labels = {**labelled.from_this_host(labels), SNAPSHOT_LABEL: snapshot}
    for source, target in planned.saved_volumes(machine, snapshot).items():
        client.volumes.create(target, labels=saved_labels)
        _copy(client, container.attrs["Image"], saved_labels, source, target)
    repository, _, tag = planned.saved_image(machine.host_name, snapshot).partition(":")
    changes = [f"LABEL {SNAPSHOT_LABEL}={snapshot}"]
    container.commit(repository=repository, tag=tag, pause=False, changes=changes)


def restore(
    client: DockerClient, container: Container, machine: Machine, labels: Labels, snapshot: str
) -> str:
    """Replace a machine by one that is made from a snapshot; the id of the new container.

    It has the same name, arguments and volumes, and it is not started.
    """
    before, host = container.attrs["Config"], container.attrs["HostConfig"]
    name = planned.saved_image(machine.host_name, snapshot)
    image = client.images.get(name)
    _end_copies(client, labels, machine.name)
    container.remove(force=True)
    for source, target in planned.saved_volumes(machine, snapshot).items():
        _copy(client, str(image.id), labels, target, source)
    config = {
        **before,
        "Image": name,
        # a limit that a fault has set ends here
        "HostConfig": {**host, "NanoCpus": round(machine.cpus * 1e9)},
    }
    api: Any = client.api
    created = api.create_container_from_config(config, machine.host_name)
    # the next snapshot and the next pulled plug need the image: it stays as long as the machine
    repository, _, tag = planned.running_image(machine.host_name).partition(":")
    image.tag(repository, tag)
    for other in client.images.list(filters=labelled.filters(labels, SNAPSHOT_LABEL)):
        if not other.tags:
            client.images.remove(str(other.id), force=True)
    return str(created["Id"])


def saved(client: DockerClient, lab: str, work: Work) -> list[Saved]:
    """The machines in the snapshots of a lab."""
    machines = []
    for image in client.images.list(filters=labelled.filters(labelled.of_lab(lab, work), SNAPSHOT_LABEL)):
        carried = image.attrs["Config"]["Labels"]
        snapshot = carried[SNAPSHOT_LABEL]
        if any(tag.endswith(f":{snapshot}") for tag in image.tags):
            created = datetime.fromisoformat(image.attrs["Created"])
            machines.append(Saved(snapshot, carried[MACHINE_LABEL], created))
    return machines


def delete(client: DockerClient, lab: str, work: Work, snapshot: str | None = None) -> list[str]:
    """Remove one snapshot, or all of a lab without machines. Return the names of what was removed."""
    labels = labelled.of_lab(lab, work)
    wanted = SNAPSHOT_LABEL if snapshot is None else f"{SNAPSHOT_LABEL}={snapshot}"
    removed = []
    _end_copies(client, labels)
    for image in client.images.list(filters=labelled.filters(labels, wanted)):
        if snapshot is None:
            names = image.tags or [str(image.id)]
        else:
            names = [tag for tag in image.tags if tag.endswith(f":{snapshot}")]
        for name in names:
            client.images.remove(name, force=True)
            removed.append(name)
    for volume in client.volumes.list(filters=labelled.filters(labels, wanted)):
        volume.remove(force=True)
        removed.append(volume.name)
    return removed


def _copy(client: DockerClient, image: str, labels: Labels, source: str, target: str) -> None:
    """Replace a volume's content by the content of another one, with owners, modes and times."""
    own = {label: value for label, value in labels.items() if label in (LABEL, WORK_LABEL, HOST_LABEL)}
    client.containers.run(
        image,
        ["-c", _COPY],
        entrypoint="/bin/bash",
        labels={**own, **NO_MACHINE, COPY_LABEL: labels[MACHINE_LABEL]},
        volumes={source: {"bind": "/from", "mode": "ro"}, target: {"bind": "/to", "mode": "rw"}},
        network_mode="none",
        cap_drop=["ALL"],
        cap_add=["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"],
        remove=True,
    )


def _end_copies(client: DockerClient, labels: Labels, machine: str | None = None) -> None:
    """Remove copies that a killed halab has started: they would go on writing into a volume, or keep it in use."""
    of_lab = {label: labels[label] for label in (LABEL, WORK_LABEL)}
    wanted = COPY_LABEL if machine is None else f"{COPY_LABEL}={machine}"
    for container in client.containers.list(
        all=True, filters=labelled.filters(of_lab, wanted), ignore_removed=True
    ):
        container.remove(force=True)
