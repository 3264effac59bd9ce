"""How many labs a host can have at once, and how long a matrix takes then."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fake_host import FakeHost
from support.matrix_builder import plan_of

from halab.matrix import at_once
from halab.matrix.forecast import Forecast
from halab.matrix.record import BuiltLab
from halab.matrix.standing import Standing
from halab.matrix.times import Times, Total

THREE = "axes:\n  load_balancer.kind: [haproxy, nginx, kube-vip]\nscenarios: [stop-apiserver]\n"
# The load balancer has 512 MiB, and each of three control planes 2 GiB.
NEEDED_GIB = 6.5


def host(cores: int, gib: float) -> FakeHost:
    made = FakeHost(cores=cores)
    made.texts["/proc/meminfo"] = f"MemAvailable: {int(gib * 1024 * 1024)} kB\n"
    return made


@pytest.mark.parametrize(
    ("cores", "gib", "fitting"),
    [
        (2, 64, 1),
        (7, 64, 1),
        (8, 64, 2),
        (64, 64, 3),
        (64, 2 * NEEDED_GIB + 0.1, 2),
        (64, 1, 1),
    ],
)
def test_each_lab_needs_four_cores_and_its_memory(
    cores: int, gib: float, fitting: int, tmp_path: Path
) -> None:
    labs = [lab.written for lab in plan_of(tmp_path, THREE).labs]
    assert at_once.fitting(labs, host(cores, gib)) == fitting


def test_the_largest_lab_counts(tmp_path: Path) -> None:
    text = "axes: {workers: [0, 2]}\nscenarios: [stop-apiserver]\n"
    plan = plan_of(tmp_path, text, "machines: {worker: {memory: 20G}}\n")
    assert at_once.fitting([lab.written for lab in plan.labs], host(64, 64)) == 1
    assert at_once.fitting([plan.labs[0].written] * 2, host(64, 64)) == 2


def test_without_labs_or_a_known_memory_it_is_one(tmp_path: Path) -> None:
    assert at_once.fitting([], host(64, 64)) == 1
    unknown = host(64, 64)
    unknown.texts["/proc/meminfo"] = ""
    assert at_once.fitting([plan_of(tmp_path, THREE).labs[0].written] * 2, unknown) == 1


@pytest.mark.parametrize(("places", "minutes"), [(1, 9), (2, 6), (3, 4), (9, 4)])
def test_a_forecast_is_about_the_place_that_is_busy_longest(
    places: int, minutes: int, tmp_path: Path
) -> None:
    plan = plan_of(tmp_path, THREE)
    built = [BuiltLab(lab.name, 60.0 * number) for number, lab in enumerate(plan.labs, 1)]
    known = Times(built=built)
    for lab in plan.cells:
        known = known.with_run(lab, 60.0)
    # 2, 3 and 4 minutes
    shown = Forecast(Standing(plan, 7), known, places)
    assert shown.total == Total(60.0 * minutes, 0.0)
