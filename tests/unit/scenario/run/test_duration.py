"""The longest duration of a scenario."""

from __future__ import annotations

import pytest
from support.stage import TEXT, script

from halab.scenario.run.duration import longest_seconds

SCENARIO = script("a").scenario


def test_the_limits_of_all_steps_are_in_it() -> None:
    longer = TEXT.replace("wait: 10s", "wait: 5m").replace("within 10s", "within 2m")
    more = longest_seconds(script("b", longer).scenario) - longest_seconds(SCENARIO)
    assert more == pytest.approx(290 + 110)


def test_a_script_takes_as_long_as_its_limit_allows() -> None:
    fault = "  - {inject: run-script, name: slow, on: cp3, with: {script: sleep 1, undo: 'true', limit: LIMIT}}\n"
    seconds = {
        limit: longest_seconds(
            script(
                "b", TEXT.replace("  - wait: 10s\n", fault.replace("LIMIT", limit) + "  - wait: 10s\n")
            ).scenario
        )
        for limit in ("20s", "30s", "55m")
    }
    # a script and its check, and the undo and its check; each pair has one minute at least
    assert seconds["20s"] == seconds["30s"]
    assert seconds["55m"] - seconds["30s"] == pytest.approx(2 * (2 * 3300 - 60))


def test_a_join_takes_as_long_as_it_may() -> None:
    join = "  - do: join\n    on: left\n    ends: within 5m\n"
    left = TEXT.replace(
        "  - wait: 10s\n", "  - {inject: leave-cluster, name: left, on: cp3}\n  - wait: 10s\n"
    )
    joining = left.replace("  - wait: 10s\n", f"{join}  - wait: 10s\n")
    more = longest_seconds(script("b", joining).scenario) - longest_seconds(script("b", left).scenario)
    assert more == pytest.approx(300 + 60)


def test_a_probe_with_a_time_limit_of_its_own_has_more_time_for_its_answers() -> None:
    slow = TEXT.replace("ready-direct, on: stopped, fails", "pod-starts, fails")
    assert slow != TEXT
    more = longest_seconds(script("b", slow).scenario) - longest_seconds(SCENARIO)
    assert more == pytest.approx(10 + 8 - 4)


def test_a_run_waits_for_a_recovery_beyond_its_bound() -> None:
    longer = TEXT.replace("within 90s", "within 5m")
    more = longest_seconds(script("b", longer).scenario) - longest_seconds(SCENARIO)
    assert more == pytest.approx(2 * 300 - 2 * 90)


def test_a_fault_that_no_step_heals_is_healed_after_the_last_step() -> None:
    without = TEXT.replace("  - heal: stopped\n", "")
    assert longest_seconds(script("b", without).scenario) == pytest.approx(longest_seconds(SCENARIO))


def test_patience_stretches_limits_and_not_waits() -> None:
    assert longest_seconds(SCENARIO, 2.0) < 2 * longest_seconds(SCENARIO)
    assert longest_seconds(SCENARIO, 2.0) > longest_seconds(SCENARIO) + 180
    waiting = script("b", TEXT.replace("wait: 10s", "wait: 1h")).scenario
    assert longest_seconds(waiting, 2.0) - longest_seconds(SCENARIO, 2.0) == pytest.approx(3590)
