"""What the machines of a lab were made with, and where: some settings cannot change under a lab that is up."""

from __future__ import annotations

import json
from pathlib import Path

from halab.config.lab import ProviderKind
from halab.errors import LabProblem
from halab.machines.host import inventory
from halab.machines.work import Work
from halab.topology.lab import Lab

_FILE = "made.json"
# The work folder's own path: another one in a folder that was moved or copied.
_WORK = "work"


def note(work: Work, lab: Lab) -> dict[str, str]:
    """The file of the work folder that remembers it."""
    return {_FILE: json.dumps({_WORK: str(work.path), **_settings(lab)}, indent=2) + "\n"}


def require_same(file: Path, work: Work, lab: Lab) -> None:
    """LabProblem where the lab file now asks for machines other than those that are there; new ones may be added."""
    before, now = _noted(work), _settings(lab)
    before.pop(_WORK, None)
    changed = [
        f"{name} is {value} there, and {now[name]} in the file"
        for name, value in before.items()
        if now.get(name, value) != value
    ]
    changed += [f"{name} is there, and not in the file" for name in before if name not in now]
    if changed:
        raise LabProblem(
            f"{file} does not describe the lab that is up: {'; '.join(changed)}",
            hint=f"make the lab anew, `halab down && halab up`, or write in {file} what is there",
        )


def opens(work: Work) -> bool:
    """Whether a work folder lets somebody into the machines that were made from it.

    Keys alone do not say so: `halab render` makes some, too.
    """
    return (work.path / _FILE).exists() and origin(work) is None and work.private_key.exists()


def provider(work: Work) -> ProviderKind | None:
    """Where the machines are, whatever the lab file says now; None where none were made."""
    noted = _noted(work).get("provider")
    return ProviderKind(noted) if noted else None


def origin(work: Work) -> Work | None:
    """The work folder whose machines a moved or copied one knows; None for one that lies where it was made."""
    path = Path(_noted(work).get(_WORK, work.path))
    return Work(path) if path != work.path else None


def moved_from(work: Work) -> Work | None:
    """The work folder that this one was before somebody moved it; None where nobody has."""
    before = origin(work)
    return before if before and not inventory.is_there(str(before)) else None


def _noted(work: Work) -> dict[str, str]:
    path = work.path / _FILE
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _settings(lab: Lab) -> dict[str, str]:
    sizes = {
        machine.name: f"{machine.cpus} CPUs and {machine.memory_mebibytes} MiB" for machine in lab.machines
    }
    return {
        "Kubernetes": lab.release.kubernetes,
        "provider": str(lab.provider),
        "box": lab.box,
        "disk_cache": lab.disk_cache,
        **sizes,
    }
