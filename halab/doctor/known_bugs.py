"""The check for bugs that the versions of the lab are known to have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    """One line for all versions that are to be set; for a bug without such a version, where to read about it."""
    wanted: dict[Versioned, str] = {}
    for each in found:
        component, fixed = each.affected.component, each.affected.fixed
        if not fixed or component is Versioned.CONTAINERD:
            yield f"halab bugs show {each.bug.name}"
        elif component not in wanted or at_least(fixed, wanted[component]):
            wanted[component] = fixed
    if wanted:
        settings = [
            f"{'.'.join(component_versions.setting(name)[1:])} to {fixed}" for name, fixed in wanted.items()
        ]
        yield (
            f"in {subject.file}, below `kubernetes`, set {' and '.join(settings)} (or a later patch), "
            "and leave the rest; then `halab down && halab up`"
        )


CHECKS = (Check("known bugs", "scenarios may fail because of them", known_bugs),)
