"""The check for bugs that the versions of the lab are known to have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

from halab.bugs import versions
from halab.bugs.versions import KnownBug
from halab.config import component_versions
from halab.config.component_versions import Versioned
from halab.config.kubernetes import at_least
from halab.doctor.check import Check, Finding, Subject, ok, warning
from halab.doctor.host import Host
from halab.lifecycle import lab as labs


def known_bugs(_host: Host, subject: Subject) -> Finding:
    found = versions.known(labs.present_file(subject.lab_dir))
    if not found:
        return ok("no bug of `halab bugs list` is known to belong to these versions")
    return warning(versions.in_words(found), *_fixes(subject, found))


def _fixes(subject: Subject, found: Sequence[KnownBug]) -> Iterator[str]:
    """One line for each component: the version without its bugs, or where to read about them."""
    by_component: dict[Versioned, list[KnownBug]] = {}
    for each in found:
        by_component.setdefault(each.affected.component, []).append(each)
    for component, bugs in by_component.items():
        fixed = [each.affected.fixed for each in bugs if each.affected.fixed]
        if len(fixed) < len(bugs) or component is Versioned.CONTAINERD:
            yield from (f"halab bugs show {each.bug.name}" for each in bugs)
            continue
        newest = reduce(lambda one, other: one if at_least(one, other) else other, fixed)
        *outer, last = component_versions.setting(component)
        written = f"{{{last}: {newest}}}"
        for name in reversed(outer):
            written = f"{name}: {written}"
        yield f"halab down && halab up  # first write {written}, or a later patch, in {subject.file}"


CHECKS = (Check("known bugs", "scenarios may fail because of them", known_bugs),)
