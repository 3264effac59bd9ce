"""Bugs that belong to versions: which of them a lab has, and the same lab with the version that is fixed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from halab.bugs import library
from halab.bugs.library import Bug
from halab.config import component_versions, kubernetes, lab_variants, loading
from halab.config.bug import Affected
from halab.config.component_versions import Versioned
from halab.config.lab import LabFile
from halab.config.twin import Verdict
from halab.errors import BadUsage

# The verdict of a scenario that shows its bug, and the verdict if it does not.
OTHERS = {Verdict.PASS: Verdict.FAIL, Verdict.FAIL: Verdict.PASS}


@dataclass(frozen=True)
class KnownBug:
    """A bug that a version of a lab's component has."""

    bug: Bug
    affected: Affected
    version: str


@dataclass(frozen=True)
class BugAt:
    """A version of the component of a bug, what is known about it, and the lab file with it.

    `is_fixed` is false also for a version of which nothing is known.
    """

    component: Versioned
    version: str
    is_bad: bool
    is_fixed: bool
    lab: bytes

    def __str__(self) -> str:
        """`etcd 3.6.12, in which the bug is fixed`."""
        known = "which has the bug" if self.is_bad else "of which it is not known whether it has the bug"
        return f"{self.component} {self.version}, {'in which the bug is fixed' if self.is_fixed else known}"


def version_of(lab: LabFile, component: Versioned) -> str:
    """The version of a component in a lab."""
    release = kubernetes.resolve(lab.kubernetes.version)
    of_release = component_versions.release_version(release, component)
    return lab.kubernetes.written_versions.get(component, of_release)


def known(lab: LabFile) -> list[KnownBug]:
    """The bugs of the list that the versions of a lab have, in the order of the list."""
    return [found for name in library.names() if (found := in_lab(library.find(name), lab))]


def in_lab(bug: Bug, lab: LabFile) -> KnownBug | None:
    """The version of the lab that has the bug; None if no version of it is known to have it."""
    for affected in bug.written.affects:
        if affected.component in lab.source.by_name:
            # a checkout may have the fix
            continue
        version = version_of(lab, affected.component)
        if affected.has(version):
            return KnownBug(bug, affected, version)
    return None


def expected_in(bug: Bug, lab: LabFile) -> Verdict:
    """The verdict that its scenario must have in a lab: the bug shows, unless it is fixed in a version of the lab.

    Of a component from a checkout, nobody knows whether it has the fix.
    """
    is_fixed = not in_lab(bug, lab) and any(
        affected.component not in lab.source.by_name
        and affected.is_fixed_in(version_of(lab, affected.component))
        for affected in bug.written.affects
    )
    return OTHERS[bug.written.shows] if is_fixed else bug.written.shows


def in_words(found: Sequence[KnownBug]) -> str:
    """`etcd 3.6.8: stale-member, other-bug; coredns 1.12.1: third-bug`."""
    by_version: dict[str, list[str]] = {}
    for each in found:
        by_version.setdefault(f"{each.affected.component} {each.version}", []).append(each.bug.name)
    return "; ".join(f"{version}: {', '.join(names)}" for version, names in by_version.items())


def at(bug: Bug, version: str | None) -> BugAt:
    """A bug with another version of its component; None is the first one that is fixed.

    Raises BadUsage if the bug belongs to no version of its lab, or if the lab cannot have this one.
    """
    path = bug.lab_in(bug.folder)
    found = in_lab(bug, loading.load(path, LabFile))
    if not found:
        raise BadUsage(
            f"--fixed and --version are for bugs of some versions, and {bug.name} has another cause",
            hint="`halab bugs list` shows which bugs belong to versions",
        )
    component, wanted = found.affected.component, version or found.affected.fixed
    known = f"`halab bugs show {bug.name}` says what is known"
    if component is Versioned.CONTAINERD:
        raise BadUsage(f"halab cannot build another version of {component}", hint=known)
    if not wanted:
        raise BadUsage(
            f"the first version of {component} without {bug.name} is not known",
            hint=f"name one with `--version`; {known}",
        )
    if not re.fullmatch(component_versions.VERSION, wanted):
        raise BadUsage(
            f"not a version of {component}: {wanted}", hint=f"write three numbers, such as {found.version}"
        )
    axis = lab_variants.fixed(".".join(component_versions.setting(component)), wanted)
    text = lab_variants.variants(loading.text_of(path), (axis,))[0].text
    changed = loading.loads(text, path.name, LabFile).kubernetes
    if not changed.allow_unsupported:
        release = kubernetes.resolve(changed.version)
        for part, what in component_versions.problems(release, changed.written_versions):
            raise BadUsage(
                f"the lab of {bug.name} cannot have {component} {wanted}: {part} {what}",
                hint=f"choose another version with `--version`; {known}",
            )
    ranges = [affected for affected in bug.written.affects if affected.component is component]
    is_bad = any(affected.has(wanted) for affected in ranges)
    is_fixed = not is_bad and any(affected.is_fixed_in(wanted) for affected in ranges)
    return BugAt(component, wanted, is_bad, is_fixed, text.encode())
