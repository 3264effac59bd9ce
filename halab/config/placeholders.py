"""Placeholders in the options of faults: `{cp2}` is the address of a machine, and `{cp2.name}` its name.

They can name whatever a target can name: a machine, a role or an earlier fault. `{self}` is the machine that the fault
is on. Braces that belong to something else stay as they are: `${name}` of a shell, `{{name}}` of a template, and
everything that is not one word between braces. A backslash keeps such a word too: `\\{name}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

SELF = "self"
# The character before the brace decides: a `$` or another brace belongs to another language.
_BRACES = re.compile(r"([\\${]?)\{([a-z][a-z0-9-]*)(\.name)?\}")


def names_in(value: Any) -> Iterator[str]:
    """Yield what the placeholders of a text, or of all texts in a list or mapping, refer to."""
    for text in _texts(value):
        yield from (match[2] for match in _BRACES.finditer(text) if not match[1])


def fill(value: Any, meaning: Callable[[str, bool], str]) -> Any:
    """The value with its placeholders replaced. `meaning` gets what one refers to, and if the name is asked for."""
    if isinstance(value, dict):
        return {name: fill(item, meaning) for name, item in value.items()}
    if isinstance(value, list):
        return [fill(item, meaning) for item in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        if match[1] == "\\":
            return match[0][1:]
        return match[0] if match[1] else meaning(match[2], bool(match[3]))

    return _BRACES.sub(replaced, value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
