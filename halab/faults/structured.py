"""Options whose values are lists or mappings: JSON from a scenario, or YAML from a command line or a file."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from halab.config import yaml_source

_BETWEEN_DOCUMENTS = re.compile(r"^---(?!\S)", re.MULTILINE)


def value_of(text: str, *, first_line: int = 1) -> Any:
    """The value of YAML or JSON. Raises ValueError with the line and what is wrong with it."""
    source = yaml_source.parse(text, "")
    if source.problems:
        problem = min(source.problems, key=lambda problem: problem.line)
        where = f"line {problem.line + first_line - 1}: " if "\n" in text else ""
        raise ValueError(f"{where}{f'{problem.field}: ' if problem.field else ''}{problem.what}")
    # plain dictionaries, which can be written as YAML
    return json.loads(json.dumps(source.value))


def documents_of(text: str) -> list[Any]:
    """The values of all YAML documents in a text, without empty ones."""
    values, line = [], 1
    for document in _BETWEEN_DOCUMENTS.split(text):
        value = value_of(document, first_line=line)
        if value:
            values.append(value)
        line += document.count("\n")
    return values


def as_yaml(value: Any) -> str:
    """A value as YAML; as JSON, which is YAML too, if other readers of YAML could see another value."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
    return text if value_of(text) == value else json.dumps(value, indent=2)


def mapping_of(text: str) -> dict[str, Any]:
    """A mapping with at least one entry. Raises ValueError if it is something else."""
    value = value_of(text)
    if not isinstance(value, dict) or not value:
        raise ValueError("should be a mapping (name: value)")
    return value
