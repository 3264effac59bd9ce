"""The matrices of the nightly: each can be read, and together they play everything that comes with halab."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from halab.bugs import library as bugs
from halab.config.kubernetes import DEFAULT, RELEASES
from halab.config.load_balancer import Balancer
from halab.drill import library as drills
from halab.matrix import library
from halab.matrix.plan import CellKind, MatrixPlan
from halab.scenario.run import library as scenarios

ROOT = Path(__file__).parents[3]
FILES = sorted(path for path in (ROOT / "nightly").glob("*.yml") if path.name != library.LAB_FILE)
# only on a host with or without KVM
VIRTUAL = ("kvm", "emulated")


@cache
def plan_of(name: str) -> MatrixPlan:
    return library.find(ROOT / "nightly" / f"{name}.yml")


def playable(kind: CellKind) -> set[str]:
    """What all matrices for labs of containers play."""
    names = [path.stem for path in FILES if path.stem not in VIRTUAL]
    return {cell.script.name for name in names for cell in plan_of(name).playable if cell.kind is kind}


def test_the_script_knows_all_matrices() -> None:
    [listed] = re.findall(r"^matrices=\((.*)\)", (ROOT / "scripts/nightly").read_text(), re.MULTILINE)
    assert {*listed.split(), *VIRTUAL} == {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_lab_of_a_matrix_has_something_to_play(path: Path) -> None:
    plan = plan_of(path.stem)
    assert {cell.lab.name for cell in plan.playable} == {lab.name for lab in plan.labs}


def test_every_drill_is_proved_in_a_lab_that_can_run_it() -> None:
    assert playable(CellKind.DRILL) == set(drills.names())


def test_every_bug_is_reproduced_and_must_not_show_where_it_is_fixed() -> None:
    fixed = {
        f"{name}-fixed"
        for name in bugs.names()
        if any(each.fixed for each in bugs.find(name).written.affects)
    }
    assert playable(CellKind.BUG) == {*bugs.names(), *fixed}


def test_every_scenario_that_containers_can_play_is_played_with_its_twin() -> None:
    virtual = {cell.script.name for cell in plan_of("kvm").playable}
    left = set(scenarios.names()) - playable(CellKind.SCENARIO)
    # what no lab of containers has: clocks, disks and kernels of their own
    assert left <= virtual
    assert playable(CellKind.TWIN) == playable(CellKind.SCENARIO)


def test_the_catalogue_is_played_behind_every_balancer_with_a_machine_and_settings() -> None:
    wanted = {str(kind) for kind in Balancer if kind.has_machines and kind.has_settings}
    for name in ("catalogue", "minors"):
        assert set(plan_of(name).axes["load_balancer.kind"]) == wanted


def test_all_other_minors_are_played() -> None:
    assert {*plan_of("minors").axes["kubernetes.version"], DEFAULT} == set(RELEASES)
    before = list(RELEASES)[list(RELEASES).index(DEFAULT) - 1]
    assert plan_of("upgrade").axes["kubernetes.version"] == (before,)
