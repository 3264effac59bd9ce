"""The fault of a lab's size: more machines join the cluster, and leave it again when the fault is healed."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from halab.config.lab_size import LIMITS, LabSize
from halab.config.targets import FaultTarget
from halab.errors import BadUsage, Unable
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

# In the journal: the size that the heal goes back to.
_BEFORE = "before"
# On several machines the fault is the same, and only the first inject or heal has something to do.
_one_scales = threading.Lock()


def _present(site: Site) -> LabSize:
    return LabSize(len(site.lab.control_planes), len(site.lab.workers))


def _wanted(before: LabSize, options: Mapping[str, str]) -> LabSize:
    return before.changed(f"{name}={options[name]}" for name in LIMITS if name in options)


def _require_larger(site: Site, entry: Entry) -> None:
    if not entry.options.keys() & LIMITS.keys():
        raise BadUsage(f"{entry.fault} adds nothing: set {' or '.join(LIMITS)}")
    present = _present(site)
    wanted = _wanted(present, entry.options)
    if wanted == present or wanted.joined(present) != wanted:
        raise Unable(f"the lab already has {present}: ask for more than that, not {wanted}")


def _remember(site: Site) -> dict[str, str]:
    return {_BEFORE: str(_present(site))}


def _add(site: Site, entry: Entry) -> str:
    wanted = _wanted(_before(entry), entry.options)
    with _one_scales:
        return site.rescale(wanted)


def _remove(site: Site, entry: Entry) -> None:
    with _one_scales:
        site.rescale(_before(entry))


def _before(entry: Entry) -> LabSize:
    return LabSize(1, 0).changed(entry.options[_BEFORE].split())


def _count(setting: str, what: str, example: str) -> Option:
    least, most = LIMITS[setting]
    pattern = "|".join(map(str, range(least, most + 1)))
    return Option(f"the number of {what} that the lab then has in total", pattern, example, "")


FAULTS = (
    Fault(
        "add-machines",
        "Add machines to the lab, which join the cluster of this control plane; healing removes them again.",
        _add,
        _remove,
        {
            "control_planes": _count("control_planes", "control planes", "5"),
            "workers": _count("workers", "workers", "2"),
        },
        target=FaultTarget.CONTROL_PLANE,
        check=_require_larger,
        remembers=_remember,
    ),
)
