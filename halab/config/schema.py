"""JSON Schemas of the files that people write, for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from halab.config import kubeadm
from halab.config.drill import Drill
from halab.config.game_day import GameDay
from halab.config.lab import LabFile
from halab.config.matrix import Matrix
from halab.config.scenario import Scenario

LAB_SCHEMA = "lab.schema.json"
SCENARIO_SCHEMA = "scenario.schema.json"
DRILL_SCHEMA = "drill.schema.json"
GAME_DAY_SCHEMA = "game-day.schema.json"
MATRIX_SCHEMA = "matrix.schema.json"

# The definitions of models in whose files null is a value.
_WITH_NULL = {model.__name__ for model in vars(kubeadm).values() if getattr(model, "null_removes", False)}


def lab_schema() -> str:
    return _schema(LabFile, "a halab lab")


def scenario_schema() -> str:
    return _schema(Scenario, "a halab scenario")


def drill_schema() -> str:
    return _schema(Drill, "a halab drill")


def game_day_schema() -> str:
    return _schema(GameDay, "a halab game day")


def matrix_schema() -> str:
    return _schema(Matrix, "a halab matrix")


def _schema(model: type[BaseModel], title: str) -> str:
    """The schema of a file. Rules that need the whole file are checked when halab reads it."""
    schema = _tidy(model.model_json_schema(mode="validation", by_alias=True))
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return json.dumps({**schema, **head}, indent=2, ensure_ascii=False) + "\n"


def _tidy(schema: Any, *, keep_null: bool = False) -> Any:
    """Remove what applies to the models and not to the files: null for a field that needs a value, sizes as numbers."""
    if isinstance(schema, list):
        return [_tidy(item, keep_null=keep_null) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {
        name: _tidy(value, keep_null=keep_null or name in _WITH_NULL)
        for name, value in schema.items()
        if not _is_noise(name, value)
    }
    branches = [branch for branch in _flat(tidy.get("anyOf", [])) if keep_null or branch != {"type": "null"}]
    if len(branches) > 1:
        tidy["anyOf"] = branches
    elif branches:
        tidy = {**branches[0], **{name: value for name, value in tidy.items() if name != "anyOf"}}
    if tidy.get("type") == "string" and isinstance(tidy.get("default"), int):
        tidy["default"] = f"{tidy['default']}M"
    return tidy


def _flat(branches: list[Any]) -> Iterator[Any]:
    for branch in branches:
        if branch.keys() == {"anyOf"}:
            yield from _flat(branch["anyOf"])
        else:
            yield branch


def _is_noise(name: str, value: Any) -> bool:
    return (name == "title" and isinstance(value, str)) or value is None or name == "ge"
