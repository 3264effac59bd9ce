"""What the machines of a lab were made with: some settings cannot change under a lab that is up."""

from __future__ import annotations

import json

from halab.errors import LabProblem
from halab.lifecycle.lab import Place
from halab.topology.lab import Lab

_FILE = "made.json"


def note(lab: Lab) -> dict[str, str]:
    """The file of the work folder that remembers it."""
    return {_FILE: json.dumps(_settings(lab), indent=2) + "\n"}


def require_same(place: Place, lab: Lab) -> None:
    """LabProblem where the lab file now asks for machines other than those that are there; new ones may be added."""
    path = place.work.path / _FILE
    if not path.exists():
        return
    before, now = json.loads(path.read_text()), _settings(lab)
    changed = [
        f"{name} was {value}, and now is {now[name]}"
        for name, value in before.items()
        if now.get(name, value) != value
    ]
    changed += [f"{name} is no longer in it" for name in before if name not in now]
    if changed:
        raise LabProblem(
            f"{place.file} asks for another lab than the one that is up: {'; '.join(changed)}",
            hint="write it as it was, or take the lab down first: `halab down`",
        )


def _settings(lab: Lab) -> dict[str, str]:
    sizes = {
        machine.name: f"{machine.cpus} CPUs and {machine.memory_mebibytes} MiB" for machine in lab.machines
    }
    return {
        "kubernetes": lab.release.kubernetes,
        "provider": str(lab.provider),
        "box": lab.box,
        "disk_cache": lab.disk_cache,
        **sizes,
    }
