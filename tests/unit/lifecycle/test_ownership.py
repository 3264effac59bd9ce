"""What is living, orphaned or another host's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halab.lifecycle.ownership import Ownership, judge
from halab.machines.inventory import Holder, Resource, ResourceKind

HERE, THERE = "here", "there"
MACHINE = Resource(
    Holder.DOCKER, ResourceKind.MACHINE, "halab-ha-cp1", "1", "ha", "/labs/ha/.halab", HERE, "cp1"
)
DEBRIS = Resource(Holder.LIBVIRT, ResourceKind.VOLUME, "halab-ha-cp1.img", "/pool/x", "ha", "", "", "cp1")


def standings(*found: Resource, there: bool = False) -> list[Ownership]:
    return [each.standing for each in judge(found, here=HERE, is_there=lambda work: there)]


@pytest.mark.parametrize("host", [HERE, ""])
def test_a_lab_lives_while_its_work_folder_exists(host: str) -> None:
    thing = replace(MACHINE, host=host)
    assert standings(thing, there=True) == [Ownership.LIVING]
    assert standings(thing, there=False) == [Ownership.ORPHANED]


@pytest.mark.parametrize("there", [True, False])
def test_what_another_host_has_made_is_elsewhere_whatever_folders_there_are_here(there: bool) -> None:
    assert standings(replace(MACHINE, host=THERE), there=there) == [Ownership.ELSEWHERE]


def test_what_says_no_host_goes_with_the_rest_of_its_lab() -> None:
    old = replace(MACHINE, kind=ResourceKind.VOLUME, host="")
    foreign = replace(MACHINE, host=THERE)
    assert standings(old, foreign) == [Ownership.ELSEWHERE] * 2
    assert standings(old, replace(foreign, work="/labs/other/.halab"))[0] is Ownership.ORPHANED


def test_ours_stay_ours_where_another_host_has_a_lab_at_the_same_path() -> None:
    assert standings(MACHINE, replace(MACHINE, host=THERE)) == [Ownership.ORPHANED, Ownership.ELSEWHERE]


def test_a_disk_that_says_nothing_belongs_to_the_lab_of_its_name() -> None:
    assert standings(DEBRIS) == [Ownership.ORPHANED]
    assert standings(DEBRIS, MACHINE, there=True)[0] is Ownership.LIVING
    assert standings(DEBRIS, MACHINE, there=False)[0] is Ownership.ORPHANED
    assert standings(DEBRIS, replace(MACHINE, host=THERE))[0] is Ownership.ELSEWHERE
    assert standings(DEBRIS, replace(MACHINE, lab="hb"), there=True)[0] is Ownership.ORPHANED


THINGS = st.builds(
    Resource,
    st.sampled_from(Holder), st.sampled_from(ResourceKind),
    st.just("name"), st.text(max_size=3), st.sampled_from(["a", "b"]),
    st.sampled_from(["", "/one", "/two"]), st.sampled_from(["", HERE, THERE]),
)  # fmt: skip


@given(st.lists(THINGS, max_size=8), st.sets(st.sampled_from(["/one", "/two"])))
def test_nothing_of_a_living_lab_or_of_another_host_is_ever_orphaned(
    found: list[Resource], folders: set[str]
) -> None:
    judged = judge(found, here=HERE, is_there=lambda work: work in ("", *folders))
    assert [each.belonging for each in judged] == found
    for each in judged:
        if each.standing is Ownership.ORPHANED:
            assert each.belonging.host in ("", HERE)
            assert each.belonging.work not in folders
        # a label that names no work folder is not one that halab wrote
        if not each.belonging.work and not each.belonging.is_debris:
            assert each.standing is not Ownership.ORPHANED
