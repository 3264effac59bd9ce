"""The figures of runs over time: what belongs together, and what is shown of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.run_builder import META, STOP, MadeRun

from halab.config.lab import Acceleration, ProviderKind
from halab.config.load_balancer import Balancer
from halab.config.twin import Verdict
from halab.report import history_page, table, wording
from halab.report.history import HistoryRun, ScenarioHistory, digest_of, history_of, run_of, to_json
from halab.scenario.record.events import Event, Steady, SteadyCheckPoint
from halab.scenario.verdict.verdict import judge

OUTAGE = "step 5", "write-via-lb longest outage"
# The stopped API server answers all the time, until the run no longer waits for its first failure.
NEVER = MadeRun(out={"ready-direct@cp2": []}, expect_seconds=12)


def not_steady(event: Event) -> Event:
    if isinstance(event, Steady) and event.when is SteadyCheckPoint.BEFORE:
        return replace(event, ok=False)
    return event


LOST = MadeRun(change=not_steady)


def run(day: int = 1, made: MadeRun | None = None, text: str = STOP, **meta: Any) -> HistoryRun:
    built = replace(made or MadeRun(), text=text)
    meta = {"started": f"2026-11-{day:02}T10:15:00+01:00", **meta}
    built = replace(built, meta=replace(META, **meta))
    evidence = built.evidence()
    folder = f"{day}-made-up"
    return run_of(
        built.meta, evidence.scenario, judge(evidence), steps=digest_of(text), folder=folder, stamp="1 2"
    )


def figures(of: HistoryRun) -> dict[tuple[str, str], float]:
    return {(each.name, each.what): each.value for each in of.figures}


def test_a_run_has_the_amounts_of_its_promises_and_what_clients_lost() -> None:
    entry = run(made=MadeRun(recover_seconds=12.0))
    assert list(figures(entry)) == [
        ("clients", "longest outage for clients"),
        ("step 2", "ready-direct on stopped fails"),
        OUTAGE,
        ("recovery", "recovery"),
    ]
    recovery = entry.figures[-1]
    # from the start of the heal, which takes half a second
    assert recovery.value == pytest.approx(12.5)
    assert (recovery.promised, recovery.least, recovery.most) == (
        "steady within 90s from the heal",
        0.0,
        90.0,
    )
    assert entry.verdict is Verdict.PASS and entry.kubernetes == "1.37.2" and entry.seed == META.seed


def test_a_run_without_a_sound_verdict_has_no_figures() -> None:
    assert run(made=LOST).figures == ()


def test_a_promise_that_never_came_true_has_no_figure() -> None:
    entry = run(made=NEVER)
    assert entry.verdict is Verdict.FAIL
    assert "step 2" not in {each.name for each in entry.figures}


def test_two_promises_of_the_same_amount_are_two_figures() -> None:
    text = STOP.replace(
        "recover:", "  - expect: {probe: write-via-lb, longest_outage: 9s, during: stopped}\nrecover:"
    )
    entry = run(text=text)
    assert [(each.name, each.number) for each in entry.figures if each.what == OUTAGE[1]] == [
        ("step 5", 1),
        ("step 7", 2),
    ]


def test_runs_belong_together_by_place_and_minor_version() -> None:
    history = history_of(
        [
            run(4, kubernetes="1.36.5"),
            run(3, kubernetes="1.37.3"),
            run(1),
            run(2, load_balancer=Balancer.NGINX),
            run(5, provider=ProviderKind.LIBVIRT, acceleration=Acceleration.KVM),
            run(6, patience=2.0),
        ]
    )
    assert [str(place.place) for place in history.places] == [
        "haproxy on docker, Kubernetes 1.36",
        "haproxy on docker, Kubernetes 1.37",
        "haproxy on docker, patience 2, Kubernetes 1.37",
        "haproxy on libvirt (kvm), Kubernetes 1.37",
        "nginx on docker, Kubernetes 1.37",
    ]
    assert history.places[1].in_words == (
        "haproxy on docker, Kubernetes 1.37: 2 runs, 2026-11-01 to 2026-11-03: 2 pass"
    )
    assert [each.folder for each in history.runs][1:3] == ["1-made-up", "3-made-up"]


def changed() -> ScenarioHistory:
    """Two runs of a scenario, an error between them, and then one with a step more and another bound."""
    text = STOP.replace("steps:\n", "steps:\n  - wait: 1s\n").replace(
        "longest_outage: 5s", "longest_outage: 8s"
    )
    return history_of(
        [run(1), run(2, LOST), run(2, started="2026-11-02T11:00:00Z"), run(9, text=text, halab="2.0")]
    )


def test_a_figure_goes_on_if_the_number_of_its_step_or_its_bound_has_changed() -> None:
    (place,) = changed().places
    (outage,) = [series for series in place.series if series.newest.what == OUTAGE[1]]
    assert [figure and figure.name for figure in outage.figures] == ["step 5", None, "step 5", "step 6"]
    assert outage.spread.promised == "write-via-lb longest outage at most 8s during stopped"
    assert outage.spread.bounds == "8s"


def test_comments_and_texts_are_no_other_steps() -> None:
    same = run(text=f"# Measured\n{STOP.replace('teaches: The', 'teaches: All')}")
    assert same.steps == run().steps != run(text=STOP.replace("10s", "11s")).steps


def test_the_table_has_a_line_for_each_figure_and_a_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = table.history(changed()).splitlines()
    assert lines[0] == "made-up: One API server is stopped"
    assert (
        lines[2]
        == "behind haproxy on docker, Kubernetes 1.37: 4 runs, 2026-11-01 to 2026-11-09: 3 pass, 1 error"
    )
    assert lines[4].startswith("verdict") and lines[4].endswith("pass  ✓?✓✓")
    (recovery,) = [line for line in lines if line.startswith("recovery")]
    assert recovery.endswith("█·██")


def test_the_json_has_every_run_with_its_figures() -> None:
    printed = json.loads(to_json(changed()))
    (place,) = printed["places"]
    assert place["place"] == "haproxy on docker, Kubernetes 1.37"
    assert [each["verdict"] for each in place["runs"]] == ["pass", "error", "pass", "pass"]
    assert place["runs"][0]["figures"][-1]["what"] == "recovery"
    assert place["runs"][1]["figures"] == []


@pytest.mark.parametrize(
    ("values", "drawn"),
    [((), ""), ((0.0, None), "▁·"), ((1.0, 2.0, 4.0), "▃▅█")],
)
def test_values_are_drawn_in_proportion_to_the_highest(values: tuple[float | None, ...], drawn: str) -> None:
    assert wording.heights(values) == drawn


def test_the_page_has_a_drawing_for_each_figure_with_what_changed(tmp_path: Path) -> None:
    (tmp_path / "runs/9-made-up").mkdir(parents=True)
    (tmp_path / "runs/9-made-up/report.html").write_text("")
    page = history_page.html(changed(), tmp_path / "runs", tmp_path / "history.html")
    assert page.count("<svg ") == 4
    assert "halab 2.0, other steps" in page
    assert "step 6: write-via-lb longest outage at most 8s during stopped" in page
    # only the newest run still has a report: a column, a row of the table, and a dot in each drawing
    assert page.count('href="runs/9-made-up/report.html"') == 6 == page.count("href=")
    assert "<script" not in page and "Kubernetes 1.37.2: 0s, pass" in page


def test_a_bound_is_drawn_as_it_was_if_it_is_near(tmp_path: Path) -> None:
    slow = MadeRun(recover_seconds=60.0)
    text = STOP.replace("within 90s", "within 80s")
    runs = [
        run(1, slow),
        # without a figure: the line goes on
        run(2, LOST),
        run(2, slow, started="2026-11-02T20:00:00Z"),
        run(3, slow, text),
    ]
    page = history_page.html(history_of(runs), tmp_path, tmp_path / "history.html")
    assert page.count('class="bound"') == 2
    assert "bound 80s" in page


def test_texts_of_many_runs_do_not_overlap(tmp_path: Path) -> None:
    runs = [run(day, kubernetes=f"1.37.{day}") for day in range(1, 29)]
    page = history_page.html(history_of(runs), tmp_path, tmp_path / "history.html")
    drawings = page.count("<svg ")
    assert page.count('<line class="changed"') == 27 * drawings
    assert 0 < page.count('<text class="changed"') < 10 * drawings
    assert 0 < page.count('text-anchor="middle">2026-11-') < 15 * drawings
