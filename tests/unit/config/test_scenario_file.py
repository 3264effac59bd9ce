from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.run_builder import META, STOP, scenario
from support.scenario_files import problems

from halab import data
from halab.config import kubeadm, scenario_rules, schema
from halab.config.lab import ProviderKind
from halab.config.lab_traits import Condition, Needs
from halab.config.load_balancer import Balancer
from halab.config.loading import loads
from halab.config.quantities import format_duration, format_minutes, seconds_of, share_of
from halab.config.scenario import Scenario
from halab.config.step import Expect, Inject, Wait
from halab.config.twin import Verdict
from halab.errors import BadFile
from halab.faults.catalogue import FAULTS


def changed(old: str, new: str, tmp_path: Path) -> list[str]:
    assert old in STOP, old
    return problems(STOP.replace(old, new), tmp_path)


def with_expectation(words: str, tmp_path: Path) -> list[str]:
    return changed("  - wait: 10s\n", f"  - expect: {{{words}}}\n  - wait: 10s\n", tmp_path)


@pytest.mark.parametrize("path", sorted(data.scenarios().glob("*.yml")), ids=lambda path: path.stem)
def test_every_scenario_of_ours_obeys_the_rules(path: Path) -> None:
    read = scenario_rules.read(path, FAULTS).value
    assert read.tags, f"{path.name}: tags is empty"
    length = len(read.teaches)
    assert length > 150, f"{path.name}: teaches must have more than 150 characters, and has {length}"
    assert read.checks, f"{path.name}: checks is empty"


def test_a_scenario_that_was_copied_without_its_checks_gets_a_hint(tmp_path: Path) -> None:
    copy = tmp_path / "mine.yml"
    copy.write_text((data.scenarios() / "stop-apiserver.yml").read_text())
    with pytest.raises(BadFile, match="no such file: checks/test_control_plane.py") as caught:
        scenario_rules.read(copy, FAULTS)
    assert caught.value.hint == "copy the files of `checks` beside the scenario, or remove this line"


def test_a_scenario_is_read_in_the_words_of_the_file() -> None:
    read = scenario()
    inject, fails, wait = read.steps[0], read.steps[1], read.steps[2]
    assert isinstance(inject, Inject)
    assert (inject.name, inject.fault, inject.target) == ("stopped", "hold-static-pod", "any-cp")
    assert inject.arguments == {"pod": "kube-apiserver"}
    assert isinstance(fails, Expect)
    assert isinstance(wait, Wait)
    assert wait.seconds == 10
    assert read.recover.steady.within_seconds == 90
    assert read.twin.verdict is Verdict.FAIL


def test_the_twin_has_its_fault_replaced_and_keeps_its_name() -> None:
    losing = scenario().losing()
    step = losing.steps[0]
    assert isinstance(step, Inject)
    assert (step.name, step.fault, step.arguments) == ("stopped", "nothing", {})
    assert losing.steps[1:] == scenario().steps[1:]


def test_a_fault_without_a_name_has_that_of_its_kind() -> None:
    step = loads(STOP.replace("    name: stopped\n", ""), "s.yml", Scenario).steps[0]
    assert isinstance(step, Inject)
    assert step.name == "hold-static-pod"


def test_options_become_text() -> None:
    text = STOP.replace("{pod: kube-apiserver}", "{pod: etcd, times: 3, hard: true, share: 0.5}")
    step = loads(text, "s.yml", Scenario).steps[0]
    assert isinstance(step, Inject)
    assert step.arguments == {"pod": "etcd", "times": "3", "hard": "true", "share": "0.5"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "hold-static-pod",
            "hold-static-pods",
            "s.yml:6: steps[1].inject: no such fault: hold-static-pods; did you mean hold-static-pod?",
        ),
        (
            "hold-static-pod",
            "explode",
            "s.yml:6: steps[1].inject: no such fault: explode; known: edit-balancer, hold-static-pod",
        ),
        (
            "{pod: kube-apiserver}",
            "{}",
            "s.yml:9: steps[1].with: hold-static-pod needs the option pod (a static pod)",
        ),
        (
            "{pod: kube-apiserver}",
            "{pod: Etcd!}",
            "s.yml:9: steps[1].with.pod: should be a static pod, such as etcd, not Etcd!",
        ),
        (
            "{pod: kube-apiserver}",
            "{pod: x, pot: y}",
            "s.yml:9: steps[1].with: hold-static-pod has no option pot; it takes pod",
        ),
        (
            "on: any-cp",
            "on: etcd-leeder",
            "s.yml:8: steps[1].on: no such target: etcd-leeder; did you mean etcd-leader?",
        ),
        (
            "on: any-cp",
            "on: cp4",
            "s.yml:8: steps[1].on: not every lab has this machine; write `needs: {control_planes: 4}`: cp4",
        ),
        ("on: any-cp", "on: cp9", "s.yml:8: steps[1].on: no lab has more than 5 control planes: cp9"),
        (
            "name: stopped\n    on",
            "name: cp1\n    on",
            "s.yml:7: steps[1].name: is a machine or a role; choose another name: cp1",
        ),
        (
            "heal: stopped",
            "heal: stoped",
            "s.yml:12: steps[4].heal: no earlier step injects a fault of that name: stoped; did you mean stopped?",
        ),
        (
            "  - heal: stopped\n",
            "  - heal: stopped\n  - heal: stopped\n",
            "s.yml:13: steps[5].heal: is already healed in step 4: stopped",
        ),
        (
            "5s, during: stopped",
            "5s, during: started",
            "s.yml:13: steps[5].expect.during: no earlier step injects a fault of that name: started; "
            "known: stopped",
        ),
        (
            "{replace: {stopped: nothing}}",
            "{replace: {other: nothing}}",
            "s.yml:16: twin.replace.other: no fault of that name is injected: other; known: stopped",
        ),
        (
            "{replace: {stopped: nothing}}",
            "{replace: {stopped: nothin}}",
            "s.yml:16: twin.replace.stopped: no such fault: nothin; did you mean nothing?",
        ),
        (
            "{replace: {stopped: nothing}}",
            "{replace: {stopped: hold-static-pod}}",
            "s.yml:16: twin.replace.stopped: changes nothing: the fault is already hold-static-pod",
        ),
        (
            "{replace: {stopped: nothing}}",
            "{replace: {}}",
            "s.yml:16: twin.replace: should have 1 or more entries, not 0",
        ),
        (
            "recover: {steady: within 90s}",
            "recover: {steady: always}",
            's.yml:15: recover.steady: should be "within" and a time such as "within 30s"',
        ),
        (
            "wait: 10s",
            "wait: 10",
            "s.yml:11: steps[3].wait: should be a time such as 500ms, 5s or 1m30s, not 10",
        ),
        (
            "wait: 10s",
            "rest: 10s",
            "s.yml:11: steps[3]: needs exactly one of inject, expect, heal, wait or do",
        ),
        (
            "wait: 10s",
            "wait: 10s\n    heal: stopped",
            "s.yml:11: steps[3]: needs exactly one of inject, expect, heal, wait or do",
        ),
        (
            "probe: write-via-lb",
            "prob: write-via-lb",
            "s.yml:13: steps[5].expect: needs exactly one of probe or fact",
        ),
        (
            "probe: write-via-lb",
            "probe: wriet-via-lb",
            "s.yml:13: steps[5].expect.probe: no such probe: wriet-via-lb; did you mean write-via-lb?",
        ),
        (
            "longest_outage: 5s, during",
            "longest_outage: 5s, on: cp1, during",
            "s.yml:13: steps[5].expect.on: write-via-lb asks the load balancer",
        ),
        (
            "on: stopped, fails",
            "fails",
            "s.yml:10: steps[2].expect.probe: ready-direct needs `on`: a control plane, a fault or others",
        ),
        (
            "on: stopped, fails",
            "on: stoped, fails",
            "s.yml:10: steps[2].expect.on: no such machine or fault: stoped; did you mean stopped?",
        ),
        (
            "fails: within 10s",
            "ok: within 10s",
            "s.yml:5: steps: no expectation shows that the fault had an effect",
        ),
        ("title:", "tittle:", "s.yml:2: tittle: is not known; did you mean title?"),
        (
            "needs: {control_planes: 3}",
            "needs: {control_planes: 3}\nchecks: [checks/none.py]",
            "s.yml:5: checks[1]: no such file: checks/none.py",
        ),
        ("needs: {control_planes: 3}", "needs: {control_planes: 3, load_balancer: nginx}", None),
    ],
)
def test_problems_have_their_line(old: str, new: str, said: str | None, tmp_path: Path) -> None:
    found = changed(old, new, tmp_path)
    assert found == [] if said is None else any(said in each for each in found)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("probe: write-via-lb", "should expect something"),
        ("probe: write-via-lb, ok: within 5s, fails: within 5s", "cannot expect both ok and fails"),
        ("probe: write-via-lb, ok: always", "`always` needs a window"),
        ("probe: write-via-lb, longest_outage: 3s", "`longest_outage` needs a window"),
        ("probe: write-via-lb, failed_share: 3%", "`failed_share` needs a window"),
        ("probe: write-via-lb, ok: within 5s, during: stopped", "leave `during` out"),
        (
            "probe: write-via-lb, ok: always, longest_outage: 3s, during: stopped",
            "cannot expect both ok and",
        ),
        ("probe: read-via-lb, fails: always, during: stopped", None),
        ("probe: write-via-lb, failed_share: 101%, during: stopped", "a share from 0% to 100%"),
        ("probe: write-via-lb, failed_share: 5, during: stopped", "a share from 0% to 100%"),
        (
            "probe: write-via-lb, ok: 5s",
            'should be "always" or "within" and a time such as "within 30s", not "5s"',
        ),
        ("fact: etcd-started, on: stopped", "needs exactly one of changed, unchanged, value or increase"),
        (
            "fact: etcd-started, on: stopped, changed: within 5s, unchanged: true",
            "needs exactly one of changed, unchanged, value or increase",
        ),
        ("fact: etcd-started, on: stopped, unchanged: false", "should be true"),
        ("fact: etcd-started, changed: within 5s", "etcd-started needs `on`"),
        ("fact: etcd-leader, on: stopped, unchanged: true", "is a fact of the whole lab: leave `on` out"),
        (
            "fact: etcd-started, on: others, unchanged: true",
            "is read from named machines only: write a machine or a fault",
        ),
        ("fact: etcd-leader, unchanged: true", None),
        ("fact: etcd-leader, changed: within 5s, when: {kubernetes: 1.33}", 'such as ">=1.33"'),
        ('fact: etcd-leader, changed: within 5s, when: {kubernetes: ">=1.33"}', None),
    ],
)
def test_contradictory_expectations_are_refused(words: str, said: str | None, tmp_path: Path) -> None:
    found = with_expectation(words, tmp_path)
    if said is None:
        assert found == []
    else:
        assert len(found) == 1
        assert "s.yml:11: " in found[0]
        assert said in found[0]


def test_two_expectations_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    found = with_expectation("probe: write-via-lb, fails: always, during: stopped", tmp_path)
    assert found == ["s.yml:14: steps[6].expect: contradicts step 3"]


def test_a_condition_that_the_needs_exclude_is_refused(tmp_path: Path) -> None:
    text = STOP.replace("control_planes: 3", "control_planes: 3, load_balancer: haproxy")
    text = text.replace("wait: 10s", "wait: 10s\n  - wait: 1s\n    when: {load_balancer: nginx}")
    (found,) = problems(text, tmp_path)
    assert "can never apply: when says load_balancer: nginx, but needs says haproxy" in found


def test_an_expectation_before_the_first_fault_is_refused(tmp_path: Path) -> None:
    found = changed("steps:\n", "steps:\n  - expect: {probe: write-via-lb, ok: within 5s}\n", tmp_path)
    assert found == [
        "s.yml:6: steps[1].expect: comes before the first inject, when nothing has happened yet: "
        "move it behind the inject"
    ]


def test_all_problems_of_meaning_are_reported_at_once(tmp_path: Path) -> None:
    text = STOP.replace("hold-static-pod", "explode").replace("heal: stopped", "heal: x")
    assert len(problems(text, tmp_path)) == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("500ms", 0.5),
        ("1m30s", 90),
        ("2m", 120),
        ("1h", 3600),
        ("1.5s", 1.5),
        ("1s500ms", 1.5),
        ("0s", 0),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "5 s", "s", "-5s", "5s1m", "1d", "fast", 5, None, True, "25h", "1m1m"]
)
def test_an_invalid_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="should be"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.04, "40ms"),
        (2.25, "2.2s"),
        (5, "5s"),
        (90, "90s"),
        (150, "2m30s"),
        (3600, "1h"),
        (0.9986, "1s"),
    ],
)
def test_durations_are_formatted(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "60s"), (60, "60s"), (61, "2m"), (720, "12m"), (3600, "1h"), (7260, "2h1m")]
)
def test_estimates_are_rounded_up_to_minutes(seconds: float, text: str) -> None:
    assert format_minutes(seconds) == text


def test_shares_are_read() -> None:
    assert (share_of("5%"), share_of("0%"), share_of("12.5%")) == (0.05, 0, 0.125)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (">=1.37", True),
        (">1.37", False),
        ("<1.38", True),
        ("<=1.36", False),
        ("==1.37", True),
        (">= 1.33", True),
    ],
)
def test_conditions_compare_minors(condition: str, holds: bool) -> None:
    assert (not Condition(kubernetes=condition).fails_in(META.setting)) is holds


def test_every_condition_must_hold() -> None:
    when = Condition(kubernetes=">=1.33", provider=ProviderKind.LIBVIRT, load_balancer=Balancer.NGINX)
    assert when.fails_in(META.setting) == [
        "the provider is docker, not libvirt",
        "the load balancer is haproxy, not nginx",
    ]


def test_the_needs_that_a_lab_lacks_are_reported() -> None:
    needs = Needs(control_planes=5, capabilities=("own-clock",))
    assert needs.lacking_in(META.setting) == [
        "the lab has 3 control planes, and 5 are needed",
        "the lab lacks the capability own-clock",
    ]


def test_schemas_describe_the_file_and_not_the_models() -> None:
    for text in (schema.lab_schema(), schema.scenario_schema()):
        assert '"title": "Control Planes"' not in text
        json.loads(text)
    assert "null" not in schema.scenario_schema()
    definitions = json.loads(schema.lab_schema())
    # in documents of kubeadm, null removes a value of halab
    removable = {model for model in vars(kubeadm).values() if getattr(model, "null_removes", False)}
    with_null = {name for name, model in definitions["$defs"].items() if "null" in json.dumps(model)}
    assert with_null == {model.__name__ for model in removable} - {"Document"}
    assert "null" not in json.dumps(definitions["properties"])
    assert json.loads(schema.scenario_schema())["properties"]["title"] == {"minLength": 1, "type": "string"}


def test_a_list_whose_entries_have_problems_is_not_called_too_short(tmp_path: Path) -> None:
    text = (
        "title: x\nteaches: y\nsteps:\n  - inject: nothing\n    onn: cp1\ntwin: {add: [{}], verdict: fail}\n"
    )
    said = problems(text, tmp_path)
    assert "s.yml:5: steps[1].onn: is not known; did you mean on?" in said
    assert not any("or more entries" in line for line in said)
