"""The command line of a run, as its record has it."""

from __future__ import annotations

import pytest

from halab.scenario.record.command import repeatable


@pytest.mark.parametrize(
    ("typed", "recorded"),
    [
        (["run", "stop-apiserver"], ["run", "stop-apiserver", "--seed", "42"]),
        (["run", "stop-apiserver", "--seed", "42"], ["run", "stop-apiserver", "--seed", "42"]),
        (["--debug", "prove", "--seed=42", "a"], ["--debug", "prove", "--seed=42", "a"]),
        (["run", "--", "-odd.yml"], ["run", "--seed", "42", "--", "-odd.yml"]),
        # it takes the seed of the archive
        (["replay", "run.tar.gz", "--again"], ["replay", "run.tar.gz", "--again"]),
    ],
)
def test_the_recorded_command_has_the_seed_that_was_used(typed: list[str], recorded: list[str]) -> None:
    assert repeatable(["halab", *typed], 42) == ("halab", *recorded)
