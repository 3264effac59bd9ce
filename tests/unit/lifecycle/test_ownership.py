"""Ownership of resources: living, orphaned, or elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halab.lifecycle.ownership import Ownership, determine_ownership
from halab.machines.inventory import Holder, Resource, ResourceKind

HERE, THERE = "here", "there"
MACHINE = Resource(
    Holder.DOCKER, ResourceKind.MACHINE, "halab-ha-cp1", "1", "ha", "/labs/ha/.halab", HERE, "cp1"
)
DEBRIS = Resource(Holder.LIBVIRT, ResourceKind.VOLUME, "halab-ha-cp1.img", "/pool/x", "ha", "", "", "cp1")


def ownerships(*resources: Resource, there: bool = False) -> list[Ownership]:
    return [
        owned.ownership for owned in determine_ownership(resources, here=HERE, is_there=lambda work: there)
    ]


@pytest.mark.parametrize("host", [HERE, ""])
def test_a_lab_is_living_while_its_work_folder_exists(host: str) -> None:
    resource = replace(MACHINE, host=host)
    assert ownerships(resource, there=True) == [Ownership.LIVING]
    assert ownerships(resource, there=False) == [Ownership.ORPHANED]


@pytest.mark.parametrize("there", [True, False])
def test_resources_of_another_host_are_elsewhere_in_any_case(there: bool) -> None:
    assert ownerships(replace(MACHINE, host=THERE), there=there) == [Ownership.ELSEWHERE]


def test_a_resource_without_a_host_follows_its_lab() -> None:
    old = replace(MACHINE, kind=ResourceKind.VOLUME, host="")
    foreign = replace(MACHINE, host=THERE)
    assert ownerships(old, foreign) == [Ownership.ELSEWHERE] * 2
    assert ownerships(old, replace(foreign, work="/labs/other/.halab"))[0] is Ownership.ORPHANED


def test_a_lab_of_another_host_at_the_same_path_changes_nothing() -> None:
    assert ownerships(MACHINE, replace(MACHINE, host=THERE)) == [Ownership.ORPHANED, Ownership.ELSEWHERE]


def test_a_disk_without_a_label_belongs_to_the_lab_in_its_name() -> None:
    assert ownerships(DEBRIS) == [Ownership.ORPHANED]
    assert ownerships(DEBRIS, MACHINE, there=True)[0] is Ownership.LIVING
    assert ownerships(DEBRIS, MACHINE, there=False)[0] is Ownership.ORPHANED
    assert ownerships(DEBRIS, replace(MACHINE, host=THERE))[0] is Ownership.ELSEWHERE
    assert ownerships(DEBRIS, replace(MACHINE, lab="hb"), there=True)[0] is Ownership.ORPHANED


@pytest.mark.parametrize("kind", [ResourceKind.BASE_DISK, ResourceKind.BOX])
def test_a_copy_of_a_box_belongs_to_no_lab(kind: ResourceKind) -> None:
    assert ownerships(replace(MACHINE, kind=kind, lab="", work=""), there=True) == [Ownership.UNUSED]


THINGS = st.builds(
    Resource,
    st.sampled_from(Holder), st.sampled_from(ResourceKind),
    st.just("name"), st.text(max_size=3), st.sampled_from(["a", "b"]),
    st.sampled_from(["", "/one", "/two"]), st.sampled_from(["", HERE, THERE]),
)  # fmt: skip


@given(st.lists(THINGS, max_size=8), st.sets(st.sampled_from(["/one", "/two"])))
def test_nothing_of_a_living_lab_or_of_another_host_is_ever_orphaned(
    resources: list[Resource], folders: set[str]
) -> None:
    owned = determine_ownership(resources, here=HERE, is_there=lambda work: work in ("", *folders))
    assert [item.resource for item in owned] == resources
    for item in owned:
        if item.ownership is Ownership.ORPHANED:
            assert item.resource.host in ("", HERE)
            assert item.resource.work not in folders
        # halab never writes a label without a work folder
        if not item.resource.work and not item.resource.is_debris:
            assert item.ownership is not Ownership.ORPHANED
