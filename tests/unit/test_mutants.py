"""scripts/mutants: which changes it makes, and that a mutant really replaces the original code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from time import process_time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from halab.scenario.record import outage

SCRIPTS = Path(__file__).parents[2] / "scripts"
OUTAGE_SOURCE = (SCRIPTS.parent / "halab/scenario/record/outage.py").read_text()
OUTAGE = outage.Outage(1.0, 3.0, 1, is_open=False)

SOURCE = '''\
LIMIT = 5.0


def too_long(values: list[float], most: float = LIMIT) -> bool:
    """Whether one of them is longer."""
    assert most is not None
    return any(value > most for value in values if value)


class Window:
    @property
    def state(self) -> JudgementState:
        return JudgementState.MET
'''


@pytest.fixture(scope="module")
def mutations() -> Any:
    return _script("mutations", "mutations.py")


@pytest.fixture(scope="module")
def script(mutations: Any) -> Any:
    return _script("mutants", "mutants")


def _script(name: str, file: str) -> ModuleType:
    spec = spec_from_loader(name, SourceFileLoader(name, str(SCRIPTS / file)))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_every_kind_of_change_is_made_and_each_once(mutations: Any) -> None:
    found = [(each.place, each.becomes) for each in mutations.mutants("made_up", SOURCE)]
    assert len(found) == len(set(found))
    assert set(found) == {
        ("", "LIMIT = 6.0"),
        ("", "LIMIT = 4.0"),
        ("too_long", "return any(value >= most for value in values if value)"),
        ("too_long", "return any(value <= most for value in values if value)"),
        ("too_long", "return all(value > most for value in values if value)"),
        ("too_long", "return any(value > most for value in values if not (value))"),
        ("too_long", "pass"),
        ("Window.state", "return JudgementState.BROKEN"),
        ("Window.state", "return JudgementState.OPEN"),
        ("Window.state", "pass"),
    }


def test_a_change_is_told_by_its_line_and_place(mutations: Any) -> None:
    (first, *_) = [each for each in mutations.mutants("made_up", SOURCE) if each.place == "Window.state"]
    assert (first.line, first.was) == (13, "return JudgementState.MET")


def test_what_no_program_can_show_is_no_change(mutations: Any) -> None:
    source = 'def f(x: int | None = None) -> int | None:\n    """One of 2."""\n    assert x != 1\n'
    assert list(mutations.mutants("made_up", source)) == []


@pytest.mark.parametrize(
    ("place", "show"),
    [("percentile", lambda: outage.percentile([1.0, 2.0], 50)), ("Outage.seconds", lambda: OUTAGE.seconds)],
    ids=["a function", "a property"],
)
def test_a_mutant_takes_the_place_of_what_it_was_made_of(
    script: Any, mutations: Any, place: str, show: Callable[[], object]
) -> None:
    """In a fork, so this process keeps the original code."""
    found = [each for each in mutations.mutants("record.outage", OUTAGE_SOURCE) if each.place == place]
    (dropped,) = [each for each in found if each.becomes == "pass"]
    before = show()
    assert script.in_fork(dropped, lambda: show() == before) == "killed"
    assert script.in_fork(dropped, lambda: show() is None) == "survived"
    assert show() == before


def test_a_method_that_calls_that_of_its_parent_still_does(script: Any, mutations: Any) -> None:
    def is_as_before() -> bool:
        return outage.Samples(()).lanes == ()

    found = [
        each
        for each in mutations.mutants("record.outage", OUTAGE_SOURCE)
        if each.place == "Samples.__init__"
    ]
    outcomes = {each.was: script.in_fork(each, is_as_before) for each in found if each.becomes == "pass"}
    assert outcomes["super().__init__(samples)"] == "killed"
    assert outcomes["self._limit_seconds = limit_seconds"] == "survived"


def test_a_constant_that_others_have_imported_is_replaced_there_too(script: Any, mutations: Any) -> None:
    from halab.scenario.verdict import deadline

    (more,) = [
        each
        for each in mutations.mutants("record.outage", OUTAGE_SOURCE)
        if each.becomes == "GAP_SECONDS = 3.0"
    ]
    assert (
        script.in_fork(more, lambda: vars(deadline)["GAP_SECONDS"] == outage.GAP_SECONDS == 3.0)
        == "survived"
    )
    assert vars(deadline)["GAP_SECONDS"] == 2.0


def any_mutant(mutations: Any) -> Any:
    return next(mutations.mutants("record.outage", OUTAGE_SOURCE))


def test_a_mutant_that_makes_a_test_much_slower_is_killed(
    script: Any, mutations: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may loop for ever: nobody waits for the end of it."""

    def work_for_half_a_second(*_: object) -> None:
        while process_time() < 0.5:
            pass

    monkeypatch.setattr(script, "run_test", work_for_half_a_second)
    monkeypatch.setattr(script, "LIMIT_MORE_SECONDS", 0.01)
    test = SimpleNamespace(nodeid="a test")
    usual, slow = (script.Run((), 0.0, seconds={"a test": seconds}) for seconds in (0.5, 0.0))
    assert script.in_fork(any_mutant(mutations), lambda: usual._survives([test])) == "survived"
    assert script.in_fork(any_mutant(mutations), lambda: slow._survives([test])) == "killed"


@pytest.mark.parametrize(
    ("error", "outcome"), [(AssertionError, "killed"), (pytest.skip.Exception, "survived")]
)
def test_a_mutant_ends_at_the_first_test_that_fails(
    script: Any, mutations: Any, error: type[BaseException], outcome: str
) -> None:
    def fail() -> None:
        raise error("a reason")

    run = script.Run((), 0.0, has_mutant=True)
    call = pytest.CallInfo.from_call(fail, "call")
    assert (
        script.in_fork(any_mutant(mutations), lambda: run.pytest_runtest_makereport(call) is None) == outcome
    )
