"""A game day file: what a seed makes of it, and what is refused, with lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from halab import data
from halab.config.loading import loads
from halab.config.scenario import Scenario
from halab.errors import BadFile
from halab.gameday import library
from halab.gameday.library import GameDayScript

TEXT = """\
title: Two breaks
lasts: 20m
needs: {control_planes: 3}
breaks:
  - scenario: hang-apiserver
    between: [1m, 5m]
    heal_after: 4m
  - name: held
    at: 10m
    steps:
      - {inject: hold-static-pod, name: etcd-held, on: etcd-follower, with: {pod: etcd}}
      - wait: 30s
      - {inject: run-script, name: script, on: etcd-held, with: {script: ./break.sh, undo: "true"}}
stop:
  outage: {write-via-lb: 60s, read-via-lb: 90s}
"""


def found(folder: Path, text: str = TEXT, seed: int = 1) -> GameDayScript:
    (folder / "break.sh").write_text("echo broken\n")
    path = folder / "day.yml"
    path.write_text(text)
    return library.find(path, seed)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(BadFile) as refused:
        found(folder, text)
    return [str(problem).removeprefix(f"{folder}/") for problem in refused.value.problems]


def test_the_plan_has_the_faults_of_scenarios_until_their_first_heal_and_own_steps(tmp_path: Path) -> None:
    plan = found(tmp_path).plan
    hung, held = plan.breaks
    assert (hung.name, hung.faults) == ("hang-apiserver", ("hung",))
    assert 60 <= hung.begins <= 300
    assert hung.healed == hung.begins + 240
    assert (held.begins, held.healed, held.faults) == (600, None, ("etcd-held", "script"))
    assert [each.at for each in held.injects] == [600, 630]
    assert held.injects[1].step.arguments["script"] == "echo broken\n"
    assert [(act.at, act.step.name if act.step else "heal") for act in plan.acts] == [
        (hung.begins, "hung"),
        (hung.healed, "heal"),
        (600, "etcd-held"),
        (630, "script"),
    ]


def test_a_seed_always_makes_the_same_plan_and_draws_breaks(tmp_path: Path) -> None:
    drawn = TEXT.replace("breaks:", "draw: 1\nbreaks:")
    names = {seed: [each.name for each in found(tmp_path, drawn, seed).plan.breaks] for seed in range(8)}
    assert {len(each) for each in names.values()} == {1}
    assert {name for each in names.values() for name in each} == {"hang-apiserver", "held"}
    assert [each.begins for each in found(tmp_path, seed=3).plan.breaks] == [
        each.begins for each in found(tmp_path, seed=3).plan.breaks
    ]
    assert len({found(tmp_path, seed=seed).plan.breaks[0].begins for seed in range(4)}) > 1


def test_a_game_day_is_recorded_as_a_scenario_whose_promises_are_the_stop_conditions(tmp_path: Path) -> None:
    script = found(tmp_path).script
    recorded = loads(script.content.decode(), "scenario.yml", Scenario)
    assert recorded == script.scenario
    assert script.is_game_day
    assert [step.name for step in recorded.injects] == ["game-day", "hung", "etcd-held", "script"]
    assert [(str(each.probe), each.longest_outage.most, each.during) for each in recorded.expectations] == [  # type: ignore[union-attr]
        ("write-via-lb", 60, "game-day"),
        ("read-via-lb", 90, "game-day"),
    ]
    assert recorded.recover.steady.within_seconds == 180
    assert recorded.needs.control_planes == 3
    assert recorded.ledger == "all"
    relaxed = found(tmp_path, TEXT + "  lost_write: false\nrecover: {steady: within 5m}\n").script.scenario
    assert (relaxed.ledger, relaxed.recover.steady.within_seconds) == ("none", 300)


def test_all_problems_are_reported_with_their_lines(tmp_path: Path) -> None:
    text = """\
title: x
lasts: 10m
needs: {kubernetes: "<1.2"}
draw: 9
breaks:
  - scenario: hang-apiservr
    at: 1m
  - name: a
    between: [9m, 3m]
    steps:
      - {inject: kill-proces, on: cp1}
      - {heal: x}
  - at: 11m
    scenario: stop-kubelet
  - scenario: stop-kubelet
    at: 2m
    steps: [{wait: 3s}]
  - {at: 3m, steps: [{inject: nothing, name: game-day, on: cp1}]}
  - steps: [{inject: run-script, on: cp1, with: {script: ./none.sh, undo: ./none.sh}}]
stop: {outage: {ready-direct: 10s, write-via-lb: 10m}}
"""
    assert problems(tmp_path, text) == [
        "day.yml:3: needs.kubernetes: halab has no Kubernetes version <1.2",
        "day.yml:4: draw: is more than the number of breaks: 6",
        "day.yml:6: breaks[1].scenario: no such scenario: hang-apiservr; did you mean hang-apiserver? "
        "(`halab scenarios` lists them)",
        "day.yml:8: breaks[2]: `between` should go from the earlier to the later time, not from 9m",
        "day.yml:11: breaks[2].steps[1].inject: no such fault: kill-proces; did you mean kill-process?",
        "day.yml:12: breaks[2].steps[2]: a break has only the steps inject and wait: `heal_after` "
        "says when it is healed",
        "day.yml:13: breaks[3]: begins when the game day is over, after 10m",
        "day.yml:15: breaks[4]: needs exactly one of scenario or steps",
        "day.yml:15: breaks[4]: the fault stopped is also in entry 3 of breaks: write its steps into this file, with "
        "another `name`",
        "day.yml:15: breaks[4]: the name stop-kubelet is also in entry 3 of breaks: give it a `name`",
        "day.yml:17: breaks[4].steps: no step injects a fault",
        "day.yml:18: breaks[5]: game-day is reserved: choose another name",
        "day.yml:19: breaks[6]: needs exactly one of at or between",
        f"day.yml:19: breaks[6].steps[1].with.script: no such file: {tmp_path}/none.sh",
        f"day.yml:19: breaks[6].steps[1].with.undo: no such file: {tmp_path}/none.sh",
        "day.yml:20: stop.outage.ready-direct: asks single machines: name a probe of the load balancer",
        "day.yml:20: stop.outage.write-via-lb: no outage can be longer than the game day: choose a bound below `lasts`",
    ]


def test_a_file_that_is_no_text_is_reported_with_the_other_problems(tmp_path: Path) -> None:
    (tmp_path / "binary.sh").write_bytes(b"\xff\xfe")
    unread, draw = problems(tmp_path, TEXT.replace("./break.sh", "./binary.sh") + "draw: 9\n")
    assert unread.startswith("day.yml:13: breaks[2].steps[3].with.script: ")
    assert draw == "day.yml:16: draw: is more than the number of breaks: 2"


def test_two_breaks_with_faults_of_the_same_name_are_refused(tmp_path: Path) -> None:
    twice = TEXT.replace("name: script,", "name: hung,")
    assert problems(tmp_path, twice) == [
        "day.yml:8: breaks[2]: the fault hung is also in entry 1 of breaks: write its steps into this file, with "
        "another `name`"
    ]


def test_a_scenario_beside_the_file_is_found_and_one_without_faults_at_its_begin_is_refused(
    tmp_path: Path,
) -> None:
    mine = (data.scenarios() / "hang-apiserver.yml").read_text().split("checks:")[0]
    (tmp_path / "mine.yml").write_text(mine + "twin: {replace: {hung: nothing}, verdict: fail}\n")
    plan = found(tmp_path, TEXT.replace("scenario: hang-apiserver", "scenario: ./mine.yml")).plan
    assert plan.breaks[0].name == "mine"
    missing = TEXT.replace("scenario: hang-apiserver", "scenario: ./other.yml")
    assert problems(tmp_path, missing) == [
        f"day.yml:5: breaks[1].scenario: no such file: {tmp_path}/other.yml"
    ]


DOCS = Path(__file__).parents[3] / "docs"


def test_the_example_of_the_guide_is_a_game_day(tmp_path: Path) -> None:
    [block] = re.findall(
        r"^```yaml\n(.*?)^```", (DOCS / "how-to/game-days.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert [each.name for each in found(tmp_path, block).plan.breaks] == ["hang-apiserver", "lost-member"]


def test_the_example_of_the_documentation_is_a_game_day() -> None:
    example = DOCS / "examples" / "game-day.yml"
    assert [len(library.find(example, seed).plan.breaks) for seed in range(2)] == [3] * 2
