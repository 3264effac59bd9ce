"""The check for bugs that the versions of the lab are known to have."""

from __future__ import annotations

from halab.bugs import versions
from halab.bugs.versions import KnownBug
from halab.config import component_versions
from halab.config.component_versions import Versioned
from halab.doctor.check import Check, Finding, Subject, ok, warning
from halab.doctor.host import Host
from halab.lifecycle import lab as labs


def known_bugs(_host: Host, subject: Subject) -> Finding:
    found = versions.known(labs.present_file(subject.lab_dir))
    if not found:
        return ok("no bug of `halab bugs list` is known to belong to these versions")
    return warning(versions.in_words(found), *(_fix(subject, each) for each in found))


def _fix(subject: Subject, found: KnownBug) -> str:
    fixed, component, name = found.affected.fixed, found.affected.component, found.bug.name
    look = f"halab bugs show {name}"
    if not fixed or component is Versioned.CONTAINERD:
        return look
    setting = ".".join(component_versions.setting(component))
    return f"{look}  # write {setting}: {fixed} (or later) in {subject.file}, and rebuild the lab"


CHECKS = (Check("known bugs", "scenarios may fail because of them", known_bugs),)
