"""The staging folder of a bundle: it keeps finished parts, so that an interrupted build continues where it ended."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from halab.images import cache
from halab.images.bundle_part import Part, Workplace
from halab.images.manifest import FileRecord
from halab.progress import Progress


class Staging:
    """The parts of a bundle that is being made. The caller holds the bundle's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.tree = folder / "tree"
        self._records = folder / "records"

    @contextmanager
    def open(self) -> Iterator[Workplace]:
        """The folders in which parts are made."""
        # Scratch is new each time: a child of a killed build may still write to the old one.
        for leftover in self._folder.glob("scratch-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        downloads = cache.make_folder(self._folder / "downloads")
        with tempfile.TemporaryDirectory(prefix="scratch-", dir=self._folder) as scratch:
            yield Workplace(self.tree, downloads, Path(scratch))

    def ensure(self, part: Part, workplace: Workplace, progress: Progress) -> FileRecord:
        """The record of a part. The part is made unless a complete one exists."""
        if record := self._done(part):
            return record
        target = self.tree / part.path
        fresh = workplace.scratch / f"fresh-{target.name}"
        cache.make_folder(target.parent)
        with (
            progress.step(part.path, limit_seconds=part.limit_seconds) as step,
            cache.named_failures(target),
        ):
            origin = part.make(fresh, step)
            record = FileRecord(sha256=cache.sha256(fresh), size=fresh.stat().st_size, origin=tuple(origin))
            fresh.chmod(0o755 if target.parent.name == "bin" else 0o644)
            fresh.rename(target)
            self._write_record(part, record)
            step.done(cache.in_words(record.size))
        return record

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _done(self, part: Part) -> FileRecord | None:
        try:
            record = FileRecord.model_validate_json(self._record_file(part).read_bytes())
            is_complete = cache.sha256(self.tree / part.path) == record.sha256
        except (OSError, ValidationError):
            return None
        return record if is_complete else None

    def _write_record(self, part: Part, record: FileRecord) -> None:
        self._record_file(part).parent.mkdir(parents=True, exist_ok=True)
        self._record_file(part).write_text(record.model_dump_json())

    def _record_file(self, part: Part) -> Path:
        return self._records / f"{part.path}.json"
