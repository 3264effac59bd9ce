from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from halab import files
from halab.config.loading import Model, load, loads, nearest
from halab.errors import BadFile, BadUsage


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Model):
    colour: Colour = Colour.RED
    size: int = Field(1, ge=1, le=9)


class Outer(Model):
    name: str = "x"
    count: int = 0
    maybe: int | None = None
    ratio: float = 1.0
    flag: bool = False
    inner: Inner = Inner()
    items: tuple[Inner, ...] = ()
    words: dict[str, str] = {}
    aliased: str = Field("", alias="on")


class Demanding(Model):
    title: str
    inner: Inner


def problems(text: str, model: type[Model] = Outer) -> list[str]:
    with pytest.raises(BadFile) as caught:
        loads(text, "f.yml", model)
    return caught.value.message.splitlines()


def work_of(call: Callable[[], object]) -> int:
    """How many steps of bytecode a call takes: the same on a busy machine as on an idle one."""
    steps = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return steps


def test_ten_times_as_many_unknown_names_are_ten_times_the_work() -> None:
    def unknown(count: int) -> int:
        text = "".join(f"name{number}: 1\n" for number in range(count))
        return work_of(lambda: problems(text))

    assert unknown(1000) < 12 * unknown(100)


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_a_file_that_is_not_regular_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lab.yml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        listener = socket.socket(socket.AF_UNIX)
        with contextlib.chdir(tmp_path):
            listener.bind("lab.yml")
        listener.close()
    with pytest.raises(BadUsage, match="not a regular file|cannot read"):
        load(path, Outer)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    with path.open("wb") as stream:
        stream.truncate(100 * 2**30)
    with pytest.raises(BadUsage, match=r"larger than 1 MB: .*lab\.yml"):
        load(path, Outer)


def test_a_file_that_does_not_say_its_size_is_read_no_further_than_the_limit(tmp_path: Path) -> None:
    # below /proc, files say that they are empty
    with pytest.raises(BadUsage, match="larger than 1 kB"):
        files.read(Path("/proc/self/maps"), 1000)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "\ufeff"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert loads(text.removeprefix("\ufeff"), "f.yml", Outer) == Outer()


def test_all_problems_are_reported_in_the_order_of_lines() -> None:
    text = "count: three\ninner:\n  colour: green\n  sise: 4\nname: [a]\nunknown: 1\n"
    assert problems(text) == [
        'f.yml:1: count: should be a whole number, not "three"',
        'f.yml:3: inner.colour: should be red or blue, not "green"',
        "f.yml:4: inner.sise: is not known; did you mean size?",
        "f.yml:5: name: should be text, not a list of 1",
        "f.yml:6: unknown: is not known; known: count, flag, inner, items, maybe, name, on, ratio, words",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("count: true", "count: should be a whole number, not true"),
        ('count: "3"', 'count: should be a whole number, not "3"'),
        ("count: 1.5", "count: should be a whole number, not 1.5"),
        ('maybe: "3"', 'maybe: should be a whole number, not "3"'),
        ("ratio: yes", 'ratio: should be a number, not "yes"'),
        ("ratio: 1e999", "ratio: should be a finite number, not 1e999"),
        ("flag: yes", 'flag: should be true or false, not "yes"'),
        ("flag: 1", "flag: should be true or false, not 1"),
        ("name: 1.10", 'name: should be text: write "1.10", with the quotes'),
        ("name: true", 'name: should be text: write "true", with the quotes'),
        ("name:", "name: has no value: write one, or leave the line out"),
        ("maybe:", "maybe: has no value: write one, or leave the line out"),
        ("inner:", "inner: has no value: write one, or leave the line out"),
        ("inner: 3", "inner: should be a mapping (name: value), not 3"),
        ("inner: {size: 0}", "inner.size: should be 1 or more, not 0"),
        ("inner: {size: 10}", "inner.size: should be 9 or less, not 10"),
        ("items: x", 'items: should be a list, not "x"'),
        ("items: [{}, {size: x}]", 'items[2].size: should be a whole number, not "x"'),
        ("words: {a: [1]}", "words.a: should be text, not a list of 1"),
        ("name: !thing x", "name: has a YAML tag, which halab does not support: !thing"),
        ("count: !!int x", "count: is tagged as int, but is not one: x"),
        ("? [a]\n: b", "a name should be text"),
        ("- a", "should be a mapping (name: value), not a list of 1"),
        ("just text", 'should be a mapping (name: value), not "just text"'),
    ],
)
def test_problems_are_reported_in_plain_words(text: str, said: str) -> None:
    assert problems(text) == [f"f.yml:1: {said}"]


def test_a_name_that_is_set_twice_is_refused_with_the_line_of_the_first() -> None:
    assert problems("name: a\ncount: 1\nname: b") == ["f.yml:3: name: already set on line 1"]
    assert problems("inner:\n  size: 1\n  size: 2") == ["f.yml:3: inner.size: already set on line 2"]


def test_what_is_missing_is_named() -> None:
    assert problems("inner: {}\n", Demanding) == ["f.yml:1: title: is missing"]
    assert problems("title: x\n", Demanding) == ["f.yml:1: inner: is missing"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\n\tb: 2", 2, "a tab cannot indent: use spaces"),
        ("name: a: b", 1, "a ':' in the wrong place"),
        ("name: x\ncount", 2, "a name without a ':'"),
        ("name: 'x", 1, "unexpected end of stream"),
        ("items: [1", 1, "expected ',' or ']'"),
        ("name: x\n---\nname: y", 2, "a second document"),
        ("name: &n x\nwords: {a: *n}", 2, "an alias"),
        ("[" * 1000, 1, "nested too deeply"),
        ("name: a\ncount: \x07", 2, "does not allow"),
        ("name: x\n  count: 1", 2, "a ':' in the wrong place"),
        ('name: x\ncount: "\\U00110000"', 2, "an escape (\\U…) that is not a character"),
        ('name: "\\UFFFFFFFF"', 1, "an escape (\\U…) that is not a character"),
        ('name: x\nwords: {a: "x\\ud83dy"}', 2, "words.a: \\ud83d is half of a character"),
        ('name: x\n"\\udc00": 1', 2, "\\udc00 is half of a character"),
    ],
)
def test_malformed_yaml_is_the_only_problem_and_has_its_line(text: str, line: int, said: str) -> None:
    (found,) = problems(text)
    assert found.startswith(f"f.yml:{line}: ")
    assert said in found


def test_a_character_that_is_written_as_json_writes_it_is_that_character() -> None:
    assert loads('{"name": "\\ud83d\\ude00"}', "f.yml", Outer).name == "\U0001f600"


def test_words_mean_what_is_written() -> None:
    text = "name: yes\non: off\nwords: {yes: 'no', y: n, time: 1:30, date: 2026-11-23, on: on}\ncount: 010\n"
    read = loads(text, "f.yml", Outer)
    assert (read.name, read.aliased, read.count) == ("yes", "off", 10)
    assert read.words == {"yes": "no", "y": "n", "time": "1:30", "date": "2026-11-23", "on": "on"}


def test_a_field_is_known_by_its_alias_alone() -> None:
    assert problems("aliased: x")[0].startswith("f.yml:1: aliased: is not known")


def test_models_do_not_change() -> None:
    with pytest.raises(ValidationError):
        cast(Any, Outer()).name = "y"


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "f.yml"
    path.write_bytes(b"\xef\xbb\xbfname: \xc3\xa4\n")
    assert load(path, Outer).name == "ä"


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match=r"no such file: .*none\.yml"):
        load(tmp_path / "none.yml", Outer)
    with pytest.raises(BadUsage, match="a folder, not a file"):
        load(tmp_path, Outer)
    (tmp_path / "latin.yml").write_bytes(b"count: 1\nname: \xe4\n")
    with pytest.raises(BadFile, match=r"latin\.yml:2: not UTF-8 text"):
        load(tmp_path / "latin.yml", Outer)


def test_a_huge_file_is_refused() -> None:
    assert problems("# " + "x" * 2_000_000) == ["f.yml:1: larger than 1 MB"]


def test_the_nearest_name_is_offered() -> None:
    assert nearest("redz", ["red", "blue"]) == "; did you mean red?"
    assert nearest("green", ["red", "blue"]) == "; known: blue, red"
    assert nearest("x", []) == ""


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_as_a_bad_file(text: str) -> None:
    try:
        loads(text, "f.yml", Outer)
    except BadFile as error:
        assert error.problems
        assert all(problem.line >= 1 for problem in error.problems)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["name", "count", "inner", "items", "words", "flag", "on"]),
)
def test_any_value_in_any_place_is_read_or_refused_as_a_bad_file(value: object, name: str) -> None:
    import yaml

    try:
        loads(yaml.safe_dump({name: value}, allow_unicode=True), "f.yml", Outer)
    except BadFile as error:
        assert all(problem.what for problem in error.problems)
