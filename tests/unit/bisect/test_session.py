"""A whole search with scripted runs: flaky versions, errors, and a search that goes on from its log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.fakes import Recorded

from halab.bisect.log import Log, LoggedRun, Plan, Skipped
from halab.bisect.session import Bisection
from halab.bisect.versions import between
from halab.config.twin import Verdict
from halab.errors import BadUsage, Corrupted, HalabError, HostProblem, LabProblem
from halab.progress import Quiet
from halab.trials.rule import Answer, Rule

VERSIONS = tuple(f"3.6.{number}" for number in range(9))
PASS, FAIL, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR


def plan(rule: Rule) -> Plan:
    return Plan("etcd", VERSIONS, rule.repeat, rule.at_least, rule.shows, "0" * 64, "1" * 64)


def bisection(folder: Path, rule: Rule) -> Bisection:
    return Bisection("etcd", VERSIONS, rule, Log(folder, plan(rule)))


class Runs:
    """Gives every version its verdicts, one after another; the last one stays."""

    def __init__(self, found: Bisection, verdicts: dict[str, list[Verdict]], first_bad: int = 99) -> None:
        self.found, self.verdicts, self.first_bad = found, verdicts, first_bad
        self.tested: list[str] = []
        self.errors: dict[str, BaseException] = {}

    def __call__(self, version: str, is_enough: Callable[[Sequence[Verdict]], bool]) -> None:
        self.tested.append(version)
        if version in self.errors:
            raise self.errors[version]
        default = FAIL if VERSIONS.index(version) >= self.first_bad else PASS
        scripted = self.verdicts.get(version, [default])
        for number in range(self.found.rule.most_runs):
            verdict = scripted[min(number, len(scripted) - 1)]
            self.found.record(version, verdict, f"{version}/{number}")
            if is_enough(self.found.log.verdicts(version)):
                return


@pytest.mark.parametrize("first_bad", range(1, 9))
@pytest.mark.parametrize("repeat", [1, 3])
def test_the_first_bad_version_is_found(first_bad: int, repeat: int, tmp_path: Path) -> None:
    found = bisection(tmp_path, Rule(repeat))
    runs = Runs(found, {}, first_bad)
    found.run(runs, Quiet())
    assert found.search.suspects == (f"3.6.{first_bad}",)
    # a version is tested once: one run with the bug is enough, except for the version that is known to be bad
    assert len(runs.tested) == len(set(runs.tested))
    for version in runs.tested:
        is_short = VERSIONS.index(version) in range(first_bad, 8)
        assert found.count(version).judged == (1 if is_short else repeat)
    assert 0.4 < found.confidence < 1


def test_a_flaky_bug_is_found_with_more_runs(tmp_path: Path) -> None:
    found = bisection(tmp_path, Rule(5))
    flaky = {version: [PASS, PASS, FAIL, PASS] for version in VERSIONS[3:]}
    found.run(Runs(found, flaky), Quiet())
    assert found.search.suspects == ("3.6.3",)
    assert found.in_words("3.6.3") == "etcd 3.6.3: bad, the bug showed in 1 of 3 runs"
    # it shows in one run of five: five good runs say little
    assert found.confidence < 0.85


def test_errors_are_tried_again_and_are_never_an_answer(tmp_path: Path) -> None:
    found = bisection(tmp_path, Rule())
    runs = Runs(found, {"3.6.4": [ERROR, FAIL], "3.6.2": [ERROR]}, first_bad=2)
    found.run(runs, Quiet())
    assert found.answer("3.6.4") is Answer.BAD
    assert found.answer("3.6.2") is Answer.SKIPPED
    assert found.why_skipped("3.6.2") == "its runs ended in errors, or were skipped"
    assert found.search.suspects == ("3.6.2", "3.6.3")


def test_a_version_that_cannot_be_built_is_skipped_with_its_reason(tmp_path: Path) -> None:
    found, said = bisection(tmp_path, Rule()), Recorded()
    runs = Runs(found, {}, first_bad=4)
    runs.errors["3.6.4"] = LabProblem("etcd does not start:\nlast line")
    found.run(runs, said)
    assert found.in_words("3.6.4") == "etcd 3.6.4: skipped, etcd does not start: last line"
    assert found.search.suspects == ("3.6.4", "3.6.5")
    assert said.lines[0] == "test etcd 3.6.8: 8 versions may have brought the bug in, at most 5 tests to go"
    assert found.in_words("3.6.7") == "etcd 3.6.7: not tested, the bug showed in 0 of 0 runs"


def test_an_error_that_has_passed_costs_no_version(tmp_path: Path) -> None:
    found, said = bisection(tmp_path, Rule()), Recorded()
    runs = Runs(found, {}, first_bad=4)
    failing = [LabProblem("an image could not be fetched")]

    def test(version: str, is_enough: Callable[[Sequence[Verdict]], bool]) -> None:
        if version == "3.6.4" and failing:
            raise failing.pop()
        runs(version, is_enough)

    found.run(test, said)
    assert found.search.suspects == ("3.6.4",)
    assert "etcd 3.6.4: an image could not be fetched; test it once more" in said.lines


@pytest.mark.parametrize("error", [KeyboardInterrupt(), HostProblem("no engine")])
def test_what_ends_the_search_is_no_answer_and_the_search_goes_on(
    error: BaseException, tmp_path: Path
) -> None:
    found = bisection(tmp_path, Rule())
    runs = Runs(found, {}, first_bad=6)
    runs.errors["3.6.4"] = error
    with pytest.raises(type(error)):
        found.run(runs, Quiet())
    again = bisection(tmp_path, Rule())
    runs = Runs(again, {}, first_bad=6)
    again.run(runs, Quiet())
    assert runs.tested == ["3.6.4", "3.6.6", "3.6.5"]
    assert again.search.suspects == ("3.6.6",)


def test_runs_before_an_interruption_count(tmp_path: Path) -> None:
    first = bisection(tmp_path, Rule(3))
    first.record("3.6.8", FAIL, "a")
    first.record("3.6.8", ERROR, "b")
    again = bisection(tmp_path, Rule(3))
    Runs(again, {"3.6.8": [PASS, PASS]})("3.6.8", lambda verdicts: len(verdicts) == 4)
    assert again.answer("3.6.8") is Answer.BAD
    assert again.count("3.6.8").judged == 3


def test_a_line_that_was_being_written_is_taken_away(tmp_path: Path) -> None:
    log = Log(tmp_path, plan(Rule()))
    log.add(LoggedRun("3.6.8", FAIL, "a"))
    log.add(Skipped("3.6.4", "does not start"))
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + b'{"version": "3.6.')
    again = Log(tmp_path, plan(Rule()))
    assert (again.runs, again.skipped) == (log.runs, log.skipped)
    assert log.path.read_bytes() == whole
    # nor was the plan complete
    log.path.write_bytes(whole[:20])
    assert Log(tmp_path, plan(Rule())).runs == []


def test_the_log_of_another_search_is_refused(tmp_path: Path) -> None:
    Log(tmp_path, plan(Rule()))
    with pytest.raises(BadUsage, match="is the log of another search: it differs in: repeat, at least$"):
        Log(tmp_path, plan(Rule(3, at_least=2)))
    (tmp_path / "bisect.jsonl").write_text('{"version": "3.6.4", "why": "x"}\n')
    with pytest.raises(BadUsage, match="it does not begin with a plan"):
        Log(tmp_path, plan(Rule()))


def test_a_damaged_log_is_named_with_the_line(tmp_path: Path) -> None:
    path = Log(tmp_path, plan(Rule())).path
    path.write_text(path.read_text() + "nonsense\n")
    with pytest.raises(Corrupted, match="cannot read line 2 of ") as caught:
        Log(tmp_path, plan(Rule()))
    assert caught.value.hint == "remove this line: its run takes place again"


def test_a_folder_that_cannot_be_written_is_a_problem_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HalabError):
        Log(tmp_path / "file", plan(Rule()))


def test_the_versions_between_are_in_order_with_pre_releases() -> None:
    listed = ["3.6.0", "3.6.0-alpha.0", "3.6.0-rc.2", "3.6.0-rc.10", "3.6.1", "3.6.10", "3.6.2", "3.5.9"]
    assert between("3.6.0-alpha.0", "3.6.11", listed) == (
        "3.6.0-alpha.0", "3.6.0-rc.2", "3.6.0-rc.10", "3.6.0", "3.6.1", "3.6.2", "3.6.10", "3.6.11",
    )  # fmt: skip


def test_versions_that_the_proxy_does_not_list_are_added() -> None:
    assert between("3.6.8", "3.6.12", ["3.6.8", "3.6.12"], ["3.6.10", "3.6.9"]) == (
        "3.6.8", "3.6.9", "3.6.10", "3.6.12",
    )  # fmt: skip
    with pytest.raises(BadUsage, match=r"not between 3\.6\.8 and 3\.6\.12: 3\.6\.12, 3\.6\.13"):
        between("3.6.8", "3.6.12", [], ["3.6.12", "3.6.13"])


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("3.6", "3.6.8", r"not a version: 3\.6$"),
        ("3.6.8", "v3.6.9", r"not a version: v3\.6\.9"),
        ("3.6.8", "3.6.4", r"3\.6\.8 is not older than 3\.6\.4"),
        ("3.6.8", "3.6.8", r"3\.6\.8 is not older than 3\.6\.8"),
    ],
)
def test_versions_that_are_no_range_are_refused(good: str, bad: str, said: str) -> None:
    with pytest.raises(BadUsage, match=said):
        between(good, bad, [])
