"""The journal of faults not yet healed: it outlives halab, so that `halab heal` can undo what a killed run left."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from halab import files
from halab.errors import LabProblem


@dataclass(frozen=True)
class Entry:
    """One fault as it was injected: enough to heal it without anything else."""

    id: str
    fault: str
    machine: str
    options: dict[str, str] = field(default_factory=dict)

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

    def opened(self, entry: Entry) -> None:
        """Written before the fault acts: after a crash it may be there without its fault, never the reverse."""
        with self._lock:
            self._append({"open": asdict(entry)})

    def closed(self, entry: Entry) -> None:
        with self._lock:
            self._append({"closed": entry.id})
            if not self.open_faults():
                self._path.unlink(missing_ok=True)

    def open_faults(self) -> list[Entry]:
        """Faults that were injected, or were about to be, and not healed; the oldest first."""
        try:
            # what follows the last line feed was cut short by a crash, and never followed by its fault
            lines = files.read(self._path, files.RECORD_BYTES).decode(errors="replace").split("\n")[:-1]
        except FileNotFoundError:
            return []
        found: dict[str, Entry] = {}
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except ValueError as error:
                raise LabProblem(f"not readable as JSON: {self._path}:{number}") from error
            if "open" in record:
                found[record["open"]["id"]] = Entry(**record["open"])
            else:
                found.pop(record["closed"], None)
        return list(found.values())

    def _append(self, record: dict[str, object]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._drop_partial_line()
        with self._path.open("a") as stream:
            stream.write(json.dumps(record) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _drop_partial_line(self) -> None:
        """A line that a crash cut short must not swallow the next one."""
        with suppress(FileNotFoundError), self._path.open("rb+") as stream:
            stream.truncate(stream.read().rfind(b"\n") + 1)
