"""JSON Schemas of the files that people write, for editors that complete and check them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from halab.config.lab import LabFile
from halab.config.scenario import Scenario

LAB_SCHEMA = "lab.schema.json"
SCENARIO_SCHEMA = "scenario.schema.json"


def lab_schema() -> str:
    return _schema(LabFile, "a halab lab")


def scenario_schema() -> str:
    return _schema(Scenario, "a halab scenario")


def _schema(model: type[BaseModel], title: str) -> str:
    """The schema of what a file may hold. What only shows in the whole of it, halab says when it reads it."""
    schema = _tidy(model.model_json_schema(mode="validation", by_alias=True))
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return json.dumps({**schema, **head}, indent=2, ensure_ascii=False) + "\n"


def _tidy(schema: Any) -> Any:
    """Without what is true of the models and not of the files: that a field may be null, how a size is kept."""
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _tidy(value) for name, value in schema.items() if not _is_noise(name, value)}
    branches = [each for each in _flat(kept.get("anyOf", [])) if each != {"type": "null"}]
    if len(branches) > 1:
        kept["anyOf"] = branches
    elif branches:
        kept = {**branches[0], **{name: value for name, value in kept.items() if name != "anyOf"}}
    if kept.get("type") == "string" and isinstance(kept.get("default"), int):
        kept["default"] = f"{kept['default']}M"
    return kept


def _flat(branches: list[Any]) -> Iterator[Any]:
    for each in branches:
        if each.keys() == {"anyOf"}:
            yield from _flat(each["anyOf"])
        else:
            yield each


def _is_noise(name: str, value: Any) -> bool:
    return (name == "title" and isinstance(value, str)) or value is None or name == "ge"
