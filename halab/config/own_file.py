"""A file of the user's own that another file names: a configuration, plain or a template."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from halab import files
from halab.config import loading
from halab.errors import BadFile, BadUsage, Problem

# What a template begins its parts with. No configuration of a load balancer needs them for something else.
_JINJA = ("{{", "{%", "{#")


@dataclass(frozen=True)
class OwnFile:
    """The path of the file, for messages, and its content as it was read."""

    path: Path
    text: str

    @property
    def is_template(self) -> bool:
        return any(sign in self.text for sign in _JINJA)


def read(path: Path, limit_bytes: int = files.WRITTEN_BYTES) -> OwnFile:
    """Read a regular file. Raises BadUsage if it cannot be read, and BadFile with the lines if it is not plain text."""
    try:
        text = loading.text_of(path, limit_bytes)
    except ValueError as error:  # a NUL byte in its name
        raise BadUsage(f"no such file: {path}") from error
    problems = list(_control_characters(path, text))
    if problems:
        raise BadFile(problems)
    return OwnFile(path, text.replace("\r\n", "\n"))


def _control_characters(path: Path, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.split("\n"), 1):
        bad = next(
            (sign for sign in line.rstrip("\r") if sign < " " and sign != "\t" or sign == "\x7f"), None
        )
        if bad is not None:
            yield Problem(str(path), number, "", f"a control character: \\x{ord(bad):02x}")
