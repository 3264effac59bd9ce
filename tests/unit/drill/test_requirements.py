"""What a lab must have for a drill."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.fakes import lab_of

from halab.drill import library, requirements
from halab.topology.lab import Lab


def test_the_traits_of_a_lab_count_its_workers() -> None:
    traits = requirements.traits_of(lab_of(control_planes=3, workers=2))
    assert (traits.control_planes, traits.workers, traits.balancers) == (3, 2, 1)


def test_the_traits_of_a_pair_have_both_load_balancers() -> None:
    assert requirements.traits_of(lab_of(load_balancer={"machines": 2})).balancers == 2


def test_a_drill_lacks_what_the_file_of_the_lab_does_not_give() -> None:
    drill = library.find("two-masters").drill
    assert requirements.lacking(lab_of(), drill) == ["the lab has 1 load balancer, and 2 are needed"]
    assert requirements.lacking(lab_of(load_balancer={"machines": 2}), drill) == []


NIGHTLY = (Path(__file__).parents[3] / "scripts" / "nightly").read_text()


def nightly_labs() -> dict[str, Lab]:
    """The labs in which scripts/nightly proves drills, by the name of their group."""
    [settings] = re.findall(r"declare -A settings=\((.*)\)", NIGHTLY)
    return {
        name: lab_of(load_balancer=yaml.safe_load(setting))
        for name, setting in re.findall(r"\[(\w+)\]='(.*?)'", settings)
    }


def nightly_group(name: str) -> str:
    """The group of a drill, as scripts/nightly forms it."""
    [function] = re.findall(r"^(def lab_of.*?)^print", NIGHTLY, re.DOTALL | re.MULTILINE)
    scope: dict[str, Any] = {}
    exec(function, scope)
    needs = library.find(name).drill.requires.model_dump(mode="json", exclude_defaults=True)
    return str(scope["lab_of"](needs))


@pytest.mark.parametrize("name", library.names())
def test_the_nightly_proves_every_drill_in_a_lab_that_can_run_it(name: str) -> None:
    assert requirements.lacking(nightly_labs()[nightly_group(name)], library.find(name).drill) == []
