"""The Go toolchain of this host: its version, the modules that it downloads, the programs that it builds."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from halab import process
from halab.errors import BadUsage, CommandFailed, HostProblem
from halab.images.cache import Architecture

# Where Go's own instructions install it; it is often not in the PATH of sudo and login shells.
_USUAL_PLACE = "/usr/local/go/bin"
_HINT = "install Go {minimum} or newer from https://go.dev/dl"
# Settings of the user's own Go projects must not change a bundle.
_ENVIRONMENT = {"GOFLAGS": "-mod=mod -buildvcs=false", "GOWORK": "off", "CGO_ENABLED": "0", "GOOS": "linux"}
_UNKNOWN = ("unknown revision", "404 Not Found", "410 Gone", "not found: module", "no matching versions")

_COMPILER_LINES = 15

# A proxy may keep back some versions.
_REFUSED = "403 Forbidden"


@dataclass(frozen=True)
class Module:
    """A downloaded module; `checksum` is the one that Go's checksum database vouches for."""

    name: str
    checksum: str
    go_mod: Path

    @property
    def origin(self) -> str:
        return f"{self.name} {self.checksum}"


@dataclass(frozen=True)
class ModuleFile:
    """The parts of a go.mod that decide how a program is built when it is the main module.

    `local_replacements` are modules that lie beside it, with their folders relative to its own. `required` are the
    versions that it asks for.
    """

    go: str
    defaults: Mapping[str, str]
    local_replacements: Mapping[str, str]
    required: Mapping[str, str]


class Go:
    def __init__(self, program: str | Path | None = None) -> None:
        self._program = program

    @cached_property
    def program(self) -> str | None:
        return (
            os.fspath(self._program)
            if self._program
            else shutil.which("go") or shutil.which("go", path=_USUAL_PLACE)
        )

    def obstacle(self, minimum: str) -> HostProblem | None:
        """Why this host's Go cannot build a program that needs at least that version."""
        hint = _HINT.format(minimum=minimum)
        if self.program is None:
            return HostProblem("Go is not installed on this host", hint=hint)
        output = self._run(["env", "GOVERSION", "GOTOOLCHAIN"], timeout_seconds=30).splitlines()
        version, toolchain = (*output, "", "")[:2]
        # Since 1.21 Go fetches the toolchain that a module asks for, unless that is switched off.
        if "auto" in toolchain or _numbers(version) >= _numbers(minimum):
            return None
        return HostProblem(f"Go is too old, {minimum} is needed: {version.removeprefix('go')}", hint=hint)

    def download(self, name: str, *, timeout_seconds: float) -> Module:
        """Fetch `module@version` into Go's own cache; Go checks it against the checksum database."""
        # in /, because the user's current folder may be in a module
        try:
            output = self._run(
                ["mod", "download", "-json", name], cwd=Path("/"), timeout_seconds=timeout_seconds
            )
        except CommandFailed as error:
            if any(words in error.message for words in _UNKNOWN):
                raise BadUsage(f"no such version in Go's module proxy: {name}") from error
            if _REFUSED in error.message:
                raise BadUsage(f"Go's module proxy refuses this version: {name}") from error
            raise CommandFailed(
                f"Go could not download {name}: {_reason(error.output)}",
                code=error.code,
                output=error.output,
            ) from error
        facts = json.loads(output)
        return Module(name, facts["Sum"], Path(facts["GoMod"]))

    def versions(self, module: str, *, timeout_seconds: float) -> list[str]:
        """The versions of a module that the proxy lists, oldest first. It may know others that it does not list."""
        words = ["list", "-m", "-versions", "-json", module]
        facts = json.loads(self._run(words, cwd=Path("/"), timeout_seconds=timeout_seconds))
        return list(facts.get("Versions") or ())

    def read(self, go_mod: Path) -> ModuleFile:
        facts = json.loads(self._run(["mod", "edit", "-json", go_mod], timeout_seconds=30))
        return ModuleFile(
            go=facts["Go"],
            defaults={entry["Key"]: entry["Value"] for entry in facts.get("GoDebug") or []},
            local_replacements={
                entry["Old"]["Path"]: entry["New"]["Path"]
                for entry in facts.get("Replace") or []
                if entry["New"]["Path"].startswith(".")
            },
            required={entry["Path"]: entry["Version"] for entry in facts.get("Require") or []},
        )

    def build(
        self,
        package: str,
        target: Path,
        *,
        folder: Path,
        architecture: Architecture,
        timeout_seconds: float,
        variables: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        """Build one static program with the go.mod of `folder`; `variables` are set at linking.

        Raises CommandFailed with the first lines of the compiler: the last ones only follow from them.
        """
        link = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in (variables or {}).items())])
        flags = ["-trimpath", "-tags", ",".join(tags), "-ldflags", link]
        done = process.run(
            [self.program or "go", "build", *flags, "-o", target, package],
            cwd=folder, timeout_seconds=timeout_seconds, env={**_ENVIRONMENT, "GOARCH": architecture}, check=False,
        )  # fmt: skip
        if done.code != 0:
            said = "\n".join((done.errors or done.output).strip().splitlines()[:_COMPILER_LINES])
            raise CommandFailed(f"Go could not build {package}:\n{said}", code=done.code, output=said)

    def _run(
        self,
        argv: Sequence[str | Path],
        *,
        timeout_seconds: float,
        cwd: Path | None = None,
    ) -> str:
        return process.run(
            [self.program or "go", *argv], timeout_seconds=timeout_seconds, cwd=cwd, env=_ENVIRONMENT
        ).output


def _reason(printed: str) -> str:
    """The error in what `go mod download -json` has printed."""
    # the tail of the output: its braces are on lines of their own
    found = re.search(r'^\s*"Error": (".*")$', printed, re.MULTILINE)
    return str(json.loads(found[1])) if found else printed


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))
