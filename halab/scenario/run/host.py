"""Reads the facts of this host and the use of its processors, for the record of a run."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

from halab.errors import HalabError
from halab.lifecycle import providers
from halab.lifecycle.lab import LabDir
from halab.scenario.record.host_facts import HostFacts

_UNKNOWN = "unknown"
# The columns of the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal. Those after it are
# parts of the first two. What a hypervisor has stolen was not free either.
_COLUMNS = 8
_FREE = (3, 4)


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


class Processors:
    """The processors of this host, since this object was made."""

    def __init__(self, path: Path = Path("/proc/stat")) -> None:
        self._path = path
        self._before = self._read()

    def busy_share(self) -> float | None:
        """How much of their time was used, by whatever runs on this host: 0 to 1. None if the system does not say."""
        spent = [after - before for before, after in zip(self._before, self._read(), strict=False)]
        free = sum(spent[column] for column in _FREE if column < len(spent))
        return round(1 - free / sum(spent), 3) if sum(spent) > 0 else None

    def _read(self) -> list[int]:
        try:
            return [int(column) for column in self._path.read_text().split()[1 : _COLUMNS + 1]]
        except (OSError, ValueError):
            return []
