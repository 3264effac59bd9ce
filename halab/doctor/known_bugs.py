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
        return ok("these versions have none of the bugs in `halab bugs list`")
    return warning(versions.in_words(found), *(_fix(subject, each) for each in found))


def _fix(subject: Subject, found: KnownBug) -> str:
    fixed, component, name = found.affected.fixed, found.affected.component, found.bug.name
    look = f"halab bugs show {name}"
    if not fixed or component is Versioned.CONTAINERD:
        return look
    setting = ".".join(component_versions.setting(component))
    return f"{look}  # fixed in {fixed}: {setting} in {subject.file}"


CHECKS = (Check("known bugs", "scenarios may fail because of them", known_bugs),)
