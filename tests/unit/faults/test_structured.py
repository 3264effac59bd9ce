"""Lists and mappings in options: JSON, YAML of one document or of several."""

from __future__ import annotations

import pytest

from halab.faults.structured import documents_of, mapping_of, value_of


def test_json_and_yaml_are_read() -> None:
    assert value_of('{"a": [1, null, "x"]}') == value_of("a: [1, null, x]") == {"a": [1, None, "x"]}


def test_documents_are_separated_and_empty_ones_left_out() -> None:
    assert documents_of("---\na: 1\n--- # two\nb: |\n  x --- y\n---\n\n---\nc: 3\n--- {d: 4}\n") == [
        {"a": 1},
        {"b": "x --- y\n"},
        {"c": 3},
        {"d": 4},
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\na: 2\n", "line 2: a: already set on line 1"),
        ("a: 1\n---\nb: [\n", "line 4: malformed YAML"),
        ("a: *x\n", "line 1: malformed YAML: an alias"),
        ("{a: !!python/object x}", "a: has a YAML tag"),
    ],
)
def test_a_problem_has_its_line(text: str, where: str) -> None:
    with pytest.raises(ValueError, match=where.replace("(", r"\(")):
        documents_of(text)


@pytest.mark.parametrize("text", ["[1]", "{}", "x", ""])
def test_a_mapping_has_entries(text: str) -> None:
    with pytest.raises(ValueError, match="should be a mapping"):
        mapping_of(text)
