"""The fault that upgrades Kubernetes: where it makes no sense, and what its heal does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.fakes import FakeGuests
from support.site_builder import heal, inject, site_of

from halab.errors import Unable
from halab.faults.site import Site


def site(present: str = "1.36.5") -> tuple[Site, list[str | None]]:
    asked: list[str | None] = []

    def upgraded(version: str | None) -> str:
        asked.append(version)
        return "Kubernetes 1.36.5 became 1.37.2"

    return replace(site_of(FakeGuests(), kubernetes={"version": present}), upgrade=upgraded), asked


def test_the_lab_is_upgraded_and_the_heal_only_completes_it() -> None:
    here, asked = site()
    entry, effect = inject(here, "upgrade-kubernetes", version="1.37")
    assert (asked, effect) == (["1.37"], "Kubernetes 1.36.5 became 1.37.2")
    heal(here, entry)
    assert asked == ["1.37", None]


@pytest.mark.parametrize(
    ("present", "wanted", "why"),
    [
        ("1.37.2", "1.37", "already has Kubernetes 1.37.2"),
        ("1.37.2", "1.36", "cannot go back"),
        ("1.35.8", "1.37", "cannot skip a minor"),
        ("1.37.2", "1.99", "unknown Kubernetes version"),
    ],
)
def test_a_run_is_skipped_where_the_lab_cannot_go_there(present: str, wanted: str, why: str) -> None:
    here, asked = site(present)
    with pytest.raises(Unable, match=why):
        inject(here, "upgrade-kubernetes", version=wanted)
    assert asked == []


def test_a_lab_that_cannot_be_upgraded_says_so() -> None:
    with pytest.raises(Unable, match="cannot get another version of Kubernetes"):
        inject(site_of(FakeGuests(), kubernetes={"version": "1.36"}), "upgrade-kubernetes", version="1.37")
