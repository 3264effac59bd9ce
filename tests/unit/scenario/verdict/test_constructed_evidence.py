"""Verdicts on runs whose truth is known: a simulated lab writes the folder, an oracle says which verdicts are right.

The oracle is written from what halab promises (docs/explanation/concepts.md and docs/reference/run-folder.md), and
shares no code with the judge. A run passes only if every promise was kept and the evidence is sound. It fails only if a
promise was broken. Unsound evidence is an error, or a fail if its sound rest shows one, and never a pass.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.simulated_run import (
    FAULT_AT,
    OTHERS,
    PERIOD,
    TIME_LIMIT,
    Files,
    Outage,
    Truth,
    simulate,
)
from support.spoiled_evidence import DEFECTS

from halab.config.twin import Verdict
from halab.errors import Corrupted
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.verdict import judge

KEPT, BROKEN, EITHER, UNJUDGED = "kept", "broken", "either", "unjudged"
# Samples come once in a PERIOD, so that both ends of an outage are known to no less.
UNSURE = 2 * PERIOD


def verdict_on(files: Files) -> Verdict:
    """By the way of `halab report`. What cannot be read ends with the same exit code as an error."""
    with tempfile.TemporaryDirectory() as folder:
        files.write(Path(folder))
        try:
            return judge(RunFolder.existing(Path(folder)).read()).verdict
        except Corrupted:
            return Verdict.ERROR


def truths_of_promises(truth: Truth) -> set[str]:
    """What became of every promise, by what truly happened."""
    return {
        KEPT if truth.fault_works else BROKEN,
        writes(truth),
        *(others(truth, machine) for machine in OTHERS),
        BROKEN if truth.steady_after > truth.recover else KEPT,
        BROKEN if truth.lost else KEPT,
        BROKEN if truth.differs else KEPT,
        BROKEN if truth.failed_checks else KEPT,
    }


def writes(truth: Truth) -> str:
    """`longest_outage` over the window: an outage that began in it counts to its real end."""
    found = {KEPT}
    for outage in truth.writes_out:
        # what hangs for less than the time limit, and answers then, has failed nobody
        if outage.hangs and outage.seconds < TIME_LIMIT - UNSURE:
            continue
        if outage.seconds > truth.bound + UNSURE:
            found.add(EITHER if outage.hangs and outage.seconds < TIME_LIMIT + UNSURE else BROKEN)
        elif outage.seconds > truth.bound - UNSURE:
            found.add(EITHER)
    if BROKEN in found:
        return BROKEN
    if truth.healed_from - FAULT_AT < truth.bound:
        return UNJUDGED  # a window that is shorter than its bound shows nothing
    return EITHER if EITHER in found else KEPT


def others(truth: Truth, machine: str) -> str:
    """`ok: always` over the window: every question that was asked in it is answered well."""
    return BROKEN if any(name == machine for name, _ in truth.others_out) else KEPT


def allowed(truth: Truth, *, is_sound: bool) -> set[Verdict]:
    found = truths_of_promises(truth)
    if is_sound and BROKEN in found:
        return {Verdict.FAIL}
    verdicts = {Verdict.ERROR} if UNJUDGED in found or not is_sound else {Verdict.PASS}
    return verdicts | ({Verdict.FAIL} if BROKEN in found or EITHER in found else set())


def not_on_the_edge(truth: Truth) -> bool:
    """Not a window that is exactly as long as its bound, where a rounding decides."""
    return abs(truth.healed_from - FAULT_AT - truth.bound) > 0.02


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    """Labs that keep all promises about as often as they break one."""
    wait = draw(st.integers(1, 60)) / 10
    fault_works = draw(st.sampled_from([True, True, True, False]))
    plain = Truth(wait=wait, fault_works=fault_works)
    found: list[Outage] = []
    for start, seconds, hangs in draw(
        st.lists(
            st.tuples(st.floats(0.02, 0.98), st.floats(0.0, 8.0), st.booleans()),
            max_size=2,
        )
    ):
        outage = Outage(FAULT_AT + 0.3 + start * (plain.healed_from - FAULT_AT - 0.8), seconds, hangs)
        # apart from each other, so that two are not one
        if all(outage.start > each.end + 3 or each.start > outage.end + 3 for each in found):
            found.append(outage)
    others_out: tuple[tuple[str, Outage], ...] = ()
    if draw(st.integers(0, 4)) == 0:
        start = FAULT_AT + 0.3 + draw(st.floats(0, 1)) * (plain.healed_from - FAULT_AT - 1.2)
        others_out = ((draw(st.sampled_from(OTHERS)), Outage(start, draw(st.floats(2 * PERIOD, 5)))),)
    return Truth(
        wait=wait,
        bound=draw(st.integers(5, 80)) / 10,
        writes_out=tuple(found),
        others_out=others_out,
        fault_works=fault_works,
        # an outage that began in the window has ended before the run has
        steady_after=draw(st.sampled_from([10.0, 14.0, 20.0])),
        recover=draw(st.sampled_from([30.0, 30.0, 15.0])),
        lost=draw(st.sampled_from([0, 0, 0, 0, 1, 3])),
        differs=draw(st.sampled_from([False, False, False, False, True])),
        failed_checks=draw(st.sampled_from([0, 0, 0, 0, 1])),
    )


@given(truths().filter(not_on_the_edge))
@example(Truth())
@example(Truth(writes_out=(Outage(4.0, 7.0),)))
@example(Truth(wait=0.5, bound=5.0))
def test_sound_evidence_gets_the_verdict_that_the_lab_deserves(truth: Truth) -> None:
    assert verdict_on(simulate(truth)) in allowed(truth, is_sound=True)


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_unsound_evidence_of_a_lab_that_kept_its_promises_is_an_error(defect: str, where: float) -> None:
    files = simulate(Truth())
    assert verdict_on(files) is Verdict.PASS
    DEFECTS[defect](files, where)
    assert verdict_on(files) is Verdict.ERROR


@given(truths().filter(not_on_the_edge), st.sampled_from(sorted(DEFECTS)), st.floats(0, 1))
def test_unsound_evidence_never_passes_and_never_fails_a_lab_that_kept_its_promises(
    truth: Truth, defect: str, where: float
) -> None:
    files = simulate(truth)
    DEFECTS[defect](files, where)
    assert verdict_on(files) in allowed(truth, is_sound=False)


def test_the_record_of_the_simulated_lab_is_true() -> None:
    """A question that waits for the end of an outage is answered then, unless it is given up before."""
    files = simulate(Truth(writes_out=(Outage(4.0, 3.0, hangs=True),)))
    asked = [each for each in files.samples if each["probe"] == "write-via-lb" and 4 <= each["t"] < 7]
    assert len(asked) == 15
    for each in asked:
        assert each["ok"] == (each["t"] > 5.0 + 0.02)
        assert each["seconds"] == pytest.approx(7.02 - each["t"] if each["ok"] else 2.0, abs=1e-3)
