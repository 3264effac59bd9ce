"""An archive: the folder of a run as one compressed tar file, with a list of its files and their checksums.

Secrets are taken out while it is made (see `redaction`). Nothing outside of its folder is written when it is unpacked,
and a file that does not match its checksum is an error.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from halab import __version__, files
from halab.archive.redaction import redacted
from halab.errors import BadUsage, Corrupted
from halab.scenario.record.folder import RunFolder

SCHEMA = 1
# In the folder of the run: the list of its files, and the folder for the lab of a replay, which is not packed.
CONTENTS = "archive.json"
AGAIN = "again"
_SUFFIX = ".tar.gz"
# Far more than a run has. Without limits, unpacking a small file could fill the disk.
_MOST_FILES = 5000
_MOST_BYTES = 1_000_000_000
_BROKEN = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error)


@dataclass(frozen=True)
class Contents:
    """The content of archive.json. `files` are the checksums (SHA-256) by path below the folder of the run.

    `verdict` is the verdict in result.json, None without it. `removed` is the number of secrets that were taken out, by
    path.
    """

    run: str
    verdict: str | None
    files: Mapping[str, str]
    removed: Mapping[str, int] = field(default_factory=dict)
    halab: str = __version__
    schema: int = SCHEMA


@dataclass(frozen=True)
class Archive:
    path: Path
    contents: Contents


def pack(run: RunFolder, target: Path | None = None) -> Archive:
    """Make an archive of a run; by default `NAME.tar.gz` in the present folder.

    Raises BadUsage if the file exists, and HostProblem if it cannot be written. Then no file is left.
    """
    name = run.path.resolve().name
    target = target or Path(f"{name}{_SUFFIX}")
    if target.exists():
        raise BadUsage(f"the file exists: {target}", hint="choose another file with --output FILE")
    packed: dict[str, bytes] = {}
    removed: dict[str, int] = {}
    for path in _files_of(run):
        packed[path], count = _redacted(files.read(run.path / path, _MOST_BYTES))
        if count:
            removed[path] = count
    sums = {path: hashlib.sha256(content).hexdigest() for path, content in packed.items()}
    contents = Contents(name, _verdict(run), sums, removed)
    packed[CONTENTS] = _as_json(contents)
    with files.writing(target):
        files.replace(target, _tar(name, packed), mode=0o644)
    return Archive(target, contents)


def unpack(path: Path, folder: Path | None = None) -> tuple[RunFolder, Contents]:
    """Unpack an archive into a folder, by default one with the name of the run in the present folder.

    A folder that already has this archive is used as it is, with the lab that an earlier replay made in it. Raises
    BadUsage if the folder has other files, Corrupted if the file is no archive or was changed, and HostProblem.
    """
    entries = _read(path)
    contents = _contents(path, entries.pop(CONTENTS, None))
    _check(path, entries, contents)
    run = RunFolder(folder or Path(contents.run))
    if _has(run, contents):
        return run, contents
    if run.path.exists() and (not run.path.is_dir() or any(run.path.iterdir())):
        raise BadUsage(f"the folder is not empty: {run.path}", hint="choose another folder with --in FOLDER")
    with files.writing(run.path):
        _write(run.path, {**entries, CONTENTS: _as_json(contents)})
    return RunFolder.existing(run.path, or_proof=True), contents


def _write(folder: Path, entries: Mapping[str, bytes]) -> None:
    """Make a folder in one step: it has all the files, or does not exist."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        fresh = Path(scratch) / "run"
        for name, content in entries.items():
            file = fresh / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        fresh.replace(folder)


def _files_of(run: RunFolder) -> Iterator[str]:
    for path in sorted(run.path.rglob("*")):
        name = path.relative_to(run.path)
        if path.is_file() and not path.is_symlink() and name.parts[0] not in (AGAIN, CONTENTS):
            yield name.as_posix()


def _redacted(content: bytes) -> tuple[bytes, int]:
    # bytes that are no text stay as they are
    text, count = redacted(content.decode(errors="surrogateescape"))
    return (text.encode(errors="surrogateescape"), count) if count else (content, 0)


def _as_json(contents: Contents) -> bytes:
    return (json.dumps(asdict(contents), indent=2, ensure_ascii=False) + "\n").encode()


def _verdict(run: RunFolder) -> str | None:
    try:
        verdict = json.loads(run.result.read_bytes()).get("verdict")
    except (OSError, ValueError, AttributeError):
        return None
    return verdict if isinstance(verdict, str) else None


def _tar(name: str, packed: Mapping[str, bytes]) -> bytes:
    """The same files give the same bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, content in packed.items():
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), mtime=0)


def _read(path: Path) -> dict[str, bytes]:
    """The content of every file by its path below the top folder. Nothing is written."""
    try:
        files.require_regular(path)
        with tarfile.open(path, "r:gz") as tar:
            return _entries(path, tar)
    except FileNotFoundError as error:
        raise BadUsage(f"no such file: {path}") from error
    except OSError as error:
        raise BadUsage(f"cannot read {path}: {error.strerror or error}") from error
    except _BROKEN as error:
        raise Corrupted(f"{path} is not an archive of `halab pack`, or is incomplete: {error}") from error


def _entries(path: Path, tar: tarfile.TarFile) -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    size = 0
    for entry in tar:
        parts = PurePosixPath(entry.name).parts
        size += entry.size
        if len(entries) >= _MOST_FILES or size > _MOST_BYTES:
            raise Corrupted(
                f"{path} is larger than halab unpacks: at most {_MOST_FILES} files and {_MOST_BYTES // 10**9} GB"
            )
        if not entry.isfile() or len(parts) < 2 or ".." in parts or entry.name.startswith("/"):
            raise Corrupted(f"{path} is not an archive of `halab pack`: it has the entry {entry.name}")
        content = tar.extractfile(entry)
        assert content is not None  # it is a regular file
        entries["/".join(parts[1:])] = content.read()
    return entries


def _contents(path: Path, content: bytes | None) -> Contents:
    if content is None:
        raise Corrupted(f"not an archive of halab: {path} has no {CONTENTS}")
    try:
        contents = TypeAdapter(Contents).validate_json(content)
    except ValidationError as error:
        raise Corrupted(f"not an archive of halab: {CONTENTS} in {path} cannot be read") from error
    if contents.schema != SCHEMA:
        raise Corrupted(
            f"made by another version of halab: {path}", hint=f"use halab {contents.halab} to read it"
        )
    if PurePosixPath(contents.run).name != contents.run or contents.run in ("", ".", ".."):
        raise Corrupted(
            f"{path} is not an archive of `halab pack`: the name of its run is not the name of a folder"
        )
    return contents


def _check(path: Path, entries: Mapping[str, bytes], contents: Contents) -> None:
    """Whether the files are the files of the list."""
    for name in sorted(entries.keys() | contents.files.keys()):
        if name not in entries or name not in contents.files:
            what = "is missing" if name not in entries else "was added"
        elif hashlib.sha256(entries[name]).hexdigest() != contents.files[name]:
            what = "was changed"
        else:
            continue
        raise Corrupted(f"{path} was changed after `halab pack`: {name} {what}")


def _has(run: RunFolder, contents: Contents) -> bool:
    """Whether a folder was unpacked from the same archive."""
    try:
        found = TypeAdapter(Contents).validate_json(files.read(run.path / CONTENTS, files.RECORD_BYTES))
    except (OSError, ValidationError, BadUsage):
        return False
    return found == contents
