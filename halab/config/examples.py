"""What was probably meant by a single value in the place of a mapping or a list, for messages. Pure."""

from __future__ import annotations

import types
from collections.abc import Iterable
from enum import Enum
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from halab.config import yaml_source, yaml_text

# A longer value does not make a message clearer.
_MOST_CHARACTERS = 60


def mapping(model: type[BaseModel], example: str, written: Iterable[Any]) -> str:
    """A mapping that the model accepts: `{kind: nginx}` for `nginx`, or the example if no setting fits the value.

    `written` are the forms of the value, such as the number 1.37 and its text. The setting is the first one of the
    example, or one that is a choice between names.
    """
    first = example[1:].partition(":")[0]
    choices = [name for name, field in model.model_fields.items() if _is_choice(field.annotation)]
    for name in (first, *choices):
        for value in written:
            if _is_short(value) and _accepts(model, {name: value}):
                return _written({name: value}, f"{{{name}: {value}}}")
    return example


def list_with(model: type[BaseModel], name: str, value: Any) -> str:
    """`[web.tar]` for `web.tar`, if the setting of that name is a list of such values; empty if it is not."""
    field = model.model_fields.get(name)
    if field is None or not _is_short(value):
        return ""
    items: TypeAdapter[Any] = TypeAdapter(field.annotation or Any)
    for many in ([value], [value, value]):
        if _accepts(items, many):
            return _written(many, f"[{', '.join(map(str, many))}]")
    return ""


def _written(value: Any, plain: str) -> str:
    """The value in one line: without quotes if that is the same value."""
    source = yaml_source.parse(plain, "")
    return plain if source.value == value and not source.problems else yaml_text.in_one_line(value)


def _is_choice(annotation: Any) -> bool:
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return any(isinstance(member, type) and issubclass(member, Enum) for member in members)


def _is_short(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and len(str(value)) <= _MOST_CHARACTERS


def _accepts(model: type[BaseModel] | TypeAdapter[Any], value: Any) -> bool:
    validate = model.validate_python if isinstance(model, TypeAdapter) else model.model_validate
    try:
        validate(value)
    except ValidationError:
        return False
    return True
