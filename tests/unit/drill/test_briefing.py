"""The texts of a drill, as the terminal and the pages divide them."""

from __future__ import annotations

from halab.drill.briefing import blocks


def test_a_text_has_paragraphs_and_indented_lines_are_code() -> None:
    text = "First line\nof prose.\n\nSecond.\n\n    bind :6443\n    check\n\nLast."
    assert list(blocks(text)) == [
        ("prose", "First line of prose."), ("prose", "Second."), ("code", "bind :6443\ncheck"), ("prose", "Last."),
    ]  # fmt: skip


def test_each_item_of_a_list_is_a_line_of_its_own() -> None:
    text = "Look:\n- at the first\n  machine\n- at `a - b`\n\nThen repair."
    assert list(blocks(text)) == [
        ("prose", "Look:"), ("list", "at the first machine\nat `a - b`"), ("prose", "Then repair."),
    ]  # fmt: skip


def test_each_step_of_a_list_with_numbers_is_a_line_of_its_own() -> None:
    text = "Repair:\n\n1. Compact, with\n   the revision.\n2. Defragment 3 members.\n"
    assert list(blocks(text)) == [
        ("prose", "Repair:"), ("steps", "Compact, with the revision.\nDefragment 3 members."),
    ]  # fmt: skip
