"""The version of Kubernetes that a lab has after the restore of a snapshot: that of the time when it was saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info, versions, workfiles
from halab.lifecycle.lab import LabDir
from halab.machines.host import allocation


@dataclass(frozen=True)
class RestoredVersion:
    """The version of a snapshot, and the files of the work folder that it needs. Nothing, if it is the present one."""

    lab_dir: LabDir
    version: str | None
    files: Mapping[str, str]

    def record(self) -> None:
        """Record that the lab has the version of the snapshot."""
        if self.version is not None:
            versions.begin_restore(self.lab_dir.work, self.version)
            workfiles.write(self.lab_dir, self.files)
            versions.complete(self.lab_dir.work, self.version)


def of(lab_dir: LabDir, saved: datetime | None) -> RestoredVersion:
    """The version of a snapshot that was saved at a moment. Also ends an interrupted upgrade."""
    held = allocation.of(lab_dir.work.path)
    version = versions.at(held, saved) if saved else None
    is_present = version == machine_info.version(lab_dir.work) and versions.target(held) is None
    if version is None or is_present:
        return RestoredVersion(lab_dir, None, {})
    then = replace(lab_dir, version=version)
    lab = labs.allocated(then)
    record = machine_info.record(lab_dir.work, lab, machine_info.patches(lab_dir.work))
    return RestoredVersion(lab_dir, version, {**workfiles.of_version(then, lab), **record})
