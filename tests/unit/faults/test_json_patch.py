"""JSON Patch: what RFC 6902 says of add, replace, remove and test."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halab.faults.json_patch import apply, read

POD = {"spec": {"containers": [{"name": "a", "args": ["1", "2"]}], "a/b": {"m~n": 8}}}


@pytest.mark.parametrize(
    ("operation", "path", "value", "wanted"),
    [
        ("add", "/spec/hostNetwork", True, {**POD["spec"], "hostNetwork": True}),
        ("add", "/spec/a~1b", 7, {**POD["spec"], "a/b": 7}),
        ("replace", "/spec/a~1b/m~0n", 9, {**POD["spec"], "a/b": {"m~n": 9}}),
        ("remove", "/spec/a~1b", None, {"containers": POD["spec"]["containers"]}),
        ("test", "/spec/a~1b/m~0n", 8, POD["spec"]),
    ],
)
def test_a_field_of_a_mapping_changes(operation: str, path: str, value: Any, wanted: Any) -> None:
    before = json.dumps(POD)
    assert apply([{"op": operation, "path": path, "value": value}], POD) == {"spec": wanted}
    assert json.dumps(POD) == before


@pytest.mark.parametrize(
    ("operation", "index", "wanted"),
    [
        ("add", "0", ["x", "1", "2"]),
        ("add", "2", ["1", "2", "x"]),
        ("add", "-", ["1", "2", "x"]),
        ("replace", "1", ["1", "x"]),
        ("remove", "0", ["2"]),
    ],
)
def test_an_item_of_a_list_changes(operation: str, index: str, wanted: list[str]) -> None:
    path = f"/spec/containers/0/args/{index}"
    changed = apply([{"op": operation, "path": path, "value": "x"}], POD)
    assert changed["spec"]["containers"][0]["args"] == wanted


@pytest.mark.parametrize(
    ("operation", "path", "why"),
    [
        ("replace", "/spec/none", "the path of operation 1 does not exist: replace /spec/none"),
        ("remove", "/none", "does not exist"),
        ("test", "/none", "does not exist"),
        ("add", "/spec/none/deep", "does not exist"),
        ("add", "/spec/containers/2", "does not exist"),
        ("add", "/spec/containers/01", "does not exist"),
        ("replace", "/spec/containers/-", "does not exist"),
        ("remove", "/spec/containers/1", "does not exist"),
        ("add", "/spec/containers/0/name/x", "does not exist"),
        ("test", "/spec/containers", "the path of operation 1 has another value: test /spec/containers"),
    ],
)
def test_an_impossible_operation_is_named(operation: str, path: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        apply([{"op": operation, "path": path, "value": 1}], POD)


def test_a_value_is_not_shared_between_places() -> None:
    value = {"a": 1}
    operations: list[dict[str, object]] = [
        {"op": "add", "path": f"/{name}", "value": value} for name in "xy"
    ]
    operations.append({"op": "replace", "path": "/x/a", "value": 2})
    assert apply(operations, {}) == {"x": {"a": 2}, "y": {"a": 1}}
    assert value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{op: add}", "should be a list of operations"),
        ("[]", "should be a list of operations"),
        ("[remove]", "operation 1 should have an op: add, replace, test, remove"),
        ("[{op: move, from: /a, path: /b}]", "operation 1 should have an op"),
        ("[{op: remove, path: /a}, {op: remove}]", "operation 2 should have a path that begins with /"),
        ("[{op: remove, path: a}]", "should have a path that begins with /"),
        ("[{op: add, path: /a}]", "operation 1 should have a value: add /a"),
        ("[{op: add", "malformed YAML"),
    ],
)
def test_a_malformed_patch_is_refused_when_it_is_read(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(text)


def test_null_is_a_value() -> None:
    assert read('[{"op": "add", "path": "/a", "value": null}]') == [
        {"op": "add", "path": "/a", "value": None}
    ]
