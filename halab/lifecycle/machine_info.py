"""Records the settings and the work folder with which a lab was built: some must not change while it is up."""

from __future__ import annotations

import json
from pathlib import Path

from halab.config.lab import ProviderKind
from halab.errors import LabProblem
from halab.machines.host import inventory
from halab.machines.work import Work
from halab.topology.lab import Lab

_FILE = "made.json"
# The path of the work folder when the lab was built. It differs from the current path after a move or copy.
_WORK = "work"


def record(work: Work, lab: Lab) -> dict[str, str]:
    """The content of the record, as file name → text."""
    return {_FILE: json.dumps({_WORK: str(work.path), **_settings(lab)}, indent=2) + "\n"}


def require_same(file: Path, work: Work, lab: Lab) -> None:
    """Raise LabProblem if the lab file contradicts the machines that exist. It may add new machines."""
    before, now = _read_record(work), _settings(lab)
    before.pop(_WORK, None)
    changed = [
        f"{name} is {value} in the lab and {now[name]} in the file"
        for name, value in before.items()
        if now.get(name, value) != value
    ]
    changed += [f"{name} is missing from the file" for name in before if name not in now]
    if changed:
        raise LabProblem(
            f"{file} does not describe the lab that is up: {'; '.join(changed)}",
            hint=f"rebuild the lab with `halab down && halab up`, or change {file} back",
        )


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


def _read_record(work: Work) -> dict[str, str]:
    path = work.path / _FILE
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _settings(lab: Lab) -> dict[str, str]:
    sizes = {
        machine.name: f"{machine.cpus} CPUs and {machine.memory_mebibytes} MiB" for machine in lab.machines
    }
    addresses = {f"address of {machine.name}": str(machine.address) for machine in lab.machines}
    return {
        "Kubernetes": lab.release.kubernetes,
        "provider": str(lab.provider),
        "box": lab.box,
        "disk_cache": lab.disk_cache,
        "endpoint": lab.endpoint,
        "pod network": str(lab.pods),
        "service network": str(lab.services),
        **addresses,
        "port of the load balancer": str(lab.load_balancer.port),
        **sizes,
    }
