"""Copies of a lab file and of the files of its load balancer, from which a folder's checks read the lab."""

from __future__ import annotations

from pathlib import Path

from halab.lifecycle.lab import LabDir
from halab.scenario.record.folder import RunFolder


def copies(lab_dir: LabDir, folder: RunFolder) -> dict[Path, bytes]:
    """Path in the folder → the content that was read: the files may have changed since."""
    settings = lab_dir.written.load_balancer
    own = {
        settings.config: lab_dir.balancer_file,
        settings.keepalived.config: lab_dir.keepalived_file,
    }
    named = {folder.lab_option(path): file.text.encode() for path, file in own.items() if path and file}
    return {folder.lab: lab_dir.content, **named}
