"""Written YAML means the same to every reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from halab.config import yaml_source, yaml_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(bool), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS.filter(bool), VALUES, max_size=4))
def test_two_readers_read_what_was_written(value: dict[str, Any]) -> None:
    text = yaml_text.dump(value)
    source = yaml_source.parse(text, "text")
    assert (source.value, source.problems) == (value, [])
    assert yaml.safe_load(text) == value


@pytest.mark.parametrize(
    "text", ["on", "No", "1e3", "0x10", "1:30", "2026-01-01", "", "~", "=", "null", ".5", "a: b"]
)
def test_text_that_looks_like_something_else_has_quotes(text: str) -> None:
    assert yaml_text.dump({"a": text}) == f"a: {json.dumps(text)}\n"


def test_plain_words_and_lists_look_as_people_write_them() -> None:
    value = {"extraArgs": [{"name": "node-ip", "value": "10.0.0.1"}], "taints": []}
    assert yaml_text.dump(value) == 'extraArgs:\n  - name: node-ip\n    value: "10.0.0.1"\ntaints: []\n'


def test_a_text_is_on_one_line() -> None:
    assert yaml_text.dump({"a": "x\nEOF\n" + "long " * 50}).count("\n") == 1
