"""Reads the facts of this host, for the record of a run."""

from __future__ import annotations

import os
import platform
from contextlib import suppress

from halab.errors import HalabError
from halab.lifecycle import providers
from halab.lifecycle.lab import LabDir
from halab.scenario.record.host_facts import HostFacts

_UNKNOWN = "unknown"


def facts(lab_dir: LabDir) -> HostFacts:
    """The facts of this host, and what runs the lab's machines. What cannot be read is `unknown`."""
    machine, system, engine = platform.uname(), _UNKNOWN, _UNKNOWN
    with suppress(OSError):
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    with suppress(HalabError):
        engine = providers.engine(lab_dir)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    cores = len(os.sched_getaffinity(0))
    return HostFacts(system, machine.release, machine.machine, cores, memory, engine)
