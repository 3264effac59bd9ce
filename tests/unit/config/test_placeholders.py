"""Placeholders are replaced, and all other braces stay as they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halab.config.placeholders import Part, fill, names_in


def meaning(target: str, part: Part) -> str:
    return f"<{part or 'address'} of {target}>"


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("https://{cp1}:2379", "https://<address of cp1>:2379"),
        ("{self}{lb}", "<address of self><address of lb>"),
        ("cordon {dead-leader.name}", "cordon <name of dead-leader>"),
        ("drain {dead-leader.hostname} {self.addr}", "drain <hostname of dead-leader> {self.addr}"),
        # a shell, a template, awk, JSON and brace expansion
        ("echo ${cp1}", "echo ${cp1}"),
        ("{{cp1}} {{ .x }}", "{{cp1}} {{ .x }}"),
        ("awk '{ print }' {a,b} {1..3} {}", "awk '{ print }' {a,b} {1..3} {}"),
        ('{"cp1": {"a": 1}}', '{"cp1": {"a": 1}}'),
        (r"awk '\{print}' \{cp1.name}", "awk '{print}' {cp1.name}"),
        (r"\n \(", r"\n \("),
    ],
)
def test_only_placeholders_are_replaced(text: str, filled: str) -> None:
    assert fill(text, meaning) == filled


def test_texts_in_lists_and_mappings_are_filled_and_their_names_are_not() -> None:
    option = json.dumps({"{cp3}": ["{cp1}", 5, None, True, {"a": "{cp2}"}]})
    assert list(names_in(option, is_structured=True)) == ["cp1", "cp2"]
    assert json.loads(fill(option, meaning, is_structured=True)) == {
        "{cp3}": ["<address of cp1>", 5, None, True, {"a": "<address of cp2>"}]
    }


@given(st.text(alphabet="a{}$\\-.name", max_size=30))
def test_a_text_changes_only_if_it_names_something_or_escapes_a_brace(text: str) -> None:
    if not list(names_in(text)) and "\\{" not in text:
        assert fill(text, meaning) == text
