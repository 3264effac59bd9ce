"""Shrinking with scripted runs: failures of another kind, flaky runs, errors, a search that goes on from its log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fakes import Recorded
from support.stage import result_of

from halab.config.twin import Verdict
from halab.errors import BadUsage, Corrupted
from halab.progress import Quiet
from halab.scenario.run.library import Script
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus, Result
from halab.shrink.candidate import Candidate
from halab.shrink.play import write
from halab.shrink.session import Shrinking, broken_in, planned_seed
from halab.trials.rule import Count, Rule

PROMISE = "ledger: no acknowledged write is lost"
START = Candidate(
    {
        "title": "Two faults",
        "teaches": "Nothing yet.",
        "needs": {"control_planes": 3},
        "steps": [
            {"inject": "freeze", "name": "one", "on": "cp1"},
            {"expect": {"probe": "ready-direct", "on": "one", "fails": "within 60s"}},
            {"wait": "8s"},
            {"heal": "one"},
            {"inject": "freeze", "name": "two", "on": "cp2"},
            {"expect": {"probe": "ready-direct", "on": "two", "fails": "within 60s"}},
            {"wait": "1s"},
        ],
        "recover": {"steady": "within 8m"},
        "twin": {"replace": {"one": "nothing"}, "verdict": "fail"},
    }
)


def run_of(verdict: str, *promises: str) -> Result:
    outcomes = tuple(
        PromiseOutcome(PromiseKind(kind), kind, promised.strip(), "seen", PromiseStatus.BROKEN)
        for kind, _, promised in (promise.partition(":") for promise in promises)
    )
    return replace(result_of("a", verdict), outcomes=outcomes)


FAILED, PASSED, ERROR = run_of("fail", PROMISE), run_of("pass"), run_of("error")
OTHER = run_of("fail", "recovery: steady within 8m")


class Runs:
    """Gives every candidate its results, one after another; the last one stays."""

    def __init__(self, shrinking: Shrinking, results: Callable[[Candidate], list[Result]]) -> None:
        self.shrinking, self.results = shrinking, results
        self.tested: list[str] = []
        self.ends_after = 10**6

    def __call__(self, candidate: Candidate, is_enough: Callable[[], bool]) -> None:
        if candidate.scenario({}) is None:
            return
        self.tested.append(candidate.key)
        scripted = self.results(candidate)
        for number in range(self.shrinking.rule.most_runs):
            if len(self.shrinking.runs) >= self.ends_after:
                raise KeyboardInterrupt
            result = scripted[min(number, len(scripted) - 1)]
            self.shrinking.record(candidate, result, f"runs/{number}")
            if is_enough():
                return


def needs_fault_one(candidate: Candidate) -> list[Result]:
    return [FAILED if "one" in candidate.faults else PASSED]


def shrinking(
    folder: Path,
    rule: Rule | None = None,
    promises: tuple[str, ...] = (PROMISE,),
    lab: str = "hash",
    scenario: str = "hash",
) -> Shrinking:
    return Shrinking(START, promises, rule or Rule(), 7, folder, lab=lab, scenario=scenario)


def test_the_smallest_scenario_that_fails_is_found(tmp_path: Path) -> None:
    found, progress = shrinking(tmp_path), Recorded()
    smallest = found.run(Runs(found, needs_fault_one), progress)
    assert smallest is not None
    assert smallest.steps == [START.steps[0], START.steps[1]]
    assert progress.lines[0] == "2 faults in 7 steps: it failed in this way in 1 of 1 run"
    assert found.in_words(smallest) == "it failed in this way in 1 of 1 run"
    assert found.tried == len({run.candidate for run in found.runs})


def test_a_scenario_that_does_not_fail_again_is_not_made_smaller(tmp_path: Path) -> None:
    found = shrinking(tmp_path, Rule(3))
    runs = Runs(found, lambda candidate: [PASSED])
    assert found.run(runs, Quiet()) is None
    assert len(runs.tested) == 1 and len(found.runs) == 3


def test_a_failure_of_another_kind_does_not_count(tmp_path: Path) -> None:
    found = shrinking(tmp_path)
    runs = Runs(found, lambda candidate: [FAILED if candidate == START else OTHER])
    assert found.run(runs, Quiet()) == START


def test_without_a_run_the_first_failure_says_what_is_searched_for(tmp_path: Path) -> None:
    found = shrinking(tmp_path, Rule(2), promises=())
    assert not found.promises
    results = {START.key: [PASSED, FAILED]}
    smallest = found.run(Runs(found, lambda candidate: results.get(candidate.key, [OTHER])), Quiet())
    assert found.promises == (PROMISE,)
    assert smallest == START


def test_a_smaller_scenario_must_fail_often_enough(tmp_path: Path) -> None:
    found = shrinking(tmp_path, Rule(3, at_least=2))
    once = [PASSED, FAILED, PASSED]
    runs = Runs(found, lambda candidate: [FAILED] if candidate == START else once)
    assert found.run(runs, Quiet()) == START
    assert found.count(START).judged == 2


def test_an_error_is_no_failure_and_no_pass(tmp_path: Path) -> None:
    found = shrinking(tmp_path)
    # an error takes place again, and after two of them nothing is known of a candidate
    results = {True: [ERROR, FAILED], False: [ERROR, ERROR]}
    runs = Runs(found, lambda candidate: results["one" in candidate.faults])
    smallest = found.run(runs, Quiet())
    assert smallest is not None and smallest.faults == ["one"]
    # the second fault alone ended in errors twice
    alone = START.with_faults(["two"])
    assert alone.key in runs.tested and found.count(alone) == Count(lost=2)
    assert found.unanswered == 1


def test_the_result_says_that_smaller_scenarios_were_given_up(tmp_path: Path) -> None:
    found = shrinking(tmp_path)
    runs = Runs(found, lambda candidate: [FAILED] if candidate == START else [ERROR])
    assert found.run(runs, Quiet()) == START
    assert found.unanswered == found.tried - 1 > 1
    scenario = START.scenario({})
    assert scenario is not None
    script = Script("two", Path("two.yml"), scenario, START.text.encode())
    write(found, START, script, "./two.yml", tmp_path / "two.yml")
    given_up = (
        f"# {found.unanswered} smaller scenarios ended in errors and may fail, too: see {found.path}.\n"
    )
    assert given_up in (tmp_path / "two.yml").read_text()


def test_a_search_goes_on_from_its_log(tmp_path: Path) -> None:
    first = shrinking(tmp_path)
    runs = Runs(first, needs_fault_one)
    runs.ends_after = 2
    with pytest.raises(KeyboardInterrupt):
        first.run(runs, Quiet())
    again = shrinking(tmp_path)
    assert again.runs == first.runs and planned_seed(tmp_path) == 7
    more = Runs(again, needs_fault_one)
    smallest = again.run(more, Quiet())
    assert smallest is not None and len(smallest.steps) == 2
    assert START.key not in more.tested


def test_there_is_no_seed_without_a_log(tmp_path: Path) -> None:
    assert planned_seed(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"promises": ("ledger: other",)}, "promises"),
        ({"rule": Rule(2)}, "repeat"),
        ({"lab": "other"}, "lab"),
        # also if only one of its files has changed
        ({"scenario": "other"}, "scenario"),
    ],
)
def test_the_log_of_another_search_is_refused(change: dict[str, Any], differs: str, tmp_path: Path) -> None:
    shrinking(tmp_path)
    with pytest.raises(BadUsage, match=f"is the log of another search: it differs in: {differs}$"):
        shrinking(tmp_path, **change)


def test_a_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    shrinking(tmp_path)
    log = tmp_path / "shrink.jsonl"
    log.write_text(log.read_text() + "{}\n")
    with pytest.raises(Corrupted, match="line 2"):
        shrinking(tmp_path)


def test_the_promises_of_a_run_are_those_that_it_broke() -> None:
    assert broken_in(FAILED) == (PROMISE,)
    assert broken_in(PASSED) == ()
    assert FAILED.verdict is Verdict.FAIL
