"""What a join in a scenario file must obey."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.scenario_files import problems

TEXT = """title: A control plane joins
teaches: It joins.
needs: {control_planes: 3}
steps:
  - {inject: leave-cluster, name: left, on: cp3}
  - {inject: hold-static-pod, name: held, on: cp2, with: {pod: etcd}}
  - {do: join, on: left, fails: within 3m, says: learner}
  - {heal: left}
  - {inject: lose-machine, name: later, on: cp3}
recover: {steady: within 90s}
twin: {replace: {left: nothing}}
"""
JOIN = "do: join, on: left, fails: within 3m, says: learner"


def test_a_complete_join_is_accepted_and_shows_the_fault(tmp_path: Path) -> None:
    assert problems(TEXT, tmp_path) == []


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("do: join, on: left", "needs exactly one of ok, fails or ends"),
        ("do: join, on: left, says: learner", "needs exactly one of ok, fails or ends"),
        ("do: join, on: left, ok: within 3m, ends: within 3m", "needs exactly one of ok, fails or ends"),
        ("do: join, on: left, ok: within 500ms", "ok: a join takes seconds: give it 1s or more"),
        ('do: join, on: left, ok: within 3m, says: "a\\nb"', "says: should be one line"),
        ("do: join, on: lefd, ok: within 3m", "lefd; did you mean left?"),
        ("do: join, on: later, ok: within 3m", "is injected later, in step 5: later"),
        ("do: join, on: cp3, ok: within 3m", "no earlier step injects a fault of that name: cp3"),
        ("do: join, ok: within 3m", "on: is missing"),
        ("do: leave, on: left, ok: within 3m", "do: "),
        ("do: join, on: left, ok: always", 'should be "within" and a time such as "within 30s"'),
        ("do: join, on: left, ok: within 3m, days: x", "days"),
        (
            "do: join, on: held, ok: within 3m",
            "on: hold-static-pod takes no machine out of the cluster; name a fault that does: "
            "join-with-expired-key, join-without-removing, leave-cluster or lose-machine",
        ),
    ],
)
def test_an_impossible_join_is_refused(step: str, said: str, tmp_path: Path) -> None:
    (problem,) = problems(TEXT.replace(JOIN, step), tmp_path)
    assert problem.startswith("s.yml:7: steps[3]") and said in problem, problem


def test_a_machine_cannot_join_after_the_heal_that_joined_it(tmp_path: Path) -> None:
    healed = TEXT.replace(f"  - {{{JOIN}}}\n  - {{heal: left}}", f"  - {{heal: left}}\n  - {{{JOIN}}}")
    (problem,) = problems(healed, tmp_path)
    assert "steps[4].on: is already healed in step 3, and the heal joined its machines: left" in problem


def test_a_load_balancer_does_not_join(tmp_path: Path) -> None:
    text = TEXT.replace("leave-cluster, name: left, on: cp3", "lose-machine, name: left, on: [cp3, lb]")
    (problem,) = problems(text, tmp_path)
    assert "steps[3].on: the load balancer joins no cluster: left must be on nodes only" in problem
