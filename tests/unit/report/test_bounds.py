"""Which runs and figures count for the bounds of a scenario, and what is printed about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.run_builder import META, STOP, MadeRun, readings, scenario

from halab.config.component_settings import SourceState
from halab.config.lab import Acceleration, ProviderKind
from halab.config.load_balancer import Balancer
from halab.config.scenario import Scenario
from halab.config.twin import Verdict
from halab.report import bounds_text, table
from halab.report.bounds import JudgedRun, MeasuredBounds, ScenarioBounds, measure
from halab.report.promise_bounds import MeasuredPromise, Standing
from halab.report.recorded_runs import RecordedRuns, Refused
from halab.scenario.record.events import Steady, SteadyCheckPoint
from halab.scenario.record.folder import MachineNote
from halab.scenario.verdict.verdict import judge

NAME = "made-up"
# The stopped API server answers all the time, until the run no longer waits for its first failure.
NEVER = MadeRun(out={"ready-direct@cp2": []}, expect_seconds=12)


def run(made: MadeRun | None = None, **meta: Any) -> JudgedRun:
    built = made or MadeRun()
    built = replace(built, meta=replace(built.meta, **meta))
    evidence = built.evidence()
    return JudgedRun(built.meta, evidence.scenario, judge(evidence))


def recovered(*seconds: float, **meta: Any) -> list[JudgedRun]:
    return [run(MadeRun(recover_seconds=each), **meta) for each in seconds]


def one(runs: Sequence[JudgedRun], today: Scenario | None = None) -> ScenarioBounds:
    (bounds,) = measure(runs, {NAME: today or scenario()}).scenarios
    return bounds


def promise(bounds: ScenarioBounds, name: str, what: str = "") -> MeasuredPromise:
    (found,) = [each for each in bounds.promises if each.name == name and what in each.what]
    return found


def test_every_promise_with_a_bound_has_the_figures_of_all_runs() -> None:
    bounds = one(recovered(12.0, 20.0))
    assert [(each.name, each.promised) for each in bounds.promises] == [
        ("step 2", "ready-direct on stopped fails within 10s"),
        ("step 5", "write-via-lb longest outage at most 5s during stopped"),
        ("recovery", "steady within 90s from the heal"),
    ]
    # from the start of the heal, which takes half a second
    assert promise(bounds, "recovery").values == pytest.approx((12.5, 20.5))
    assert promise(bounds, "step 5").values == (0, 0)
    assert bounds.runs_in_words == "2 runs"
    assert bounds.kubernetes == ("1.37.2",)


@pytest.mark.parametrize(
    "words",
    [
        "probe: write-via-lb, ok: within 5s",
        "probe: ready-direct, on: stopped, fails: within 10s",
        "fact: kube-apiserver-started, on: stopped, changed: within 10s",
        "fact: node-ready, on: stopped, value: true, reached: within 10s",
        "probe: write-via-lb, longest_outage: 5s, failed_share: 20%, outages: 3, during: stopped",
        "probe: ready-direct, on: stopped, longest_outage: at least 2s, during: stopped",
        "fact: etcd-term, increase: 0 to 3, during: stopped",
    ],
)
def test_every_kind_of_amount_has_its_figure(words: str) -> None:
    played = STOP.replace("probe: write-via-lb, longest_outage: 5s, during: stopped", words)
    states = [
        *readings("etcd-term", None, {0: "4"}),
        *readings("node-ready", "cp2", {0: "true"}),
    ]
    made = MadeRun(played, facts={"kube-apiserver-started": ("1", "2")}, states=states)
    bounds = one([run(made)], scenario(played))
    found = [each for each in bounds.promises if each.name == "step 5"]
    assert found and all(len(each.values) == 1 for each in found), bounds
    assert len(found) == (3 if "outages" in words else 1)


def test_a_join_has_a_bound_too() -> None:
    text = STOP.replace("  - wait: 10s", "  - {do: join, on: stopped, fails: within 3m}")
    made = MadeRun(text, join=("kubeadm join", 1, 42.0, ("no route to host",)))
    assert promise(one([run(made)], scenario(text)), "step 3").values == (42.0,)


def test_a_promise_with_several_amounts_has_each_by_itself() -> None:
    text = STOP.replace("longest_outage: 5s", "longest_outage: 5s, failed_share: 20%")
    bounds = one([run(MadeRun(text))], scenario(text))
    assert [each.promised for each in bounds.promises if each.name == "step 5"] == [
        "write-via-lb longest outage at most 5s during stopped",
        "write-via-lb failed share at most 20% during stopped",
    ]


def test_bounds_are_those_of_today_whatever_they_were_in_the_run() -> None:
    earlier = STOP.replace("within 90s", "within 5s").replace("longest_outage: 5s", "longest_outage: 1s")
    measured = run(MadeRun(earlier, out={"write-via-lb": [(8, 11)]}))
    assert measured.result.verdict is Verdict.FAIL
    bounds = one([measured])
    assert bounds.runs == 1
    assert promise(bounds, "recovery").standing is Standing.LOOSE
    outage = promise(bounds, "step 5")
    assert (outage.limit.most, outage.broken, outage.standing) == (5, 0, Standing.FITS)


def test_a_promise_that_a_run_broke_is_broken() -> None:
    bounds = one([run(), run(MadeRun(out={"write-via-lb": [(8, 16)]})), run(NEVER)])
    outage, never = promise(bounds, "step 5"), promise(bounds, "step 2")
    assert (outage.broken, len(outage.values), outage.standing) == (1, 3, Standing.BROKEN)
    # the probe never failed: there is no time after which it did
    assert (never.broken, len(never.values)) == (1, 2)


@pytest.mark.parametrize(
    "changed",
    [
        STOP.replace("wait: 10s", "wait: 20s"),
        STOP.replace("on: any-cp", "on: cp2"),
        STOP.replace("write-via-lb", "read-via-lb"),
        STOP.replace("fails: within 10s", "fails: always, during: stopped"),
        STOP.replace("steady: within 90s", "steady: within 90s, from: inject"),
        STOP.replace("recover:", "probes: {list-via-lb: {objects: 7}}\nrecover:"),
    ],
)
def test_a_run_with_other_steps_does_not_count(changed: str) -> None:
    assert changed != STOP
    bounds = one([run()], scenario(changed))
    assert bounds.runs_in_words == "0 runs (not counted: 1 with other steps than today)"
    assert bounds.promises == ()


def test_other_words_and_another_twin_do_not_matter() -> None:
    changed = STOP.replace("One API server", "An API server").replace(
        "nothing}}", "nothing}, verdict: fail}"
    )
    assert one([run()], scenario(changed)).runs == 1


def test_runs_in_error_and_skipped_runs_do_not_count() -> None:
    def not_steady(event: Any) -> Any:
        is_before = isinstance(event, Steady) and event.when is SteadyCheckPoint.BEFORE
        return replace(event, ok=False) if is_before else event

    broken = run(MadeRun(change=not_steady))
    assert broken.result.verdict is Verdict.ERROR
    skipped = replace(broken, result=replace(broken.result, verdict=Verdict.SKIP))
    bounds = one([broken, skipped, skipped, run()])
    assert bounds.runs_in_words == "1 run (not counted: 1 ended in an error, 2 skipped)"
    assert len(promise(bounds, "recovery").values) == 1


def test_a_promise_that_was_not_judged_has_no_figure() -> None:
    broken = MadeRun(recover_seconds=100, missing={"write-via-lb": [(8, 14)]})
    bounds = one([run(broken)])
    assert promise(bounds, "recovery").broken == 1
    assert promise(bounds, "step 5").standing is Standing.UNMEASURED


def test_a_promise_that_does_not_apply_to_the_lab_is_left_out() -> None:
    text = STOP.replace("longest_outage: 5s", "longest_outage: 5s, when: {load_balancer: nginx}")
    played = scenario(text)
    bounds = measure([run(MadeRun(text)), run(MadeRun(text), load_balancer=Balancer.NGINX)], {NAME: played})
    names = [[each.name for each in place.promises] for place in bounds.scenarios]
    assert names == [["step 2", "recovery"], ["step 2", "step 5", "recovery"]]


def test_figures_of_different_places_are_kept_apart() -> None:
    machines = (
        *META.machines,
        MachineNote("cp4", "cp", "10.213.7.14"),
        MachineNote("cp5", "cp", "10.213.7.15"),
    )
    labs: list[dict[str, Any]] = [
        {},
        {"load_balancer": Balancer.NGINX, "load_balancer_check": "tcp"},
        {"provider": ProviderKind.LIBVIRT, "acceleration": Acceleration.KVM},
        {"provider": ProviderKind.LIBVIRT, "acceleration": Acceleration.TCG, "patience": 4.0},
        {"load_balancer_check": "tcp"},
        {"load_balancer_config": "mine.cfg"},
        {"sources": {"etcd": SourceState("./etcd", "1a2b", is_dirty=False, digest="0")}},
        {"tunnel": "ssh://me@far"},
        {"machines": machines},
        {"machines": META.machines[:2]},
        {"machines": (*META.machines, MachineNote("etcd1", "etcd", "10.213.7.21"))},
    ]
    bounds = measure([run(**lab) for lab in labs], {}).scenarios
    assert [str(each.place) for each in bounds] == [
        "haproxy on docker",
        "haproxy on docker, 1 control plane",
        "haproxy on docker, 1 etcd machines",
        "haproxy on docker, 5 control planes",
        "haproxy on docker, check: tcp",
        "haproxy on docker, config: mine.cfg",
        "haproxy on docker, etcd from ./etcd",
        "haproxy on docker, through ssh://me@far",
        "haproxy on libvirt (kvm)",
        "haproxy on libvirt (tcg), patience 4",
        "nginx on docker",
    ]
    usual, emulated = promise(bounds[0], "recovery"), promise(bounds[9], "recovery")
    # questions to emulated processors have a longer time limit
    assert (usual.stretch, usual.resolution) == (1, 2)
    assert (emulated.stretch, emulated.resolution) == (4, 10)


def test_minors_are_taken_together_or_kept_apart() -> None:
    runs = [run(kubernetes=version) for version in ("1.37.10", "1.36.4", "1.37.2")]
    (together,) = measure(runs, {}).scenarios
    assert together.kubernetes == ("1.36.4", "1.37.2", "1.37.10")
    older, newer = measure(runs, {}, by_minor=True).scenarios
    assert (str(older.place), older.runs) == ("haproxy on docker, Kubernetes 1.36", 1)
    assert (newer.runs, newer.kubernetes) == (2, ("1.37.2", "1.37.10"))
    own = run(kubernetes="a checkout")
    assert measure([own], {}).scenarios[0].kubernetes == ("a checkout",)


def test_a_scenario_that_is_not_known_is_taken_from_its_newest_run() -> None:
    older, newer = STOP, STOP.replace("wait: 10s", "wait: 20s")
    runs = [
        run(MadeRun(newer), started="2026-11-24T10:15:00+01:00"),
        run(MadeRun(older), started="2026-11-23T10:15:00+01:00"),
    ]
    (bounds,) = measure(runs, {"stop-apiserver": scenario()}).scenarios
    assert bounds.runs_in_words == "1 run (not counted: 1 with other steps than today)"
    assert measure(runs, {"stop-apiserver": scenario()}).without_runs == ("stop-apiserver",)


# What is printed


def measured() -> MeasuredBounds:
    runs = [*recovered(*range(10, 20)), *recovered(70, load_balancer=Balancer.NGINX)]
    return measure(runs, {NAME: scenario(), "stop-apiserver": scenario()})


def test_the_table_has_each_place_and_the_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    shown = table.bounds(measured())
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "made-up behind haproxy on docker, Kubernetes 1.37.2: 10 runs" in lines
    assert "recovery steady within 90s from the heal 10 14.5s 19.5s 19.5s loose: propose 40s" in lines
    assert "recovery steady within 90s from the heal 1 70.5s 70.5s 70.5s tight, 1 of 10 runs" in lines
    assert lines[-2:] == [
        "no runs: stop-apiserver",
        "promises: 1 tight, 3 loose, 2 fits; with fewer than 10 runs: 3",
    ]


def test_only_some_promises_are_shown() -> None:
    shown = table.bounds(measured(), ["tight"])
    assert "behind nginx" in shown and "behind haproxy" not in shown and "step 2" not in shown
    assert "promises: 1 tight, 3 loose, 2 fits" in shown


def test_the_table_says_what_is_broken_or_unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    never = replace(NEVER, missing={"write-via-lb": [(8, 14)]})
    lines = [" ".join(line.split()) for line in table.bounds(measure([run(never)] * 2, {})).splitlines()]
    assert "step 2 ready-direct on stopped fails within 10s 0 broken in 2 runs" in lines
    assert "step 5 write-via-lb longest outage at most 5s during stopped 0 unmeasured" in lines
    assert table.bounds(measure([], {})) == "promises: none; with fewer than 10 runs: 0"


def test_the_comment_has_a_line_for_each_measured_promise() -> None:
    unsampled = run(MadeRun(recover_seconds=100, missing={"write-via-lb": [(8, 14)]}))
    bounds = measure([*recovered(12.0, 20.0), unsampled, run(load_balancer=Balancer.NGINX)], {})
    assert bounds_text.comments(bounds).splitlines() == [
        "made-up",
        "# Measured behind haproxy on docker, Kubernetes 1.37.2, 3 runs: p50, p95, worst",
        "#   step 2, ready-direct on stopped fails: 90ms, 90ms, 90ms",
        "#   step 5, write-via-lb longest outage: 0s, 0s, 0s (of 2)",
        "#   recovery: 20.5s, 100.5s, 100.5s",
        "# Measured behind nginx on docker, Kubernetes 1.37.2, 1 run",
        "#   step 2, ready-direct on stopped fails: 90ms",
        "#   step 5, write-via-lb longest outage: 0s",
        "#   recovery: 12.5s",
    ]
    assert (
        bounds_text.comments(measure([run()], {NAME: scenario(STOP.replace("wait: 10s", "wait: 9s"))})) == ""
    )


def test_a_comment_is_no_wider_than_a_scenario_file_may_be() -> None:
    bounds = one([run(kubernetes=f"1.37.{patch}") for patch in range(30)])
    lines = list(bounds_text.comment(bounds))
    assert max(map(len, lines)) <= 120
    assert all(line.startswith("#") for line in lines) and lines[1].startswith("#       ")


def test_the_json_has_every_figure() -> None:
    recorded = RecordedRuns(refused=[Refused(Path("gone"), "no such file")])
    recorded.left_out["losing twins"] = 2
    data = json.loads(bounds_text.to_json(measured(), recorded))
    haproxy, nginx = data["scenarios"]
    assert haproxy["promises"][-1] == {
        "name": "recovery",
        "promised": "steady within 90s from the heal",
        "figure": "steady after",
        "unit": "seconds",
        "least": 0,
        "most": 90,
        "stretched_by": 1,
        "runs": 10,
        "broken": 0,
        "lowest": 10.5,
        "p50": 14.5,
        "p95": 19.5,
        "worst": 19.5,
        "standing": "loose",
        "few_runs": False,
        "proposed": "40s",
    }
    assert (nginx["load_balancer"], nginx["provider"], nginx["runs"]) == ("nginx", "docker", 1)
    assert nginx["comment"][0].startswith("# Measured behind nginx on docker")
    assert data["without_runs"] == ["stop-apiserver"]
    assert data["not_counted"] == {"losing twins": 2}
    assert data["refused"] == [{"folder": "gone", "why": "no such file"}]


def test_the_json_of_a_promise_without_figures_has_no_numbers() -> None:
    data = json.loads(bounds_text.to_json(measure([run(NEVER)], {}), RecordedRuns()))
    first = data["scenarios"][0]["promises"][0]
    assert [first[name] for name in ("runs", "broken", "lowest", "p50", "p95", "worst", "proposed")] == [
        0, 1, None, None, None, None, None,
    ]  # fmt: skip
