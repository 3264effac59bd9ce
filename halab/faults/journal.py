"""The journal of faults that are not healed yet. With it, `halab heal` can undo the faults of a run that was killed."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from halab import files
from halab.errors import HostProblem, LabProblem
from halab.printable import brief_value

_REPAIR = (
    "the file may have been changed by hand. `halab reset` restores the state that `halab up` saved, and begins a new "
    "journal"
)


@dataclass(frozen=True)
class Entry:
    """One fault as it was injected, with all that its heal needs."""

    id: str
    fault: str
    machine: str
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, written: dict[str, Any]) -> Entry:
        """Read an entry. Raises TypeError or AttributeError if it is not one."""
        entry = cls(**written)
        texts = (entry.id, entry.fault, entry.machine, *entry.options, *entry.options.values())
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("all values of an entry must be text")
        return entry

    def __str__(self) -> str:
        options = "".join(f" {name}={brief_value(value)}" for name, value in sorted(self.options.items()))
        return f"{self.fault} on {self.machine}{options}"


def in_words(entries: Sequence[Entry]) -> list[str]:
    """The faults in words. If several have the same name, each also has its id, which `halab heal` accepts."""
    names = Counter(entry.fault for entry in entries)
    return [f"{entry}, id {entry.id}" if names[entry.fault] > 1 else str(entry) for entry in entries]


class Journal:
    """Append-only: one line before a fault is injected, and one line after it was healed.

    Safe to use from several threads: a fault may hit several machines at the same time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._closed: set[str] = set()

    def opened(self, entry: Entry) -> None:
        """Record a fault before it acts. A crash may leave an entry without a fault, never a fault without an entry."""
        with self._lock:
            self._append({"open": asdict(entry)})

    def closed(self, entry: Entry) -> None:
        with self._lock:
            self._closed.add(entry.id)
            if self.open_faults():
                self._append({"closed": entry.id})
            else:
                # removing the file needs no space: the lines of other heals may be missing because the disk was full
                self._path.unlink(missing_ok=True)

    def require_no_fault(self) -> None:
        """Raise LabProblem if a fault is open."""
        if open_faults := self.open_faults():
            raise LabProblem(f"a fault is open: {open_faults[0]}", hint="heal it first: `halab heal`")

    def open_faults(self) -> list[Entry]:
        """The faults that were recorded and not healed, the oldest first."""
        try:
            # a line without a line feed was cut short by a crash, before its fault acted
            lines = files.read(self._path, files.RECORD_BYTES).split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        entries: dict[str, Entry] = {}
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                if "open" in record:
                    entry = Entry.of(record["open"])
                    entries[entry.id] = entry
                else:
                    entries.pop(record["closed"], None)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise LabProblem(f"not a line of a journal: {self._path}:{number}", hint=_REPAIR) from error
        return [entry for entry in entries.values() if entry.id not in self._closed]

    def _append(self, record: dict[str, object]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._drop_partial_line()
            with self._path.open("a") as stream:
                stream.write(json.dumps(record) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            hint = files.write_hint(error)
            raise HostProblem(f"cannot write {self._path}: {error.strerror}", hint=hint) from error

    def _drop_partial_line(self) -> None:
        """Remove a line that a crash cut short, so that the next one begins on a line of its own."""
        with suppress(FileNotFoundError), self._path.open("rb+") as stream:
            stream.truncate(stream.read().rfind(b"\n") + 1)
