"""JSON Patch (RFC 6902): the operations add, replace, remove and test."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from halab.faults.structured import value_of

_NEEDS_VALUE = {"add": True, "replace": True, "test": True, "remove": False}
_INDEX = re.compile(r"0|[1-9][0-9]*")


def read(text: str) -> list[dict[str, Any]]:
    """The operations. Raises ValueError if they are not a patch."""
    operations = value_of(text)
    if not isinstance(operations, list) or not operations:
        raise ValueError("should be a list of operations, such as [{op: remove, path: /spec/hostNetwork}]")
    for number, operation in enumerate(operations, 1):
        kind = operation.get("op") if isinstance(operation, dict) else None
        if kind not in _NEEDS_VALUE:
            raise ValueError(f"operation {number} should have an op: {', '.join(_NEEDS_VALUE)}")
        if not str(operation.get("path", "")).startswith("/"):
            raise ValueError(f"operation {number} should have a path that begins with /")
        if _NEEDS_VALUE[kind] and "value" not in operation:
            raise ValueError(f"operation {number} should have a value: {kind} {operation['path']}")
    return operations


def apply(operations: list[dict[str, Any]], document: Any) -> Any:
    """A changed copy of the document. Raises ValueError with the operation that is impossible."""
    changed = deepcopy(document)
    for number, operation in enumerate(operations, 1):
        kind, path = operation["op"], operation["path"]
        *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:])
        try:
            inside = changed
            for part in parents:
                inside = inside[_key(inside, part)]
            _change(kind, inside, _key(inside, last, is_new=kind == "add"), operation.get("value"))
        except LookupError as error:
            raise ValueError(f"the path of operation {number} does not exist: {kind} {path}") from error
        except _Differs as error:
            raise ValueError(f"the path of operation {number} has another value: {kind} {path}") from error
    return changed


class _Differs(Exception):
    pass


def _change(kind: str, inside: Any, key: Any, value: Any) -> None:
    if kind == "add" and isinstance(inside, list):
        inside.insert(key, deepcopy(value))
    elif kind in ("add", "replace"):
        inside[key] = deepcopy(value)
    elif kind == "remove":
        del inside[key]
    elif inside[key] != value:
        raise _Differs


def _key(inside: Any, part: str, *, is_new: bool = False) -> Any:
    """The key of a mapping, or the index of a list; `-` means after the last item.

    Raises LookupError if it does not exist, unless it `is_new`.
    """
    if isinstance(inside, dict):
        if part not in inside and not is_new:
            raise LookupError(part)
        return part
    if not isinstance(inside, list) or not (_INDEX.fullmatch(part) or (is_new and part == "-")):
        raise LookupError(part)
    index = len(inside) if part == "-" else int(part)
    if index >= len(inside) + is_new:
        raise LookupError(part)
    return index
