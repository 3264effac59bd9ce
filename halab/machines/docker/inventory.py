"""What a docker engine has of labs. Asked of the client that `Engine` holds, so that the library has one home."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halab.machines.inventory import Holder, Resource, ResourceKind, moment
from halab.topology.container import HOST_LABEL, LABEL, MACHINE_LABEL, SNAPSHOT_LABEL, WORK_LABEL

# Who has only one of them is not known to be ours.
_OURS = {"label": [LABEL, WORK_LABEL]}


def read(client: Any, sizes: Mapping[str, int]) -> list[Resource]:
    """`sizes` are bytes by the key of what has them, as far as they are known."""
    found = []
    for each in client.containers.list(all=True, filters=_OURS, ignore_removed=True):
        labels = each.attrs["Config"]["Labels"]
        kind = ResourceKind.MACHINE if labels.get(MACHINE_LABEL) else ResourceKind.CONTAINER
        found.append(_belonging(kind, str(each.name), each.id, labels, each.attrs, "Created", sizes))
    for each in client.networks.list(filters=_OURS):
        labels = each.attrs["Labels"]
        found.append(
            _belonging(ResourceKind.NETWORK, each.name, each.id, labels, each.attrs, "Created", sizes)
        )
    for each in client.volumes.list(filters=_OURS):
        labels = each.attrs["Labels"]
        found.append(
            _belonging(ResourceKind.VOLUME, each.name, each.name, labels, each.attrs, "CreatedAt", sizes)
        )
    for each in client.images.list(filters=_OURS):
        name = each.tags[0] if each.tags else each.id.removeprefix("sha256:")[:12]
        found.append(
            _belonging(ResourceKind.IMAGE, name, each.id, each.labels, each.attrs, "Created", sizes)
        )
    return found


def sizes(usage: Mapping[str, Any]) -> dict[str, int]:
    """Bytes by key, from what the engine says of the disk that it uses."""
    found = {each["Id"]: each.get("SizeRw", 0) for each in usage.get("Containers") or []}
    found |= {
        each["Name"]: (each.get("UsageData") or {}).get("Size", -1) for each in usage.get("Volumes") or []
    }
    for each in usage.get("Images") or []:
        # what it shares with others goes when the last of them goes
        found[each["Id"]] = each.get("Size", 0) - max(0, each.get("SharedSize", 0))
    return {key: size for key, size in found.items() if size >= 0}


def discard(client: Any, belonging: Resource) -> None:
    match belonging.kind:
        case ResourceKind.MACHINE | ResourceKind.CONTAINER:
            client.containers.get(belonging.key).remove(force=True, v=True)
        case ResourceKind.NETWORK:
            client.networks.get(belonging.key).remove()
        case ResourceKind.VOLUME:
            volume = client.volumes.get(belonging.key)
            # it has no other key than its name, which may be somebody else's by now
            if (volume.attrs.get("Labels") or {}).get(WORK_LABEL) == belonging.work:
                volume.remove(force=True)
        case ResourceKind.IMAGE:
            client.images.remove(belonging.key, force=True)


def _belonging(
    kind: ResourceKind, name: str, key: str, labels: Mapping[str, str], attributes: Mapping[str, Any], created: str,
    sizes: Mapping[str, int],
) -> Resource:  # fmt: skip
    return Resource(
        Holder.DOCKER,
        kind,
        name,
        key,
        lab=labels[LABEL],
        work=labels[WORK_LABEL],
        host=labels.get(HOST_LABEL, ""),
        machine=labels.get(MACHINE_LABEL, ""),
        snapshot=labels.get(SNAPSHOT_LABEL, ""),
        created=moment(attributes.get(created)),
        size_bytes=sizes.get(key),
    )
