"""The one home of jinja2: templates to text. Pure: the templates are read, nothing is written.

Templates loop and print, Python decides. Every value that enters shell, Ruby or OpenSSH's configuration passes a
quoting filter, and none has a control character in it: one value is one line, whatever it is written into.
"""

from __future__ import annotations

import hashlib
import shlex
import unicodedata
from functools import cache
from typing import Any

import jinja2

from halab import data
from halab.printable import printable


class Rendered(str):
    """Text that a template gave: the one value of another template that may have several lines."""

    __slots__ = ()


def text(template: str, **values: Any) -> Rendered:
    """Render a text file; `template` is a path below templates/, or Vagrantfile.j2.

    ValueError where a value has a control character in it. What people write is refused before, with its place.
    """
    return Rendered(_environment(autoescape=False).get_template(template).render(**values))


def page(template: str, **values: Any) -> str:
    """Render an HTML page: every value is escaped."""
    return _environment(autoescape=True).get_template(template).render(**values)


def ruby(value: object) -> str:
    """A Ruby string literal. Single quotes: in double ones `#{…}` would be executed."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def ssh(value: object) -> str:
    """A word of OpenSSH's configuration, where `%h` and the like mean something and quotes end at a quote.

    ValueError where it cannot be written: nothing escapes a variable of the environment there.
    """
    if "${" in str(value):
        raise ValueError(f"OpenSSH would put a variable in the place of ${{…}}: {value}")
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def below(folder: str) -> list[str]:
    """The files below a folder of templates/, by their paths in there."""
    root = data.templates() / folder
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def fingerprint(*folders: str) -> str:
    """A short hash of all templates below these folders, for keys of what is built from them."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((data.templates() / folder).rglob("*")):
            if path.is_file():
                digest.update(path.relative_to(data.templates()).as_posix().encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@cache
def _environment(*, autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        # Vagrantfile.j2 lies beside the folder of the templates
        loader=jinja2.FileSystemLoader([data.templates(), data.root()]),
        undefined=jinja2.StrictUndefined,
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # in shell, ${#array[@]} is a length
        comment_start_string="{##",
        comment_end_string="##}",
        finalize=_printable if autoescape else _one_line,
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    environment.filters["ruby"] = ruby
    environment.filters["ssh"] = ssh
    return environment


def _one_line(value: Any) -> Any:
    """A value as it is; ValueError where it would be more than one line, or is no text at all."""
    if not isinstance(value, Rendered) and any(unicodedata.category(each) == "Cc" for each in str(value)):
        raise ValueError(f"a value with a control character in it is not rendered: {str(value)!r:.80}")
    return value


def _printable(value: Any) -> Any:
    """What a page shows; what a template gave may be markup, and has no such characters any more."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
