"""The journal of faults not yet healed: it outlives halab, so that `halab heal` can undo what a killed run left."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from halab import files
from halab.errors import HostProblem, LabProblem

_REPAIR = "was it changed by hand? `halab reset` puts the lab back to how `halab up` left it, and begins a new journal"


@dataclass(frozen=True)
class Entry:
    """One fault as it was injected: enough to heal it without anything else."""

    id: str
    fault: str
    machine: str
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, written: dict[str, Any]) -> Entry:
        """An entry as it was written; TypeError or AttributeError where it is none."""
        entry = cls(**written)
        texts = (entry.id, entry.fault, entry.machine, *entry.options, *entry.options.values())
        if not all(isinstance(each, str) for each in texts):
            raise TypeError("an entry is made of texts")
        return entry

    def __str__(self) -> str:
        options = "".join(f" {name}={value}" for name, value in sorted(self.options.items()))
        return f"{self.fault} on {self.machine}{options}"


class Journal:
    """Append-only: a line when a fault is about to be injected, a line when it has been healed.

    May be used from several threads: a fault hits several machines at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._closed: set[str] = set()

    def opened(self, entry: Entry) -> None:
        """Written before the fault acts: after a crash it may be there without its fault, never the reverse."""
        with self._lock:
            self._append({"open": asdict(entry)})

    def closed(self, entry: Entry) -> None:
        with self._lock:
            self._closed.add(entry.id)
            if self.open_faults():
                self._append({"closed": entry.id})
            else:
                # takes no room: a full disk may have kept the lines of others from being written
                self._path.unlink(missing_ok=True)

    def open_faults(self) -> list[Entry]:
        """Faults that were injected, or were about to be, and not healed; the oldest first."""
        try:
            # what follows the last line feed was cut short by a crash, and never followed by its fault
            lines = files.read(self._path, files.RECORD_BYTES).split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        found: dict[str, Entry] = {}
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                if "open" in record:
                    entry = Entry.of(record["open"])
                    found[entry.id] = entry
                else:
                    found.pop(record["closed"], None)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise LabProblem(f"not a line of a journal: {self._path}:{number}", hint=_REPAIR) from error
        return [entry for entry in found.values() if entry.id not in self._closed]

    def _append(self, record: dict[str, object]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._drop_partial_line()
            with self._path.open("a") as stream:
                stream.write(json.dumps(record) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            hint = "is the disk full?"
            raise HostProblem(f"cannot write {self._path}: {error.strerror}", hint=hint) from error

    def _drop_partial_line(self) -> None:
        """A line that a crash cut short must not swallow the next one."""
        with suppress(FileNotFoundError), self._path.open("rb+") as stream:
            stream.truncate(stream.read().rfind(b"\n") + 1)
