"""pytest's JUnit file, read back as results of checks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from halab.errors import Corrupted
from halab.scenario.record import check_results
from halab.scenario.record.check_results import CheckResult, CheckState

FAILED = '<failure message="assert 2 == 3">E assert 2 == 3</failure>'
BROKEN = '<error message="no such fixture">E no such fixture</error>'
SKIPPED = '<skipped message="nginx says nothing">at line 3</skipped>'


def read(path: Path, *cases: str) -> Sequence[CheckResult]:
    content = "".join(
        f'<testcase classname="checks.test_etcd" name="test_it">{each}</testcase>' for each in cases
    )
    path.write_text(f"<testsuites><testsuite>{content}</testsuite></testsuites>")
    found = check_results.read(path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("entries", "state", "text", "detail"),
    [
        ("", CheckState.PASSED, "", ""),
        (FAILED, CheckState.FAILED, "assert 2 == 3", "E assert 2 == 3"),
        (BROKEN, CheckState.ERROR, "no such fixture", "E no such fixture"),
        (SKIPPED, CheckState.SKIPPED, "nginx says nothing", "at line 3"),
        # it failed and was not cleaned up either: the first failure is what was learned
        (FAILED + BROKEN, CheckState.FAILED, "assert 2 == 3", "E assert 2 == 3"),
        (BROKEN + FAILED, CheckState.FAILED, "assert 2 == 3", "E assert 2 == 3"),
        (FAILED + FAILED.replace("2", "4"), CheckState.FAILED, "assert 2 == 3", "E assert 2 == 3"),
        (SKIPPED + BROKEN, CheckState.ERROR, "no such fixture", "E no such fixture"),
        ("<failure/>", CheckState.FAILED, "", ""),
    ],
)
def test_the_result_of_a_check(
    entries: str, state: CheckState, text: str, detail: str, tmp_path: Path
) -> None:
    (found,) = read(tmp_path / "checks.xml", entries)
    assert found == CheckResult("checks.test_etcd", "test_it", state, 0.0, text, detail)


def test_the_first_line_of_pytests_output_says_why_and_the_last_forty_are_quoted(tmp_path: Path) -> None:
    lines = "\n".join(f"line {number}" for number in range(50))
    (found,) = read(tmp_path / "checks.xml", f'<failure message="first&#10;second">{lines}</failure>')
    assert found.text == "first"
    assert found.detail.splitlines() == [f"line {number}" for number in range(10, 50)]


def test_a_single_suite_is_read_and_so_is_a_check_without_a_name_or_with_a_time(tmp_path: Path) -> None:
    path = tmp_path / "checks.xml"
    path.write_text('<testsuite><testcase name="checks.test_lb" time="1.5"/><testcase/></testsuite>')
    assert check_results.read(path) == [
        CheckResult("", "checks.test_lb", CheckState.PASSED, 1.5),
        CheckResult("", "", CheckState.PASSED, 0.0),
    ]


@pytest.mark.parametrize("content", [None, b""])
def test_without_a_file_or_with_an_empty_one_no_checks_ran(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "checks.xml"
    if content is not None:
        path.write_bytes(content)
    assert check_results.read(path) is None


@pytest.mark.parametrize("content", ["<", "<testsuites><testsuite>", "<html/>"])
def test_another_kind_of_file_is_refused_by_its_name(content: str, tmp_path: Path) -> None:
    path = tmp_path / "checks.xml"
    path.write_text(content)
    with pytest.raises(Corrupted, match="cannot read .*checks.xml"):
        check_results.read(path)


@pytest.mark.parametrize(
    ("classname", "name"),
    [("checks.test_etcd", "test_a"), ("checks.test_etcd.TestHashes", "test_a"), ("test_etcd", "test_a"),
     ("", "checks.test_etcd"), ("", "test_etcd")],
)  # fmt: skip
def test_a_check_belongs_to_its_file(classname: str, name: str) -> None:
    check = CheckResult(classname, name, CheckState.PASSED, 0.0)
    assert check.is_of("checks/test_etcd.py")
    assert not check.is_of("checks/test_etcd_more.py")


def test_an_earlier_record_names_a_file_without_its_folders() -> None:
    check = CheckResult("test_etcd", "test_a", CheckState.PASSED, 0.0)
    assert check.is_of("test_etcd.py")
    assert check.is_of("checks/members/test_etcd.py")
