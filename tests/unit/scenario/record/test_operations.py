"""Reads and writes of keys: which of them count, and what their outcome is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from halab.errors import Corrupted
from halab.scenario.record.operations import (
    Ended,
    Operation,
    Started,
    as_lines,
    bounded,
    operations,
    read,
    to_json,
)


def write(number: int, value: str) -> Started:
    return Started(number, 0, "cp1", "a", 10 * number, value)


def read_of(number: int) -> Started:
    return Started(number, 1, "cp2", "a", 10 * number)


def test_an_answered_write_and_an_answered_read_have_their_times() -> None:
    lines: list[Started | Ended] = [
        write(1, "1"),
        Ended(1, 15, True, "1"),
        read_of(2),
        Ended(2, 25, True, "1"),
    ]
    assert operations(lines) == [
        Operation(1, 0, "a", True, "1", 10, 15),
        Operation(2, 1, "a", False, "1", 20, 25),
    ]


def test_a_read_of_a_missing_key_has_an_empty_value() -> None:
    assert operations([read_of(2), Ended(2, 25, True)]) == [Operation(2, 1, "a", False, "", 20, 25)]


def test_a_write_without_an_answer_is_open_until_the_end() -> None:
    assert operations([write(1, "1")]) == [Operation(1, 0, "a", True, "1", 10, None)]


def test_a_write_that_was_not_sent_and_a_read_without_an_answer_do_not_count() -> None:
    lines: list[Started | Ended] = [
        write(1, "1"),
        Ended(1, 15, False),
        read_of(2),
        read_of(3),
        Ended(3, 35, False),
    ]
    assert operations(lines) == []


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "operations.jsonl"
    lines: list[Started | Ended] = [write(1, "1"), read_of(2), Ended(2, 25, True, "1")]
    path.write_text("".join(f"{to_json(line)}\n" for line in lines) + '{"id": 3, "cl')
    assert read(path) == lines


def test_a_run_without_operations_has_none(tmp_path: Path) -> None:
    assert read(tmp_path / "operations.jsonl") == []


@pytest.mark.parametrize("line", ['{"id": 1}', '{"id": 1, "end": "15", "ok": true, "value": null}', "5"])
def test_a_wrong_line_is_an_error_with_its_number(line: str, tmp_path: Path) -> None:
    path = tmp_path / "operations.jsonl"
    path.write_text(f"{to_json(write(1, '1'))}\n{line}\n")
    with pytest.raises(Corrupted, match=r"operations\.jsonl:2: "):
        read(path)


def test_an_open_write_ends_with_the_first_read_of_its_value_and_counts_only_if_there_is_one() -> None:
    never_read = Operation(1, 0, "a", True, "1", 10, None)
    read_twice = Operation(2, 1, "a", True, "2", 20, None)
    reads = [Operation(3, 2, "a", False, "2", 30, 60), Operation(4, 3, "a", False, "2", 40, 50)]
    # the same value of another key, and the value of a key that was never written
    others = [Operation(5, 2, "b", False, "1", 30, 35), Operation(6, 2, "b", False, "", 36, 37)]
    answered = Operation(7, 0, "a", True, "7", 70, 80)
    found = list(bounded([never_read, read_twice, *reads, *others, answered]))
    assert found == [Operation(2, 1, "a", True, "2", 20, 50), *reads, *others, answered]


def test_an_open_write_whose_value_was_read_before_it_has_no_end_before_its_start() -> None:
    early = Operation(1, 0, "a", False, "2", 10, 15)
    assert list(bounded([early, Operation(2, 1, "a", True, "2", 20, None)])) == [
        early, Operation(2, 1, "a", True, "2", 20, 20),
    ]  # fmt: skip


def test_the_check_gets_a_line_for_each_operation() -> None:
    lines = as_lines([Operation(1, 0, "a", True, "1", 10, None)]).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": 1, "client": 0, "key": "a", "write": True, "value": "1", "start": 10, "end": None}
    ]
