"""The fault that adds machines: its sizes, what it remembers, and where it makes no sense."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.fakes import FakeGuests
from support.site_builder import heal, inject, site_of

from halab.config.lab_size import LabSize
from halab.errors import BadUsage, Unable
from halab.faults.catalogue import FAULTS
from halab.faults.site import Site


def site(**written: Any) -> tuple[Site, list[LabSize]]:
    asked: list[LabSize] = []

    def rescaled(size: LabSize) -> str:
        asked.append(size)
        return "added cp4"

    return replace(site_of(FakeGuests(), **written), rescale=rescaled), asked


def test_machines_are_added_and_the_heal_goes_back() -> None:
    here, asked = site(workers=1)
    entry, effect = inject(here, "add-machines", control_planes="5")
    assert (asked, effect) == ([LabSize(5, 1)], "added cp4")
    heal(here, entry)
    assert asked == [LabSize(5, 1), LabSize(3, 1)]


def test_the_heal_needs_nothing_but_the_journal() -> None:
    here, _ = site()
    entry, _ = inject(here, "add-machines", workers="2")
    larger, asked = site(workers=2)
    heal(larger, entry)
    assert asked == [LabSize(3, 0)]


@pytest.mark.parametrize(
    "options", [{"control_planes": "3"}, {"control_planes": "1"}, {"control_planes": "1", "workers": "1"}]
)
def test_a_size_that_adds_nothing_is_refused(options: dict[str, str]) -> None:
    here, asked = site()
    with pytest.raises(Unable, match="the lab already has control_planes=3 workers=0"):
        inject(here, "add-machines", **options)
    assert asked == []


def test_a_size_must_be_given() -> None:
    here, asked = site()
    with pytest.raises(BadUsage, match="add-machines adds nothing: set control_planes or workers"):
        inject(here, "add-machines")
    assert asked == []
    assert list(FAULTS["add-machines"].problems_with({"control_planes": "6"})) == [
        "control_planes: should be the number of control planes that the lab then has in total, such as 5, not 6"
    ]


def test_a_lab_that_cannot_get_another_size_says_so() -> None:
    with pytest.raises(Unable, match="this lab cannot get another size: control_planes=5 workers=0"):
        inject(site_of(FakeGuests()), "add-machines", control_planes="5")
