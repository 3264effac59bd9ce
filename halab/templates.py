"""Templates to text; the only module that uses jinja2. It reads the templates and writes nothing.

Templates loop and print, Python decides. Every value that enters shell, Ruby or OpenSSH's configuration passes a
quoting filter, and no value has a control character: a value is always on one line.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import traceback
import unicodedata
from functools import cache
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from halab import data
from halab.errors import BadFile, Problem
from halab.printable import printable


class Rendered(str):
    """Text that a template has produced: only such a value may have several lines in another template."""

    __slots__ = ()


def text(template: str, **values: Any) -> Rendered:
    """Render a text file; `template` is a path below templates/, or Vagrantfile.j2.

    Raises ValueError if a value has a control character. In the files of users such values are refused earlier, with
    file and line.
    """
    return Rendered(_environment(autoescape=False).get_template(template).render(**values))


def page(template: str, **values: Any) -> str:
    """Render an HTML page with every value escaped."""
    return _environment(autoescape=True).get_template(template).render(**values)


def ruby(value: object) -> str:
    """A Ruby string literal in single quotes: in double quotes, `#{…}` would be executed."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def ssh(value: object) -> str:
    """A word of OpenSSH's configuration, with `%`, quotes and backslashes escaped.

    Raises ValueError if it has `${`: OpenSSH would put in a variable of the environment, and has no escape for it.
    """
    if "${" in str(value):
        raise ValueError(f"OpenSSH would replace ${{…}} with a variable: {value}")
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def here_end(content: object) -> str:
    """A line that the content does not have, for the end of a here-document."""
    word, lines = "EOF", str(content).splitlines()
    while word in lines:
        word += "-"
    return word


def own(source: str, name: str, *, is_shell: bool = False, **values: Any) -> Rendered:
    """Render a template of the user's own, which cannot read files or run commands. `name` is its path.

    In a shell script, a comment begins with `{##`, because `${#array[@]}` is a length. Raises BadFile with the line.
    """
    try:
        environment = _own_environment(is_shell=is_shell)
        code = environment.compile(source, name, name)
        return Rendered(
            environment.template_class.from_code(environment, code, environment.make_globals(None)).render(
                values
            )
        )
    except jinja2.TemplateSyntaxError as error:
        raise BadFile([Problem(name, error.lineno, "", str(error.message))]) from error
    except Exception as error:
        # whatever an expression may raise
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if frame.filename == name), None)
        raise BadFile([Problem(name, line or 1, "", _in_words(error))]) from error


def _in_words(error: Exception) -> str:
    # jinja2 names objects by their module: 'halab.topology.lab.Machine object' has no attribute 'nam'
    return re.sub(r"'halab\.[\w.]*?(\w+) object'", r"\1", str(error)) or type(error).__name__


def below(folder: str) -> list[str]:
    """The paths of the files below a folder of templates/, relative to that folder."""
    root = data.templates() / folder
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def fingerprint(*folders: str) -> str:
    """A short hash of all templates below these folders: a part of the keys of what is built from them."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((data.templates() / folder).rglob("*")):
            if path.is_file():
                digest.update(path.relative_to(data.templates()).as_posix().encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@cache
def _own_environment(*, is_shell: bool) -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FunctionLoader(_refuse_to_include),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        comment_start_string="{##" if is_shell else "{#",
        comment_end_string="##}" if is_shell else "#}",
        finalize=_one_line,
    )
    environment.filters["sh"] = _quoted
    return environment


def _refuse_to_include(name: str) -> str:
    raise ValueError(f"a file of your own cannot include another one: {name}")


def _quoted(value: object) -> str:
    return shlex.quote(str(value))


@cache
def _environment(*, autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        # Vagrantfile.j2 is beside the folder of the templates
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
    environment.filters["sh"] = _quoted
    environment.filters["here_end"] = here_end
    environment.filters["ruby"] = ruby
    environment.filters["ssh"] = ssh
    return environment


def _one_line(value: Any) -> Any:
    """The value. Raises ValueError if it has a control character."""
    if not isinstance(value, Rendered) and any(
        unicodedata.category(character) == "Cc" for character in str(value)
    ):
        raise ValueError(f"a value with a control character cannot be rendered: {str(value)!r:.80}")
    return value


def _printable(value: Any) -> Any:
    """The value without control characters. Markup that a template has produced has none."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
