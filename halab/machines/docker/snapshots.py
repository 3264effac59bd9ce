"""Snapshots of machines that are containers: an image of a machine's own files, and a copy of what etcd keeps.

A container cannot be put back into the middle of its work: what a snapshot has is what a power cut at that moment would
have left. The questions are put to a client that `Engine` holds, so that the library has one home.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from halab.machines.host import identity
from halab.machines.snapshots import Saved
from halab.topology import container
from halab.topology.container import (
    COPY_LABEL,
    HOST_LABEL,
    LABEL,
    MACHINE_LABEL,
    NO_MACHINE,
    SNAPSHOT_LABEL,
    WORK_LABEL,
)
from halab.topology.lab import Lab, Machine

_COPY = "find /to -mindepth 1 -delete && cp -a /from/. /to/"


def make_volumes(client: Any, lab: Lab, machine: Machine, work: Path) -> None:
    """The empty volumes of a machine that is about to be made: what one of that name has left is removed."""
    remove_volumes(client, _labels(lab, machine, work), saved=False)
    for name in container.volumes(machine):
        client.volumes.create(
            name, labels={**_labels(lab, machine, work), HOST_LABEL: identity.of_this_host()}
        )


def remove_volumes(client: Any, labels: dict[str, str], *, saved: bool) -> list[str]:
    """Remove the volumes that carry these labels, those of snapshots only where it is said; their names."""
    removed = []
    _end_copies(client, labels, labels.get(MACHINE_LABEL))
    for volume in client.volumes.list(filters=_filters(labels)):
        if saved or SNAPSHOT_LABEL not in (volume.attrs.get("Labels") or {}):
            volume.remove(force=True)
            removed.append(str(volume.name))
    return removed


def save(client: Any, found: Any, lab: Lab, machine: Machine, work: Path, snapshot: str) -> None:
    """Keep what a machine has on its disks. It is frozen, or off, as all the others are.

    The image comes last: what has one is whole.
    """
    labels = {**_labels(lab, machine, work), HOST_LABEL: identity.of_this_host(), SNAPSHOT_LABEL: snapshot}
    for source, target in container.saved_volumes(machine, snapshot).items():
        client.volumes.create(target, labels=labels)
        _copy(client, found.attrs["Image"], labels, source, target)
    repository, _, tag = container.saved_image(machine.host_name, snapshot).partition(":")
    changes = [f"LABEL {SNAPSHOT_LABEL}={snapshot}"]
    found.commit(repository=repository, tag=tag, pause=False, changes=changes)


def restore(client: Any, found: Any, lab: Lab, machine: Machine, work: Path, snapshot: str) -> str:
    """Make a machine from what a snapshot keeps of it, in place of the one that is there; its new id.

    It has the same name, arguments and volumes, and it is not started.
    """
    before, host = found.attrs["Config"], found.attrs["HostConfig"]
    image = container.saved_image(machine.host_name, snapshot)
    kept = client.images.get(image)
    labels = _labels(lab, machine, work)
    _end_copies(client, labels, machine.name)
    found.remove(force=True)
    for source, target in container.saved_volumes(machine, snapshot).items():
        _copy(client, kept.id, labels, target, source)
    config = {
        **before,
        "Image": image,
        # what a fault has taken of them is given back
        "HostConfig": {**host, "NanoCpus": round(machine.cpus * 1e9)},
    }
    made = client.api.create_container_from_config(config, machine.host_name)
    # the image is asked for again at the next snapshot, and when a plug is pulled: it stays as long as the machine
    kept.tag(*container.running_image(machine.host_name).split(":"))
    for each in client.images.list(filters=_filters(labels, SNAPSHOT_LABEL)):
        if not each.tags:
            client.images.remove(each.id, force=True)
    return str(made["Id"])


def saved(client: Any, lab: str, work: Path) -> list[Saved]:
    """What there is of the snapshots of a lab."""
    found = []
    for image in client.images.list(filters=_filters({LABEL: lab, WORK_LABEL: str(work)}, SNAPSHOT_LABEL)):
        labels = image.attrs["Config"]["Labels"]
        snapshot = labels[SNAPSHOT_LABEL]
        if any(tag.endswith(f":{snapshot}") for tag in image.tags):
            created = datetime.fromisoformat(image.attrs["Created"])
            found.append(Saved(snapshot, labels[MACHINE_LABEL], created))
    return found


def delete(client: Any, lab: str, work: Path, snapshot: str | None = None) -> list[str]:
    """Remove a snapshot, or all that a lab without machines has of any; the names of what went."""
    labels = {LABEL: lab, WORK_LABEL: str(work)}
    known = SNAPSHOT_LABEL if snapshot is None else f"{SNAPSHOT_LABEL}={snapshot}"
    removed = []
    _end_copies(client, labels)
    for image in client.images.list(filters=_filters(labels, known)):
        if snapshot is None:
            names = image.tags or [image.id]
        else:
            names = [tag for tag in image.tags if tag.endswith(f":{snapshot}")]
        for name in names:
            client.images.remove(name, force=True)
            removed.append(str(name))
    for volume in client.volumes.list(filters=_filters(labels, known)):
        volume.remove(force=True)
        removed.append(str(volume.name))
    return removed


def _copy(client: Any, image: str, labels: dict[str, str], source: str, target: str) -> None:
    """Make a volume's content that of another one, with owners, modes and times."""
    mine = {label: value for label, value in labels.items() if label in (LABEL, WORK_LABEL, HOST_LABEL)}
    client.containers.run(
        image,
        ["-c", _COPY],
        entrypoint="/bin/bash",
        labels={**mine, **NO_MACHINE, COPY_LABEL: labels[MACHINE_LABEL]},
        volumes={source: {"bind": "/from", "mode": "ro"}, target: {"bind": "/to", "mode": "rw"}},
        network_mode="none",
        cap_drop=["ALL"],
        cap_add=["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"],
        remove=True,
    )


def _end_copies(client: Any, labels: dict[str, str], machine: str | None = None) -> None:
    """A copy that a killed halab has begun goes on: it would write into a volume beside another, or keep it."""
    of_lab = {label: labels[label] for label in (LABEL, WORK_LABEL)}
    which = COPY_LABEL if machine is None else f"{COPY_LABEL}={machine}"
    for each in client.containers.list(all=True, filters=_filters(of_lab, which), ignore_removed=True):
        each.remove(force=True)


def _labels(lab: Lab, machine: Machine, work: Path) -> dict[str, str]:
    return {LABEL: lab.name, WORK_LABEL: str(work), MACHINE_LABEL: machine.name}


def _filters(labels: dict[str, str], *others: str) -> dict[str, Iterable[str]]:
    return {"label": [*(f"{name}={value}" for name, value in labels.items()), *others]}
