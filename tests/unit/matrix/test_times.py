"""How long cells take, and where the figures come from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.matrix_builder import SEED, TWO, plan_of, record_of, write_matrix
from support.run_builder import META

from halab.errors import Corrupted
from halab.matrix import forecast, library, record, times
from halab.matrix.record import BuiltLab
from halab.matrix.times import Source, Time, Times, Total
from halab.scenario.record.folder import Meta, RunFolder
from halab.scenario.run.duration import longest_seconds

HERE = replace(META, scenario="stop-apiserver")


def record_run(folder: Path, meta: Meta, seconds: float, verdict: str = "pass") -> None:
    run = RunFolder(folder)
    run.make()
    run.meta.write_text(meta.to_json())
    run.scenario.write_text("")
    run.result.write_text(json.dumps({"verdict": verdict, "seconds": seconds}))


def test_times_come_from_such_labs_then_from_others_then_from_the_limits(tmp_path: Path) -> None:
    runs = tmp_path / ".halab/runs"
    for number, seconds in enumerate((40.0, 50.0, 90.0)):
        record_run(runs / f"run-{number}", HERE, seconds)
    write_matrix(tmp_path, f"{TWO}repeat: 2\n")
    shown = forecast.of(library.find(tmp_path / "matrix.yml"), tmp_path / "matrix")
    by_cell = {str(cell): shown.of(cell) for cell in shown.standing.plan.cells}
    assert by_cell["stop-apiserver on haproxy"] == Time(50.0, Source.SAME, 3)
    assert by_cell["stop-apiserver on nginx"] == Time(50.0, Source.OTHERS, 3)
    limits = by_cell["kill-etcd-member on haproxy"]
    script = shown.standing.plan.scripts[1]
    assert limits == Time(longest_seconds(script.scenario), Source.LIMITS)
    assert [time.source_in_words for time in by_cell.values()][:3] == [
        "the median of 3 runs", "an estimate: the sum of its limits", "the median of 3 runs on other labs",
    ]  # fmt: skip
    assert shown.total == Total(measured=4 * 50.0, limits=4 * limits.seconds + 2 * 120.0)


@pytest.mark.parametrize(
    ("meta", "verdict"),
    [
        (HERE, "error"),
        (HERE, "skip"),
        (replace(HERE, is_game_day=True), "pass"),
    ],
)
def test_runs_that_say_nothing_about_the_time_do_not_count(meta: Meta, verdict: str, tmp_path: Path) -> None:
    record_run(tmp_path / "run", meta, 40.0, verdict)
    assert times.read([tmp_path / "run"]) == []


def test_the_time_of_a_losing_twin_is_its_own(tmp_path: Path) -> None:
    runs = tmp_path / ".halab/runs"
    record_run(runs / "scenario", HERE, 40.0)
    record_run(runs / "twin", replace(HERE, is_twin=True), 90.0, "fail")
    write_matrix(tmp_path, "scenarios: [stop-apiserver]\ntwins: true\n")
    shown = forecast.of(library.find(tmp_path / "matrix.yml"), tmp_path / "matrix")
    assert [shown.of(cell).seconds for cell in shown.standing.plan.cells] == [40.0, 90.0]


def test_a_broken_run_does_not_count(tmp_path: Path) -> None:
    for name, file in (("no-result", "result.json"), ("no-meta", "meta.json")):
        record_run(tmp_path / name, HERE, 40.0)
        (tmp_path / name / file).unlink()
    record_run(tmp_path / "torn", HERE, 40.0)
    (tmp_path / "torn/result.json").write_text("{")
    assert times.read(sorted(tmp_path.iterdir())) == []


def test_the_time_to_build_a_lab_is_that_of_the_lab_or_of_others(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, TWO)
    haproxy, nginx = plan.labs
    known = Times(built=[BuiltLab("haproxy", 90.0), BuiltLab("haproxy", 110.0)])
    assert known.to_build(haproxy) == Time(100.0, Source.SAME, 2)
    assert known.to_build(nginx) == Time(100.0, Source.OTHERS, 2)
    assert Times().to_build(nginx).source is Source.LIMITS


def test_a_run_of_this_session_counts_at_once(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, TWO)
    first, third = plan.cells[0], plan.cells[2]
    known = Times().with_run(first, 40.0)
    assert known.of(first) == Time(40.0, Source.SAME, 1)
    assert known.of(third) == Time(40.0, Source.OTHERS, 1)
    assert replace(known.with_run(first, 60.0), built=()).of(first) == Time(50.0, Source.SAME, 2)


def test_a_total_says_what_is_only_a_limit() -> None:
    assert str(Total(600.0, 0.0)) == "about 10m"
    assert str(Total(0.0, 600.0)) == "up to 10m (nothing was measured yet)"
    assert str(Total(60.0, 7200.0)) == "about 60s, and up to 2h for what was never measured"


def test_a_forecast_counts_what_is_complete(tmp_path: Path) -> None:
    path, folder = write_matrix(tmp_path, TWO), tmp_path / "matrix"
    folder.mkdir()
    record.write(folder, record_of(plan_of(tmp_path, TWO), "pass", "pass", "fail"))
    shown = forecast.of(library.find(path), folder)
    assert (shown.standing.seed, shown.standing.pending_count) == (SEED, 1)
    data = forecast.as_data(shown)
    assert [cell["done"] for cell in data["cells"]] == [1, 1, 1, 0]
    assert data["labs"][1]["settings"] == {"load_balancer.kind": "nginx"}
    assert data["cells"][0]["runs"] == 1 and not data["cells"][0]["is_twin"]
    assert data["changes"] == [] and data["pending_runs"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot read .*record.json"),
        ('{"seed": 1, "started": "", "schema": 2}', "another version"),
        (
            '{"seed": 1, "started": "", "cells": [{"lab": "gone", "scenario": "a", "fingerprint": "b"}]}',
            "cells of labs that it does not list: gone",
        ),
    ],
)
def test_a_record_that_cannot_be_read_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(Corrupted, match=said):
        record.read(tmp_path)
