"""The examples of docs/developing.md fit the code: one of them runs, the others use names that exist."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from halab.faults.catalogue import FAULTS

ROOT = Path(__file__).parents[2]
PAGE = "docs/developing.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PART = re.compile(
    r"^# ((?:halab|tests)/\S+\.py)[^\n]*\n(.*?)(?=^# (?:halab|tests)/|\Z)", re.DOTALL | re.MULTILINE
)
_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w+")
_DEFINED = re.compile(r"^ *(?:class |def )?(\w+)(?=[(:]| =| in )|(\w+):|for (\w+)", re.MULTILINE)
_TEXT = re.compile(r'""".*?"""|f?"(?:[^"\\]|\\.)*"|#[^\n]*', re.DOTALL)


def sections() -> Iterator[str]:
    """The worked examples, with their titles."""
    _, _, examples = (ROOT / PAGE).read_text().partition("\n## Worked examples\n")
    yield from examples.partition("\n## ")[0].split("\n### ")[1:]


def parts(section: str) -> Iterator[tuple[str, str]]:
    """The path and the code of each file that an example of the section shows."""
    for block in _BLOCK.findall(section):
        yield from _PART.findall(block)


def test_the_example_of_a_fault_passes_its_own_tests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = dict(
        part for section in sections() if section.startswith("Add a fault") for part in parts(section)
    )
    module: dict[str, Any] = {}
    exec(shown["halab/faults/mtu.py"], module)
    for fault in module["FAULTS"]:
        monkeypatch.setitem(FAULTS, fault.name, fault)
    tests: dict[str, Any] = {}
    exec(shown["tests/unit/faults/test_mtu.py"], tests)
    tests["test_the_mtu_is_lower_until_the_fault_is_healed"]()
    tests["test_the_heal_of_a_fault_that_was_not_injected_changes_nothing"](tmp_path)


def _values(text: re.Match[str]) -> str:
    """The values that a text with placeholders uses; other texts and comments have none."""
    return " ".join(re.findall(r"\{(\w+)", text[0])) if text[0].startswith("f") else ""


@pytest.mark.parametrize("section", [pytest.param(text, id=text.partition("\n")[0]) for text in sections()])
def test_an_example_uses_names_of_the_file_that_it_belongs_to(section: str) -> None:
    own = {name for _, code in parts(section) for found in _DEFINED.findall(code) for name in found}
    known = own | set(keyword.kwlist) | set(keyword.softkwlist) | set(dir(builtins))
    for path, code in parts(section):
        if (ROOT / path).exists():
            words = set(re.findall(r"\w+", (ROOT / path).read_text()))
            missing = sorted(set(_WORD.findall(_TEXT.sub(_values, code))) - known - words)
            assert not missing, f"{PAGE}: {path} has no {', '.join(missing)}"
