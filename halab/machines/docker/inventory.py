"""The resources of labs at a docker engine: containers, networks, volumes and images with halab's labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docker import DockerClient

from halab.machines.inventory import Holder, Resource, ResourceKind, moment
from halab.topology.container import HOST_LABEL, LABEL, MACHINE_LABEL, SNAPSHOT_LABEL, WORK_LABEL

# A thing with only one of these labels may not be ours.
_OURS: dict[str, str | list[str] | bool] = {"label": [LABEL, WORK_LABEL]}


def read(client: DockerClient, sizes: Mapping[str, int]) -> list[Resource]:
    """`sizes` are bytes by the key of a resource, where they are known."""
    resources = []
    for container in client.containers.list(all=True, filters=_OURS, ignore_removed=True):
        labels = container.attrs["Config"]["Labels"]
        kind = ResourceKind.MACHINE if labels.get(MACHINE_LABEL) else ResourceKind.CONTAINER
        resources.append(
            _resource(kind, container.name, container.id, labels, container.attrs, "Created", sizes)
        )
    for network in client.networks.list(filters=_OURS):
        labels = network.attrs["Labels"]
        resources.append(
            _resource(
                ResourceKind.NETWORK, network.name, network.id, labels, network.attrs, "Created", sizes
            )
        )
    for volume in client.volumes.list(filters=_OURS):
        labels = volume.attrs["Labels"]
        resources.append(
            _resource(
                ResourceKind.VOLUME, volume.name, volume.name, labels, volume.attrs, "CreatedAt", sizes
            )
        )
    for image in client.images.list(filters=_OURS):
        name = image.tags[0] if image.tags else str(image.id).removeprefix("sha256:")[:12]
        resources.append(
            _resource(ResourceKind.IMAGE, name, image.id, image.labels, image.attrs, "Created", sizes)
        )
    return resources


def sizes(usage: Mapping[str, Any]) -> dict[str, int]:
    """Bytes by key, from what the engine says of its disk usage."""
    known = {container["Id"]: container.get("SizeRw", 0) for container in usage.get("Containers") or []}
    for volume in usage.get("Volumes") or []:
        known[volume["Name"]] = (volume.get("UsageData") or {}).get("Size", -1)
    for image in usage.get("Images") or []:
        # layers that are shared with other images stay until the last of these is removed
        known[image["Id"]] = image.get("Size", 0) - max(0, image.get("SharedSize", 0))
    return {key: size for key, size in known.items() if size >= 0}


def discard(client: DockerClient, resource: Resource) -> None:
    match resource.kind:
        case ResourceKind.MACHINE | ResourceKind.CONTAINER:
            client.containers.get(resource.key).remove(force=True, v=True)
        case ResourceKind.NETWORK:
            client.networks.get(resource.key).remove()
        case ResourceKind.VOLUME:
            volume = client.volumes.get(resource.key)
            # a volume has no other key than its name, which may be somebody else's by now
            if (volume.attrs.get("Labels") or {}).get(WORK_LABEL) == resource.work:
                volume.remove(force=True)
        case ResourceKind.IMAGE:
            client.images.remove(resource.key, force=True)


def _resource(
    kind: ResourceKind, name: str | None, key: str | None, labels: Mapping[str, str],
    attributes: Mapping[str, Any], created: str, sizes: Mapping[str, int],
) -> Resource:  # fmt: skip
    return Resource(
        Holder.DOCKER,
        kind,
        str(name),
        str(key),
        lab=labels[LABEL],
        work=labels[WORK_LABEL],
        host=labels.get(HOST_LABEL, ""),
        machine=labels.get(MACHINE_LABEL, ""),
        snapshot=labels.get(SNAPSHOT_LABEL, ""),
        created=moment(attributes.get(created)),
        size_bytes=sizes.get(str(key)),
    )
