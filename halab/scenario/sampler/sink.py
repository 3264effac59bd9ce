"""The files that the sampler writes: complete lines, which are evidence even if it is killed."""

from __future__ import annotations

import os
from pathlib import Path

from halab.errors import HostProblem


class Sink:
    """A file of lines, which are complete and in the file before `write` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, *lines: str) -> None:
        data = "".join(f"{line}\n" for line in lines).encode()
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise HostProblem(f"cannot write {self._path}: {error.strerror}") from error
        if written < len(data):
            raise HostProblem(f"cannot write {self._path}: no room for a complete line")
