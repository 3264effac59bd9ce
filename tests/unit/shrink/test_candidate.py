"""Smaller scenarios made of a scenario."""

from __future__ import annotations

from typing import Any

import pytest

from halab.shrink.candidate import Candidate


def candidate(*steps: dict[str, Any], **more: Any) -> Candidate:
    return Candidate(
        {
            "title": "A scenario",
            "teaches": "Something.",
            "steps": list(steps),
            "recover": {"steady": "within 60s"},
            "twin": {"replace": {"one": "nothing"}},
            **more,
        }
    )


def pause(name: str, on: Any) -> dict[str, Any]:
    return {"inject": "pause-process", "name": name, "on": on, "with": {"process": "etcd"}}


def fails(on: str, **more: Any) -> dict[str, Any]:
    return {"expect": {"probe": "etcd-direct", "on": on, "fails": "within 9s", **more}}


def test_what_is_about_a_fault_that_is_left_out_is_left_out_with_it() -> None:
    made = candidate(
        pause("one", "cp1"), fails("one"), {"do": "join", "on": "one", "ok": "within 3m"}, pause("two", "cp1"),
        {"expect": {"probe": "write-via-lb", "longest_outage": "5s", "during": "heal one"}},
        {"expect": {"probe": "write-via-lb", "longest_outage": "5s", "during": "one"}},
        fails("two"), {"heal": "one"}, {"heal": "two"},
    )  # fmt: skip
    smaller = made.with_faults(["two"])
    assert smaller.steps == [pause("two", "cp1"), fails("two"), {"heal": "two"}]
    assert smaller.content["twin"] == {"replace": {"two": "nothing"}, "verdict": "fail"}
    assert made.with_faults(["one", "two"]) == made


@pytest.mark.parametrize(
    ("on", "named"),
    [
        ("one", "etcd-leader"),
        (["one", "cp3"], ["etcd-leader", "cp3"]),
        ("both", ["cp1", "cp2"]),
        (["both", "cp2"], ["cp1", "cp2"]),
        ("chained", "etcd-leader"),
    ],
)
def test_a_fault_on_the_machine_of_one_that_is_left_out_names_the_machine_itself(
    on: Any, named: Any
) -> None:
    made = candidate(
        pause("one", "etcd-leader"),
        pause("both", ["cp1", "cp2"]),
        pause("chained", "one"),
        pause("last", on),
    )
    assert made.with_faults(["last"]).steps == [pause("last", named)]


def test_faults_on_the_machine_of_one_that_is_left_out_hit_the_same_machine() -> None:
    made = candidate(pause("one", "etcd-leader"), pause("two", "one"), pause("three", "one"))
    assert made.with_faults(["two", "three"]).steps == [pause("two", "etcd-leader"), pause("three", "two")]
    assert made.with_faults(["three"]).steps == [pause("three", "etcd-leader")]


def test_without_any_fault_nothing_is_left_that_halab_would_run() -> None:
    assert candidate(pause("one", "cp1"), fails("one")).with_faults([]).scenario({}) is None


def test_a_scenario_without_what_shows_its_fault_is_refused() -> None:
    made = candidate(pause("one", "cp1"), fails("one"))
    assert made.scenario({}) is not None
    assert made.with_steps([]).scenario({}) is None


def test_injects_stay_when_other_steps_are_removed() -> None:
    made = candidate(pause("one", "cp1"), fails("one"), {"wait": "5s"}, {"heal": "one"})
    assert made.removable == [1, 2, 3]
    assert made.with_steps([1]).steps == [pause("one", "cp1"), fails("one")]


def test_a_wait_is_shortened_in_place() -> None:
    made = candidate(pause("one", "cp1"), fails("one"), {"wait": "1m30s"})
    assert made.waits == {2: 90.0}
    assert made.with_wait(2, 45).steps[2] == {"wait": "45s"}
    assert made.steps[2] == {"wait": "1m30s"}


def test_a_fault_without_a_name_has_that_of_the_fault() -> None:
    assert candidate({"inject": "freeze", "on": "cp1"}).faults == ["freeze"]


def test_a_file_that_cannot_be_read_is_no_scenario() -> None:
    assert Candidate({"steps": []}).scenario({}) is None
