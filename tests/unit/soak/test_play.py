"""A soak on a stage: when it ends, and what it does after an error."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeClock, lab_of
from support.stage import Stage

from halab.campaign import play as campaigns
from halab.campaign.outcome import CampaignOutcome
from halab.errors import HostProblem, LabProblem
from halab.faults.capabilities import Capabilities
from halab.images import linearizability_checker
from halab.soak.draw import Choices
from halab.soak.menu import acts_of, groups_of
from halab.soak.play import choices_of, planned_round, play

GROUPS = groups_of(lab_of(name="ha"))
CHOICES = Choices(GROUPS, acts_of(GROUPS, {}))
SEED = 42
ROUND_SECONDS = 60.0
NO_GO = HostProblem("Go is not installed on this host")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def soak(stage: Stage, verdicts: Sequence[str] = (), *, seconds: float = 600.0) -> CampaignOutcome:
    """Play rounds of a minute; the verdicts are those of the first ones, and the others pass."""
    clock = FakeClock()
    stage.verdicts |= {
        planned_round(SEED, number, CHOICES).script.name: verdict
        for number, verdict in enumerate(verdicts, 1)
    }

    def end_of_round(run: object) -> None:
        clock.at += ROUND_SECONDS

    deps = replace(stage.deps, ended_after=lambda limit, what: nullcontext())
    return play(
        stage.lab_dir, CHOICES, stage.progress, seed=SEED, seconds=seconds, on_run=end_of_round, clock=clock,
        play_campaign=partial(campaigns.play, deps=deps),
    )  # fmt: skip


def played(stage: Stage) -> list[str]:
    return [did for did in stage.did if did.startswith("play ")]


def test_rounds_with_their_own_seeds_are_played_until_the_time_is_over(stage: Stage) -> None:
    outcome = soak(stage, seconds=2.5 * ROUND_SECONDS)
    assert played(stage) == ["play soak-42-1 43", "play soak-42-2 44", "play soak-42-3 45"]
    assert stage.opened_with == [SEED]
    assert [str(planned) for planned in outcome.planned] == ["soak-42-1", "soak-42-2", "soak-42-3"]
    assert outcome.not_run == []


def test_the_first_failed_round_ends_the_soak(stage: Stage) -> None:
    outcome = soak(stage, ["pass", "fail"])
    assert [str(run.result.verdict) for run in outcome.runs] == ["pass", "fail"]


def test_a_round_with_an_error_does_not_end_the_soak_and_the_lab_is_repaired(stage: Stage) -> None:
    stage.damages["soak-42-1"] = "cp2 does not run"
    outcome = soak(stage, ["error", "pass", "fail"])
    assert [str(run.result.verdict) for run in outcome.runs] == ["error", "pass", "fail"]
    assert stage.did[1:5] == ["play soak-42-1 43", "heal", "mend", "play soak-42-2 44"]


def test_rounds_that_are_skipped_end_the_soak_as_errors_do(stage: Stage) -> None:
    outcome = soak(stage, ["skip", "error", "skip", "pass"])
    assert len(outcome.runs) == 3


def test_three_errors_in_a_row_end_the_soak(stage: Stage) -> None:
    outcome = soak(stage, ["error", "error", "pass", "error", "error", "error"])
    assert len(outcome.runs) == 6
    assert stage.progress.lines[-1] == "3 rounds in a row ended in an error or were skipped: the soak ends"


def test_an_interrupted_soak_has_the_rounds_so_far(stage: Stage) -> None:
    stage.errors["play soak-42-2"] = KeyboardInterrupt()
    outcome = soak(stage)
    assert outcome.was_interrupted
    assert len(outcome.runs) == 2


@dataclass(frozen=True)
class Opened:
    """A session as far as the choice of faults asks it."""

    lab: Any
    capabilities: Capabilities = field(
        default_factory=lambda: Capabilities(frozenset(), {"netem": "the kernel cannot delay packets"})
    )


def deps_for(stage: Stage, **written: Any) -> Any:
    return replace(stage.deps, open_session=lambda *given: nullcontext(Opened(lab_of(name="ha", **written))))


def test_the_faults_are_those_that_the_lab_supports(stage: Stage) -> None:
    found = choices_of(
        stage.lab_dir, stage.progress, seed=1, most_faults=2, deps=deps_for(stage), obstacle=lambda: NO_GO
    )
    assert found.most_faults == 2
    assert found.groups == GROUPS
    names = {act.fault for act in found.acts}
    assert "delay-packets" not in names and "kill-process" in names


def test_without_go_reads_are_not_checked(stage: Stage) -> None:
    found = choices_of(
        stage.lab_dir, stage.progress, seed=1, most_faults=2, deps=deps_for(stage), obstacle=lambda: NO_GO
    )
    assert not found.linearizable
    assert stage.progress.lines == [
        "reads and writes are not checked for linearizability: Go is not installed on this host"
    ]
    assert not planned_round(1, 1, found).script.scenario.linearizable


def test_with_go_the_program_that_checks_reads_is_built_first(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []
    monkeypatch.setattr(linearizability_checker, "program", built.append)
    found = choices_of(
        stage.lab_dir, stage.progress, seed=1, most_faults=2, deps=deps_for(stage), obstacle=lambda: None
    )
    assert built == [stage.progress]
    assert planned_round(1, 1, found).script.scenario.linearizable


def test_a_lab_with_one_member_cannot_be_soaked(stage: Stage) -> None:
    with pytest.raises(LabProblem, match="may lose none"):
        choices_of(
            stage.lab_dir, stage.progress, seed=1, most_faults=3, deps=deps_for(stage, control_planes=1)
        )
