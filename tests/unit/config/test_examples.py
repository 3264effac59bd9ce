"""A value in the place of a mapping or a list: the error shows what was probably meant."""

from __future__ import annotations

import pytest

from halab.config import yaml_source
from halab.config.drill import Part
from halab.config.expectation import FactExpectation
from halab.config.game_day import Break
from halab.config.lab import LabFile
from halab.config.loading import Model, loads
from halab.config.scenario import Scenario
from halab.errors import BadFile


def problem(text: str, model: type[Model] = LabFile) -> str:
    """The problem of the setting in the first line; others of the file are left out."""
    with pytest.raises(BadFile) as caught:
        loads(text, "f.yml", model)
    name = text.partition(":")[0]
    (said,) = [line for line in caught.value.message.splitlines() if f" {name}" in line]
    return said.removeprefix("f.yml:1: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("load_balancer: haproxy", 'should be a mapping, such as {kind: haproxy}, not "haproxy"'),
        ("load_balancer: nginx", 'should be a mapping, such as {kind: nginx}, not "nginx"'),
        ("load_balancer: tcp", 'should be a mapping, such as {check: tcp}, not "tcp"'),
        ("load_balancer: foo", 'should be a mapping, such as {kind: haproxy}, not "foo"'),
        ("load_balancer: [nginx]", "should be a mapping, such as {kind: haproxy}, not a list of 1"),
        ("etcd: external", 'should be a mapping, such as {topology: external}, not "external"'),
        ("kubernetes: 1.36", 'should be a mapping, such as {version: "1.36"}, not 1.36'),
        ("kubernetes: release", 'should be a mapping, such as {source: release}, not "release"'),
        ("machines: 3", "should be a mapping, such as {cp: {cpus: 2, memory: 2G}}, not 3"),
        ("setup: cp.sh", 'should be a mapping, such as {cp: {before: cp.sh}}, not "cp.sh"'),
        ("images: web.tar", 'should be a list, such as [web.tar], not "web.tar"'),
        ("images: " + "x" * 61, f'should be a list, not "{"x" * 60}… (61 characters)"'),
        (
            "kubeadm: " + "x" * 61,
            f'should be a mapping, such as {{patches: patches}}, not "{"x" * 60}… (61 characters)"',
        ),
    ],
)
def test_a_single_value_in_a_lab_file_shows_what_was_meant(text: str, said: str) -> None:
    assert problem(text) == f"{text.partition(':')[0]}: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("machines: {cp2: 3G}", 'machines.cp2: should be a mapping, such as {memory: 3G}, not "3G"'),
        ("machines: {cp: 4}", "machines.cp: should be a mapping, such as {cpus: 4}, not 4"),
        ("setup: {cp: a.sh}", 'setup.cp: should be a mapping, such as {before: a.sh}, not "a.sh"'),
    ],
)
def test_a_single_value_below_a_setting_shows_what_was_meant(text: str, said: str) -> None:
    assert problem(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recover: within 90s", 'should be a mapping, such as {steady: within 90s}, not "within 90s"'),
        ("needs: 3", "should be a mapping, such as {control_planes: 3}, not 3"),
        ("needs: nginx", 'should be a mapping, such as {load_balancer: nginx}, not "nginx"'),
        (
            "twin: nothing",
            'should be a mapping, such as {replace: {stopped: nothing}, verdict: fail}, not "nothing"',
        ),
        ("tags: etcd", 'should be a list, such as [etcd], not "etcd"'),
        ("steps: kill-process", 'should be a list, not "kill-process"'),
    ],
)
def test_a_single_value_in_a_scenario_shows_what_was_meant(text: str, said: str) -> None:
    assert problem(text, Scenario) == f"{text.partition(':')[0]}: {said}"


def test_a_name_that_is_none_of_many_shows_the_nearest_one() -> None:
    text = "needs: {capabilities: [netm]}"
    assert problem(text, Scenario).startswith("needs.capabilities[1]: should be own-clock")
    with pytest.raises(BadFile) as caught:
        loads("{fact: etcd-leder, changed: within 5s}", "f.yml", FactExpectation)
    assert caught.value.message == "f.yml:1: fact: no such fact: etcd-leder; did you mean etcd-leader?"


def test_a_setting_with_another_name_in_the_file_shows_no_example() -> None:
    assert problem("break: x", Part) == 'break: should be a list, not "x"'


def test_a_setting_with_two_values_shows_two() -> None:
    with pytest.raises(BadFile) as caught:
        loads("{scenario: x, between: 5m}", "f.yml", Break)
    assert caught.value.message == 'f.yml:1: between: should be a list, such as [5m, 5m], not "5m"'


def _models(model: type[Model]) -> list[type[Model]]:
    return [model, *(deeper for below in model.__subclasses__() for deeper in _models(below))]


EXAMPLES = [model for model in _models(Model) if model.__module__.startswith("halab.") and model.example]


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: model.__name__)
def test_every_example_is_valid(model: type[Model]) -> None:
    source = yaml_source.parse(f"x: {model.example}", "example")
    assert not source.problems
    model.model_validate(source.value["x"])
