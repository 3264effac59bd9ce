"""Placeholders in the options of faults: `{cp2}` is the address of a machine, and `{cp2.name}` its name.

They can name whatever a target can name: a machine, a role or an earlier fault. `{self}` is the machine that the fault
is on. Braces that belong to something else stay as they are: `${name}` of a shell, `{{name}}` of a template, and
everything that is not one word between braces. A backslash keeps such a word too: `\\{name}`. In a structured option,
which is JSON, only the strings that are values have placeholders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

SELF = "self"
# The character before the brace decides: a `$` or another brace belongs to another language.
_BRACES = re.compile(r"([\\${]?)\{([a-z][a-z0-9-]*)(\.name)?\}")


def names_in(option: str, *, is_structured: bool = False) -> Iterator[str]:
    """Yield what the placeholders of an option refer to."""
    for text in _texts(_value(option, is_structured)):
        yield from (name for name, _ in references_in(text))


def references_in(text: str) -> Iterator[tuple[str, bool]]:
    """Yield what the placeholders of a text refer to, and if they ask for the name."""
    yield from ((match[2], bool(match[3])) for match in _BRACES.finditer(text) if not match[1])


def fill(option: str, meaning: Callable[[str, bool], str], *, is_structured: bool = False) -> str:
    """The option with its placeholders replaced. `meaning` gets what one refers to, and if the name is asked for."""
    filled = _filled(_value(option, is_structured), meaning)
    return filled if isinstance(filled, str) else json.dumps(filled, ensure_ascii=False)


def fill_known(text: str, meaning: Callable[[str, bool], str | None]) -> str:
    """A text with the placeholders replaced that have a meaning. All others stay, with their backslashes."""

    def replaced(match: re.Match[str]) -> str:
        value = None if match[1] else meaning(match[2], bool(match[3]))
        return match[0] if value is None else value

    return _BRACES.sub(replaced, text)


def _value(option: str, is_structured: bool) -> Any:
    if is_structured and option[:1] in ("{", "["):
        # it may be YAML, which is a text like any other
        with suppress(ValueError):
            return json.loads(option)
    return option


def _filled(value: Any, meaning: Callable[[str, bool], str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(item, meaning) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, meaning) for item in value]
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
