"""The bugs that come with halab are complete: the report, a lab of its own, a scenario that can fail, its figures."""

from __future__ import annotations

import pytest

from halab import data
from halab.bugs import library, versions
from halab.config.twin import Verdict
from halab.lifecycle.lab import open_file

NAMES = sorted(path.name for path in data.bugs().iterdir())


def test_every_folder_is_a_bug() -> None:
    assert library.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_bug_is_complete(name: str) -> None:
    bug = library.find(name)
    assert all(measurement.figures for measurement in bug.written.measured), "write down what was seen"
    lab_file = bug.lab_in(bug.folder)
    # the names of two labs must differ on a host
    assert "\nname: auto\n" in lab_file.read_text()
    open_file(lab_file)
    scenario = bug.script.scenario
    assert scenario.twin.verdict in (Verdict.FAIL, Verdict.ERROR)
    assert scenario.tags
    # a bug of versions is reproduced on one that has it
    assert not bug.written.affects or versions.in_lab(bug, open_file(lab_file).written)


@pytest.mark.parametrize("name", NAMES)
def test_the_lab_of_a_bug_can_run_its_scenario(name: str) -> None:
    bug = library.find(name)
    lab, needs = open_file(bug.lab_in(bug.folder)).written, bug.script.scenario.needs
    assert lab.control_planes >= needs.control_planes
    assert lab.workers >= needs.workers
    assert needs.load_balancer in (None, lab.load_balancer.kind)
