"""A folder with the source code of a component: its Go modules, its revision, and a hash of what is built."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from halab import process
from halab.config.component_settings import SourceState
from halab.errors import BadFile, BadUsage, CommandFailed, HostProblem, Problem
from halab.images.go import Go, ModuleFile

# A checkout of Kubernetes is read in seconds; one on a slow disk for the first time takes longer.
_GIT_SECONDS = 300
_CHUNK_BYTES = 1 << 20
_GO_MOD = "go.mod"
# What Go says about a line of a go.mod; the column may be missing.
_WRONG = re.compile(r"go\.mod:(\d+)(?::\d+)?: (.+)")
_MODULE = re.compile(r'^module\s+"?([^\s"]+)', re.MULTILINE)
# Git must not write to the folder, and must show the same changes whatever its user has configured.
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0"}
_AS_TEXT = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv")
_DIFF = ("diff", "HEAD", *_AS_TEXT, "--src-prefix=a/", "--dst-prefix=b/", "--", ".")
# The work folder of a lab in the checkout changes with the lab. Go never looks into it.
_NO_SOURCE = (".git", ".halab")
_NEW = ("--others", "--exclude-standard", "--exclude=.halab")
# New files of other kinds stay out of a patch: a password or a kubeconfig may lie beside the code.
_CODE = (".go", ".s", "go.mod", "go.sum")


@dataclass(frozen=True)
class Checkout:
    """A checkout as it was read.

    `modules` are the Go modules in it that the build takes from here, with their folders. All others come from Go's
    proxy.
    """

    path: Path
    modules: Mapping[str, Path]
    state: SourceState

    @property
    def origins(self) -> list[str]:
        """Where a build of it comes from, in the words of a record."""
        return [f"{module} {self.state}" for module in self.modules]


def read(path: Path, written: str, wanted: Sequence[str], go: Go) -> Checkout:
    """Read a checkout that has the first of the `wanted` modules, and perhaps the others.

    `written` is its path in the lab file. Raises BadUsage if it is not one, and HostProblem if git refuses to read it.
    """
    if not path.is_dir():
        raise BadUsage(f"{'not a folder' if path.exists() else 'no such folder'}: {written}")
    path = path.resolve()
    modules = _modules(path, written, wanted, go)
    return Checkout(path, modules, state(path, written))


def state(path: Path, written: str) -> SourceState:
    """The state of a folder with source code, whatever modules it has.

    Raises HostProblem if git refuses to read it.
    """
    revision = _revision(path)
    digest = hashlib.sha256()
    if not revision:
        _add_files(digest, path, _all_files(path))
        return SourceState(written, "", is_dirty=False, digest=digest.hexdigest())
    changes = _git(path, *_DIFF)
    untracked = _names(path, *_NEW)
    # generated code may be ignored, and is built all the same
    ignored = _names(path, "--others", "--ignored", "--exclude-standard", "--", "*.go")
    digest.update(f"{revision}\0{changes}\0".encode())
    _add_files(digest, path, [*untracked, *ignored])
    return SourceState(written, revision, bool(changes or untracked), digest.hexdigest())


def patch(path: Path, most_characters: int) -> str:
    """What is not committed in a checkout, with new Go files, as `git apply` reads it. Empty if it is longer."""
    text, new = _git(path, *_DIFF), [name for name in _names(path, *_NEW) if name.endswith(_CODE)]
    # `git apply` wants names from the top folder of the repository
    above = _git(path, "rev-parse", "--show-prefix").rstrip("\n")
    words = ("diff", "--no-index", *_AS_TEXT, f"--src-prefix=a/{above}", f"--dst-prefix=b/{above}")
    for name in new:
        # not all that lies in a checkout is read for nothing
        if len(text) > most_characters or (path / name).lstat().st_size > most_characters:
            return ""
        text += _git(path, *words, "--", os.devnull, name, codes=(0, 1))
    return text if len(text) <= most_characters else ""


def require_same(before: Checkout) -> None:
    """Raise HostProblem if a checkout is no longer as it was read: nobody knows what was built."""
    if not before.path.is_dir() or state(before.path, before.state.path) != before.state:
        raise HostProblem(
            f"the source code changed while it was built: {before.state.path}",
            hint="run the command again; it builds what is there now",
        )


def _modules(path: Path, written: str, wanted: Sequence[str], go: Go) -> dict[str, Path]:
    """The modules that are wanted, and those in the same checkout that they are developed with."""
    found = dict(_modules_in(path))
    if not found:
        raise BadUsage(f"no {_GO_MOD} in {written}", hint=f"name a folder with the Go module {wanted[0]}")
    if wanted[0] not in found:
        raise BadUsage(
            f"{written} has the Go module {next(iter(found))}, not {wanted[0]}",
            hint="name the top folder of a checkout of this component",
        )
    modules = {name: found[name] for name in wanted if name in found}
    unread = list(modules)
    while unread:
        folder = modules[unread.pop()]
        for name, relative in _read(go, folder / _GO_MOD).local_replacements.items():
            place = (folder / relative).resolve()
            # what is outside is no part of the revision
            if name not in modules and place.is_relative_to(path) and (place / _GO_MOD).is_file():
                modules[name] = place
                unread.append(name)
    return modules


def _read(go: Go, path: Path) -> ModuleFile:
    """A go.mod. Raises BadFile with the line that Go cannot read."""
    try:
        return go.read(path)
    except CommandFailed as error:
        problems = [Problem(str(path), int(line), "", what) for line, what in _WRONG.findall(error.output)]
        if not problems:
            raise
        raise BadFile(problems) from error


def _modules_in(path: Path) -> Iterator[tuple[str, Path]]:
    """The modules in a folder and in the folders directly below it."""
    below = sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    for folder in (path, *below):
        if (folder / _GO_MOD).is_file():
            declared = _MODULE.search((folder / _GO_MOD).read_text(errors="replace"))
            if declared:
                yield declared[1], folder


def _revision(path: Path) -> str:
    """The commit; empty if git does not know the folder, or only a folder around it."""
    if shutil.which("git") is None:
        return ""
    try:
        if not _names(path, "--", _GO_MOD, f"*/{_GO_MOD}"):
            return ""
        return _git(path, "rev-parse", "--verify", "HEAD").strip()
    except CommandFailed as error:
        if "dubious ownership" in error.message:
            raise HostProblem(
                f"git does not read {path}: another user owns it",
                hint=f"git config --global --add safe.directory {path}",
            ) from error
        return ""


def _names(path: Path, *options: str) -> list[str]:
    return [name for name in _git(path, "ls-files", "-z", *options).split("\0") if name]


def _git(path: Path, *words: str, codes: Collection[int] = (0,)) -> str:
    done = process.run(
        ["git", "-C", path, *words], timeout_seconds=_GIT_SECONDS, env=_ENVIRONMENT, check=False
    )
    if done.code not in codes:
        raise CommandFailed(f"git {words[0]} failed in {path}:\n{done.errors}", code=done.code)
    return done.output


def _all_files(path: Path) -> list[str]:
    names = (file.relative_to(path) for file in path.rglob("*") if file.is_symlink() or file.is_file())
    return sorted(str(name) for name in names if not set(_NO_SOURCE) & set(name.parts))


def _add_files(digest: hashlib._Hash, path: Path, names: Sequence[str]) -> None:
    for name in names:
        file = path / name
        digest.update(f"{name}\0".encode(errors="surrogateescape"))
        if file.is_symlink():
            digest.update(os.fsencode(file.readlink()))
        elif file.is_file():
            digest.update(f"{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
