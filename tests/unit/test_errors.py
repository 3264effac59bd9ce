"""Errors of other hosts arrive as they were."""

from __future__ import annotations

import pickle

import pytest

from halab.errors import BadFile, BootTimedOut, CommandFailed, HalabError, HostProblem, Problem, ScriptFailed


@pytest.mark.parametrize(
    "error",
    [
        HostProblem("the disk is full", hint="remove something"),
        CommandFailed("it failed", code=3, output="the end"),
        BootTimedOut("no answer", code=1),
        ScriptFailed("it failed", script="join.sh", code=None),
        BadFile([Problem("lab.yml", 3, "name", "is too long"), Problem("lab.yml", 4, "", "is empty")]),
    ],
)
def test_an_error_keeps_its_facts_on_its_way_to_another_process(error: HalabError) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert (arrived.args, vars(arrived)) == (error.args, vars(error))
