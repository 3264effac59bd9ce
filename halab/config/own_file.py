"""A file of the user's own that a lab file names: read as text, and errors with the line that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from halab import files
from halab.config import loading, yaml_source
from halab.errors import BadFile, HalabError, Problem

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
    text = loading.text_of(path, limit_bytes)
    problems = list(_control_characters(path, text))
    if problems:
        raise BadFile(problems)
    return OwnFile(path, text.replace("\r\n", "\n"))


@contextmanager
def named_by(lab_file: Path, content: bytes, where: yaml_source.Path) -> Iterator[None]:
    """Turn an error about a file that a lab file names into BadFile: without a line, it gets the line in the lab file.

    `content` is the content of the lab file, and `where` the path of the setting in it.
    """
    try:
        yield
    except BadFile:
        raise
    except HalabError as error:
        source = yaml_source.parse(content.decode("utf-8-sig", "replace"), str(lab_file))
        raise BadFile([source.problem(where, error.message)], hint=error.hint) from error


def _control_characters(path: Path, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.split("\n"), 1):
        bad = next(
            (sign for sign in line.rstrip("\r") if sign < " " and sign != "\t" or sign == "\x7f"), None
        )
        if bad is not None:
            yield Problem(str(path), number, "", f"a control character: \\x{ord(bad):02x}")
