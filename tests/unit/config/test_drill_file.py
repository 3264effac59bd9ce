"""What a drill file may say, and what is wrong with it, with the line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from halab.config import drill_rules
from halab.config.drill import Drill, Hint
from halab.config.step import Inject
from halab.drill import library
from halab.errors import BadFile
from halab.faults.catalogue import FAULTS

GOOD: dict[str, Any] = {
    "title": "An API server is gone",
    "difficulty": "easy",
    "course": "test",
    "estimated_time": "5m",
    "requires": {"control_planes": 3},
    "initial_situation": "One is missing.",
    "objective": "All are back.",
    "break": [{"inject": "hold-static-pod", "name": "held", "on": "any-cp", "with": {"pod": "kube-apiserver"}}],
    "tasks": {
        "back": {"text": "All answer.", "points": 60,
                 "expect": {"probe": "ready-direct", "on": "all-cp", "ok": "within 5s"}},
        "who": {"text": "Which?", "points": 40, "answer": "{held.name}"},
    },
    "solve": [{"on": "held", "run": "echo {self}"}],
    "wrong": {"wait": [{"on": "held", "run": "sleep 1"}]},
    "debrief": "It was {held.name}.",
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good drill with one value at a dotted path; `None` removes it."""
    drill: Any = yaml.safe_load(yaml.safe_dump(GOOD))
    *parents, last = path.split(".")
    place = drill
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return dict(drill)


def written(tmp_path: Path, drill: dict[str, Any]) -> Path:
    path = tmp_path / "mine.yml"
    path.write_text(yaml.safe_dump(drill, sort_keys=False))
    return path


def problems(tmp_path: Path, drill: dict[str, Any]) -> list[str]:
    with pytest.raises(BadFile) as caught:
        drill_rules.read(written(tmp_path, drill), FAULTS)
    return [f"{problem.field}: {problem.what}" for problem in caught.value.problems]


def read(tmp_path: Path, drill: dict[str, Any], seed: int = 0) -> Drill:
    return drill_rules.read(written(tmp_path, drill), FAULTS, seed=seed).value


def test_a_good_drill_has_no_problems(tmp_path: Path) -> None:
    drill = read(tmp_path, GOOD)
    assert drill.total == 100
    assert list(drill.questions) == ["who"]


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("title", None, "title: is missing"),
        ("difficulty", "insane", "difficulty: should be easy, medium or hard"),
        ("titel", "x", "titel: is not known; did you mean title?"),
        ("break", [], "break: should have 1 or more entries"),
        ("break.0.inject", "hold-pod", "break[1].inject: no such fault: hold-pod"),
        ("break.0.name", "check", "break[1].name: is reserved, or the name of a variable; choose another: check"),
        ("break.0.when", {"provider": "docker"}, "break[1]: has a condition"),
        ("break", [{"wait": "1s"}], "break: no step injects a fault"),
        ("break", [*GOOD["break"], {"heal": "held"}], "break[2]: a break has only the steps inject, wait and expect"),
        ("tasks", {}, "tasks: should have 1 or more entries"),
        ("tasks.back.points", 0, "tasks.back.points: should be 1 or more, not 0"),
        ("tasks.back.answer", "x", "tasks.back: needs exactly one of expect, check or answer"),
        ("tasks.back.expect", None, "tasks.back: needs exactly one of expect, check or answer"),
        ("tasks.back.needs", ["whom"], "tasks.back.needs: no such task: whom; did you mean who?"),
        ("tasks.back.needs", ["back"], "tasks.back.needs: the task needs itself"),
        ("tasks.back.expect.on", "others", "tasks.back.expect.on: write a machine, all-cp or the name of a fault"),
        ("tasks.back.expect.probe", "ready", "tasks.back.expect.probe: no such probe: ready"),
        ("tasks.back.expect.when", {"provider": "docker"}, "tasks.back.expect.when: a task has no condition"),
        ("tasks.back.expect", {"probe": "ready-via-lb", "ok": "always", "during": "held"},
         "tasks.back.expect.during: should be `check`"),
        ("tasks.back.expect", {"fact": "node-ready", "on": "cp1", "unchanged": True},
         "tasks.back.expect.unchanged: compares with an earlier time"),
        ("tasks.back.expect", {"fact": "backend", "on": "cp1", "value": "up", "reached": "within 5s"},
         "tasks.back.expect.fact: only haproxy reports its backends"),
        ("tasks.who.answer", [], "tasks.who.answer: needs the right answer"),
        ("tasks.who", {"text": "x", "points": 1, "check": "no.py"}, "tasks.who.check: no such file: no.py"),
        ("solve", None, "solve: is missing: without it, nothing shows"),
        ("solve.0.on", "held2", "solve[1].on: no such target: held2; did you mean held?"),
        ("solve.0.on", "cp5", "solve[1].on: not every lab has this machine"),
        ("solve.0.run", "echo {nobody}", "solve[1].run: {nobody} is neither a machine nor an earlier fault"),
        ("wrong.wait", [{"on": "check", "run": "ls"}], "wrong.wait[1].on: no such target: check"),
        ("hints", [{"text": "x", "cost": 20}, {"text": "y", "cost": 11}],
         "hints: cost 31 points, so a learner who takes all of them cannot pass: "
         "the passing score of 70 % leaves 30 of 100"),
        ("hints", [{"text": "x", "after": "5m"}, {"text": "y", "cost": 1}, {"text": "z", "after": "4m"}],
         "hints[3].after: is earlier than that of a hint above it, which is shown first: 5m"),
        ("hints", [{"text": "x", "after": "soon"}], "hints[1].after: should be a time"),
        ("fail_if", ["lost-writes"], 'fail_if[1]: should be lost-write, new-cluster or reset-node, not "lost-writes"'),
        ("fail_if", ["lost-write", "reset-node", "lost-write"], "fail_if[3]: is there already: lost-write"),
        ("tasks.who.answer", "{hled.name}",
         "tasks.who.answer: {hled.name} is neither a fault of the break nor a variable; did you mean held? "
         "(write \\{hled.name} if it is not a placeholder)"),
        ("tasks.who.answer", ["x", "{held}"],
         "tasks.who.answer: an answer is the name of a machine: write {held.name}"),
        ("tasks.who.text", "On {check.name}?", "tasks.who.text: {check.name} is neither a fault"),
        ("objective", "Mend {cp2}.", "objective: {cp2} is neither a fault"),
        ("initial_situation", "See {hold}.", "initial_situation: {hold} is neither"),
        ("hints", [{"text": "Look at {hedl}."}], "hints[1].text: {hedl} is neither"),
        ("debrief", "It was {helt.name}.", "debrief: {helt.name} is neither"),
        ("title", "{held.name} is gone", "title: is shown in lists, where no machine is chosen: leave {held.name} out"),
        ("vars", {"cp1": ["a"]}, "vars.cp1: is a machine or a role"),
        ("vars", {"a": []}, "vars.a: should have 1 or more entries"),
        ("vars", {"a": list("abcdef"), "b": list("abcdef")}, "vars: have 36 combinations; the maximum is 32"),
        ("passing_score", 101, "passing_score: should be 100 or less, not 101"),
        ("time_limit", "soon", "time_limit: should be a time"),
    ],
)  # fmt: skip
def test_a_problem_is_named_with_its_place(path: str, value: Any, problem: str, tmp_path: Path) -> None:
    found = problems(tmp_path, changed(path, value))
    assert any(line.startswith(problem) for line in found), found


def test_hints_may_cost_what_the_passing_score_leaves(tmp_path: Path) -> None:
    drill = changed("hints", [{"text": "x", "cost": 20}])
    assert read(tmp_path, {**drill, "passing_score": 80}).hints
    assert problems(tmp_path, {**drill, "passing_score": 81})


def test_a_hint_that_comes_after_the_time_limit_never_comes(tmp_path: Path) -> None:
    drill = changed("hints", [{"text": "x", "after": "10m"}])
    assert read(tmp_path, {**drill, "time_limit": "11m"}).hints[0].after == 600
    assert problems(tmp_path, {**drill, "time_limit": "10m"}) == [
        "hints[1].after: is not before the time limit: 10m"
    ]
    assert problems(
        tmp_path, {**exam(one=part(1, hints=[{"text": "x", "after": "1h"}])), "time_limit": "1h"}
    ) == ["parts.one.hints[1].after: is not before the time limit: 1h"]


@pytest.mark.parametrize(
    ("hint", "prices"),
    [
        ({}, [0, 0, 0]),
        ({"cost": 5}, [5, 5, 5]),
        ({"after": "5m"}, [None, None, 0]),
        ({"cost": 5, "after": "5m"}, [5, 5, 0]),
        ({"cost": 5, "after": "0s"}, [0, 0, 0]),
    ],
)
def test_a_hint_has_a_price_or_comes_after_a_time_and_is_then_free(
    hint: dict[str, Any], prices: list[int | None]
) -> None:
    written = Hint.model_validate({"text": "x", **hint})
    assert [written.price(seconds) for seconds in (0, 299, 300)] == prices


def test_other_braces_of_a_text_are_no_placeholders(tmp_path: Path) -> None:
    text = "awk '{print $1}' ${held} \\{pod} {{ range }} {held}"
    assert read(tmp_path, changed("debrief", text)).debrief == text


def test_a_circle_of_needs_is_a_problem_of_every_task_in_it(tmp_path: Path) -> None:
    drill = changed("tasks.back.needs", ["who"])
    drill["tasks"]["who"]["needs"] = ["back"]
    assert [line.partition(":")[0] for line in problems(tmp_path, drill)] == [
        "tasks.back.needs",
        "tasks.who.needs",
    ]


def with_vars() -> dict[str, Any]:
    drill = changed("vars", {"pod": ["etcd", "kube-scheduler"]})
    drill["break"][0]["with"]["pod"] = "{pod}"
    drill["tasks"]["who"]["answer"] = "{pod}"
    drill["debrief"] = "{pod} on {held.name}, not ${pod} or \\{pod}."
    return drill


def test_a_seed_picks_the_same_value_everywhere(tmp_path: Path) -> None:
    seen = set()
    for seed in range(8):
        drill = read(tmp_path, with_vars(), seed)
        (step,) = drill.breaks
        assert isinstance(step, Inject)
        pod = str(step.options["pod"])
        assert drill.tasks["who"].answer == (pod,)
        assert drill.debrief == f"{pod} on {{held.name}}, not ${{pod}} or \\{{pod}}."
        seen.add(pod)
    assert seen == {"etcd", "kube-scheduler"}


def test_every_value_of_a_variable_is_checked_and_not_only_the_one_that_the_seed_picks(
    tmp_path: Path,
) -> None:
    drill = with_vars()
    drill["vars"]["pod"].append("kube-router")
    for seed in range(3):
        with pytest.raises(BadFile, match="pod: should be a static pod of kubeadm.* not kube-router"):
            read(tmp_path, drill, seed)


def test_a_problem_names_the_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(
        yaml.safe_dump(GOOD, sort_keys=False).replace("probe: ready-direct", "probe: ready-via-lb")
    )
    number = 1 + next(n for n, line in enumerate(path.read_text().splitlines()) if "all-cp" in line)
    with pytest.raises(BadFile) as caught:
        drill_rules.read(path, FAULTS)
    assert (
        caught.value.message
        == f"{path}:{number}: tasks.back.expect.on: ready-via-lb asks the load balancer: leave `on` out"
    )


def test_the_drill_of_an_attempt_is_read_again_with_the_same_values(tmp_path: Path) -> None:
    path = written(tmp_path, with_vars())
    for seed in range(4):
        assert drill_rules.load(path, seed) == drill_rules.read(path, FAULTS, seed=seed).value


def part(number: int, **more: Any) -> dict[str, Any]:
    """A part of an exam, which breaks a pod of its own."""
    broken = f"broken-{number}"
    return {
        "initial_situation": f"Symptom {number}.",
        "break": [{"inject": "hold-static-pod", "name": broken, "on": f"cp{number}", "with": {"pod": "etcd"}}],
        "tasks": {f"who-{number}": {"text": "Which?", "points": 50, "answer": f"{{{broken}.name}}"},
                  f"back-{number}": {"text": "All answer.", "points": 50,
                                     "expect": {"probe": "etcd-direct", "on": broken, "ok": "within 5s"}}},
        "solve": [{"on": broken, "run": "echo {self}"}],
        "debrief": f"It was {{{broken}.name}}.",
        **more,
    }  # fmt: skip


def exam(**parts: dict[str, Any]) -> dict[str, Any]:
    """An exam of two out of three parts; `parts` replace some of them."""
    kept = (
        "title",
        "difficulty",
        "course",
        "estimated_time",
        "requires",
        "initial_situation",
        "objective",
        "debrief",
    )
    written = {name: GOOD[name] for name in kept} | {"debrief": "This was the exam."}
    return {**written, "draw": 2, "parts": {"one": part(1), "two": part(2), "three": part(3), **parts}}


def test_a_seed_draws_parts_and_the_drill_has_their_breaks_tasks_and_texts(tmp_path: Path) -> None:
    seen = set()
    for seed in range(12):
        drill = read(tmp_path, exam(), seed)
        numbers = [step.name[-1] for step in drill.breaks if isinstance(step, Inject)]
        assert len(numbers) == 2
        assert list(drill.tasks) == [f"{task}-{number}" for number in numbers for task in ("who", "back")]
        assert drill.initial_situation.split("\n\n")[1:] == [f"Symptom {number}." for number in numbers]
        assert drill.debrief.startswith("This was the exam.\n\nIt was {broken-")
        assert [act.on for act in drill.solve] == [f"broken-{number}" for number in numbers]
        assert drill.total == 200
        seen.add("".join(numbers))
    assert seen == {"12", "13", "23"}


def test_the_same_seed_draws_the_same_parts_again(tmp_path: Path) -> None:
    path = written(tmp_path, exam())
    for seed in range(4):
        assert drill_rules.load(path, seed) == drill_rules.read(path, FAULTS, seed=seed).value


def test_the_seeds_of_a_proof_draw_every_part(tmp_path: Path) -> None:
    path = written(tmp_path, exam())
    drawn, seeds = set(), library.covering_seeds(str(path))
    assert len(seeds) == 2
    for seed in seeds:
        drawn |= {name[-1] for name in drill_rules.load(path, seed).tasks}
    assert drawn == {"1", "2", "3"}
    assert library.covering_seeds(str(written(tmp_path, GOOD))) == [0]


@pytest.mark.parametrize(
    ("drill", "problem"),
    [
        (exam(two=part(2, solve=[])), "parts.two.solve: is missing"),
        (exam(two=part(2, debrief="{nobody.name}")), "debrief: {nobody.name} is neither"),
        (exam(two=part(2, tasks={"who-1": {"text": "?", "points": 100, "answer": "x"}})),
         "parts.two.tasks.who-1: another part has this name too: who-1"),
        (exam(two=part(2, tasks={"x": {"text": "?", "points": 99, "answer": "x"}})),
         "parts: must all have the same points, so that every draw is worth the same: one 100, two 99, three 100"),
        (exam(two=part(2, hints=[{"text": "x", "cost": 31}])), "parts.two.hints: cost 31 points"),
        (exam(two=part(2, tasks={})), "parts.two.tasks: should have 1 or more entries"),
        (exam(two=part(2, tasks={"x": {"text": "?", "points": 0, "answer": "x"}})),
         "parts.two.tasks.x.points: should be 1 or more, not 0"),
        (exam(two=part(2, tasks={"x": {"text": "?", "points": 100, "anwser": "x"}})),
         "parts.two.tasks.x.anwser: is not known; did you mean answer?"),
        (exam(two=part(2, **{"break": [{"inject": "hold-pod", "name": "broken-2", "on": "cp2"}]})),
         "parts.two.break[1].inject: no such fault: hold-pod"),
        ({**exam(), "draw": 4}, "draw: is more than the number of parts: 3"),
        ({**exam(), "draw": None}, "draw: has no value"),
        ({**GOOD, "draw": 1}, "draw: `draw` says how many of the `parts` are drawn: write both or neither"),
        ({**exam(), "parts": "none"}, "parts: should be a mapping"),
    ],
)  # fmt: skip
def test_a_problem_of_a_part_is_named_where_it_is_written_whether_or_not_it_is_drawn(
    drill: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    for seed in range(3):
        with pytest.raises(BadFile) as caught:
            drill_rules.read(written(tmp_path, drill), FAULTS, seed=seed)
        found = [f"{each.field}: {each.what}" for each in caught.value.problems]
        assert any(line.startswith(problem) for line in found), found


def test_the_drills_of_the_page_are_good(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "drills.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:
        path = tmp_path / "mine.yml"
        path.write_text(block)
        assert drill_rules.read(path, FAULTS).value.tasks


@pytest.mark.parametrize("name", library.names())
def test_a_drill_that_comes_with_halab_is_good_and_its_situation_does_not_name_the_machine(
    name: str,
) -> None:
    drill = library.find(name).drill
    told = [
        drill.title,
        drill.initial_situation,
        drill.objective,
        *(task.text for task in drill.tasks.values()),
    ]
    injected = [step.name for step in drill.breaks if isinstance(step, Inject)]
    assert not [text for text in told for fault in injected if f"{{{fault}" in text]
    assert drill.hints or drill.parts, "a learner who is stuck has only give-up"
    assert drill.wrong or len(drill.questions) == len(drill.tasks)
