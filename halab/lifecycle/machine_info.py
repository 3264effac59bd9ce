"""Records the settings and the work folder with which a lab was built: some must not change while it is up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halab.config.lab import ProviderKind
from halab.config.lab_size import LabSize
from halab.errors import LabProblem
from halab.machines.host import inventory
from halab.machines.work import Work
from halab.printable import shortened
from halab.topology.lab import Lab, Machine

_FILE = "made.json"
# The path of the work folder when the lab was built. It differs from the current path after a move or copy.
_WORK = "work"
# The user's parts of kubeadm's documents, and patches as file name → text: kubeadm read them when it made the cluster.
_KUBEADM = "kubeadm"
_PATCHES = "kubeadm patches"
_KUBEADM_HINT = "kubeadm reads these settings when it makes the cluster: "
_ADDRESS = "address of "
_VERSION = "Kubernetes"
_CHOICE = "choice of other versions"
_UNSET = object()


@dataclass(frozen=True)
class Change:
    """What differs between the lab file and the machines, in words.

    `is_missing`: the file does not have it any more. `of_kubeadm`: kubeadm read it when it made the cluster.
    `of_version`: an upgrade could change it.
    """

    text: str
    is_missing: bool = False
    of_kubeadm: bool = False
    of_version: bool = False


def record(work: Work, lab: Lab, patches: Mapping[str, str] | None = None) -> dict[str, str]:
    """The content of the record, as file name → text. `patches` are the user's for kubeadm."""
    kubeadm = {_KUBEADM: lab.kubeadm.documents, _PATCHES: dict(patches or {})}
    recorded = {_WORK: str(work.path), **_settings(lab), **kubeadm}
    return {_FILE: json.dumps(recorded, indent=2) + "\n"}


def require_same(file: Path, work: Work, lab: Lab) -> None:
    """Raise LabProblem if the lab file contradicts the machines that exist. It may add new machines."""
    changed = changes(work, lab)
    if changed:
        raise LabProblem(
            f"{file} does not describe the lab that is up: {in_words(changed)}",
            hint=(_KUBEADM_HINT if any(change.of_kubeadm for change in changed) else "")
            + (
                "remove machines with `halab scale`, "
                if all(change.is_missing for change in changed)
                else ""
            )
            + (
                f"upgrade Kubernetes with `halab upgrade {lab.release.kubernetes}`, "
                if all(change.of_version for change in changed)
                else ""
            )
            + f"rebuild the lab with `halab down && halab up`, or change {file} back",
        )


def in_words(changed: Sequence[Change]) -> str:
    return "; ".join(change.text for change in changed)


def changes(work: Work, lab: Lab) -> list[Change]:
    """What the lab file contradicts of the machines that were built. New machines are no contradiction."""
    recorded, now = _read_record(work), _settings(lab)
    if not recorded:
        return []
    before = {name: value for name, value in recorded.items() if name not in (_WORK, _KUBEADM, _PATCHES)}
    changed = [
        Change(
            f"{name} is {value} in the lab and {now[name]} in the file",
            # an upgrade brings all components of the new version
            of_version=name == _VERSION or (name == _CHOICE and before.get(_VERSION) != now[_VERSION]),
        )
        for name, value in before.items()
        if now.get(name, value) != value
    ]
    changed += [
        Change(f"{name} is missing from the file", is_missing=True) for name in before if name not in now
    ]
    in_kubeadm = _differences(recorded.get(_KUBEADM, {}), lab.kubeadm.documents, _KUBEADM)
    return changed + [Change(text, of_kubeadm=True) for text in in_kubeadm]


def changed_patches(work: Work, now: Mapping[str, str]) -> list[Change]:
    """The user's patches for kubeadm that are not those with which the lab was built."""
    if not _read_record(work):
        return []
    before = patches(work)
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if not changed:
        return []
    text = f"these patches for kubeadm have changed since the lab was built: {', '.join(changed)}"
    return [Change(text, of_kubeadm=True)]


def require_same_patches(work: Work, folder: str | None, now: Mapping[str, str]) -> None:
    """Raise LabProblem if the user's patches for kubeadm are not those with which the lab was built."""
    changed = changed_patches(work, now)
    if changed:
        raise LabProblem(
            in_words(changed),
            hint=f"{_KUBEADM_HINT}rebuild the lab with `halab down && halab up`, or undo the change in "
            f"{folder or 'the lab file'}",
        )


def patches(work: Work) -> dict[str, str]:
    """The user's patches for kubeadm with which the lab was built: file name → text."""
    return dict(_read_record(work).get(_PATCHES, {}))


def size(work: Work) -> LabSize | None:
    """The size of the lab that was built, whatever the lab file says now; None if no machines were built."""
    recorded = _read_record(work)
    names = [name.removeprefix(_ADDRESS) for name in recorded if name.startswith(_ADDRESS)]
    return LabSize.of_names(names) if names else None


def version(work: Work) -> str | None:
    """The version of Kubernetes of the lab that was built, whatever the lab file says; None if no lab was built."""
    recorded = _read_record(work).get(_VERSION)
    return str(recorded) if recorded else None


def has_keys(work: Work) -> bool:
    """True if the keys in a work folder open the machines that were built from it.

    The presence of keys is not enough, because `halab render` creates keys too.
    """
    return (work.path / _FILE).exists() and origin(work) is None and work.private_key.exists()


def provider(work: Work) -> ProviderKind | None:
    """The provider that has the machines, whatever the lab file says now; None if no machines were built."""
    recorded = _read_record(work).get("provider")
    return ProviderKind(recorded) if recorded else None


def origin(work: Work) -> Work | None:
    """The original of a work folder that was moved or copied; None if it is at its original path."""
    path = Path(_read_record(work).get(_WORK, work.path))
    return Work(path) if path != work.path else None


def moved_from(work: Work) -> Work | None:
    """The original of a work folder that was moved; None if it was not moved."""
    before = origin(work)
    return before if before and not inventory.is_there(str(before)) else None


def _differences(before: Any, now: Any, path: str) -> Iterator[str]:
    """What differs between two values, in words. A list of flags is compared by their names."""
    before, now = _by_name(before), _by_name(now)
    if isinstance(before, dict) or isinstance(now, dict):
        before, now = ({} if value is _UNSET else value for value in (before, now))
    if isinstance(before, dict) and isinstance(now, dict):
        for name in {**before, **now}:
            yield from _differences(before.get(name, _UNSET), now.get(name, _UNSET), f"{path}.{name}")
    elif before != now:
        yield f"{path} is {_shown(before)} in the lab and {_shown(now)} in the file"


def _by_name(value: Any) -> Any:
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, dict) and "name" in item for item in value)
    ):
        names = [item["name"] for item in value]
        if len(set(names)) == len(names):
            return {item["name"]: item.get("value", item) for item in value}
    return value


def _shown(value: Any) -> str:
    return "not set" if value is _UNSET else shortened(json.dumps(value, ensure_ascii=False))


def _read_record(work: Work) -> dict[str, Any]:
    path = work.path / _FILE
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _settings(lab: Lab) -> dict[str, str]:
    sizes = {
        machine.name: f"{machine.cpus} CPUs and {machine.memory_mebibytes} MiB"
        + ("" if machine.hostname == machine.name else f", host name {machine.hostname}")
        + _disks(lab, machine)
        for machine in lab.machines
    }
    addresses = {f"{_ADDRESS}{machine.name}": str(machine.address) for machine in lab.machines}
    return {
        _VERSION: lab.release.kubernetes,
        _CHOICE: ", ".join(_choices(lab)) or "none",
        "provider": str(lab.provider),
        "box": lab.box,
        "disk_cache": lab.disk_cache,
        "endpoint": lab.endpoint,
        "pod network": str(lab.pods),
        "service network": str(lab.services),
        "cni": lab.cni,
        **addresses,
        **({"virtual address": str(lab.virtual_address)} if lab.virtual_address else {}),
        "port of the load balancer": str(lab.load_balancer.port),
        **sizes,
    }


def _disks(lab: Lab, machine: Machine) -> str:
    """`, disks /var/lib/etcd (10240 MiB)`; empty if the lab file gives it none. A container's disk has no size."""
    has_sizes = lab.provider is ProviderKind.LIBVIRT
    disks = [
        f"{disk.mount} ({disk.size_mebibytes} MiB)" if has_sizes else disk.mount for disk in machine.disks
    ]
    return f", disks {' and '.join(disks)}" if disks else ""


def _choices(lab: Lab) -> Iterator[str]:
    """`etcd 3.6.8, etcd from ./etcd`."""
    yield from map(" ".join, sorted(lab.own_versions.items()))
    yield from (f"{name} from {path}" for name, path in sorted(lab.sources.items()))
