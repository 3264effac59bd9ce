"""Placeholders in the options of faults: `{cp2}` is the address of a machine, `{cp2.name}` its name in halab, and
`{cp2.hostname}` its host name, which is also its name as a node.

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
from enum import StrEnum
from typing import Any

SELF = "self"


class Part(StrEnum):
    """What a placeholder means of a machine. The values are what is written after the dot."""

    ADDRESS = ""
    NAME = "name"
    HOSTNAME = "hostname"


# What a placeholder means: from what it refers to, and the part of it.
Meaning = Callable[[str, Part], str]
# The character before the brace decides: a `$` or another brace belongs to another language.
_BRACES = re.compile(r"([\\${]?)\{([a-z][a-z0-9-]*)(?:\.(name|hostname))?\}")


def names_in(option: str, *, is_structured: bool = False) -> Iterator[str]:
    """Yield what the placeholders of an option refer to."""
    for text in _texts(_value(option, is_structured)):
        yield from (name for name, _ in references_in(text))


def references_in(text: str) -> Iterator[tuple[str, Part]]:
    """Yield what the placeholders of a text refer to, and the part of it."""
    yield from ((match[2], _part(match)) for match in _BRACES.finditer(text) if not match[1])


def written(target: str, part: Part) -> str:
    """A placeholder as people write it: `{cp2.name}`."""
    return f"{{{target}.{part}}}" if part else f"{{{target}}}"


def fill(option: str, meaning: Meaning, *, is_structured: bool = False) -> str:
    """The option with its placeholders replaced."""
    filled = _filled(_value(option, is_structured), meaning)
    return filled if isinstance(filled, str) else json.dumps(filled, ensure_ascii=False)


def fill_known(text: str, meaning: Callable[[str, Part], str | None]) -> str:
    """A text with the placeholders replaced that have a meaning. All others stay, with their backslashes."""

    def replaced(match: re.Match[str]) -> str:
        value = None if match[1] else meaning(match[2], _part(match))
        return match[0] if value is None else value

    return _BRACES.sub(replaced, text)


def _value(option: str, is_structured: bool) -> Any:
    if is_structured and option[:1] in ("{", "["):
        # it may be YAML, which is a text like any other
        with suppress(ValueError):
            return json.loads(option)
    return option


def _filled(value: Any, meaning: Meaning) -> Any:
    if isinstance(value, dict):
        return {name: _filled(item, meaning) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, meaning) for item in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        if match[1] == "\\":
            return match[0][1:]
        return match[0] if match[1] else meaning(match[2], _part(match))

    return _BRACES.sub(replaced, value)


def _part(match: re.Match[str]) -> Part:
    return Part(match[3] or "")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
