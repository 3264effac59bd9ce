"""Determines whether a resource belongs to an existing lab. Pure: the caller tells which work folders exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from halab.machines.inventory import BOX_COPIES, Resource


class Ownership(StrEnum):
    # the work folder of its lab exists on this host
    LIVING = "living"
    # the work folder is gone, so that nobody can use the resource any more
    ORPHANED = "orphaned"
    # created by another host, whose work folders are not visible here
    ELSEWHERE = "elsewhere"
    # a copy of a box that no lab uses now; the next lab with that box would use it
    UNUSED = "unused"


@dataclass(frozen=True)
class OwnedResource:
    resource: Resource
    ownership: Ownership


def determine_ownership(
    resources: Iterable[Resource], *, here: str, is_there: Callable[[str], bool]
) -> list[OwnedResource]:
    """`here` is this host's identity; `is_there` returns True for a work folder that exists.

    A resource whose label names no host belongs to this host, unless another resource of the same lab and work folder
    names another host. A disk without any label belongs to the lab whose name is in the name of the disk.
    """
    resources = list(resources)
    foreign = {(resource.lab, resource.work) for resource in resources if resource.host not in ("", here)}

    def by_label(resource: Resource) -> Ownership:
        if resource.kind in BOX_COPIES:
            return Ownership.UNUSED
        if resource.host != here and (resource.lab, resource.work) in foreign:
            return Ownership.ELSEWHERE
        return Ownership.LIVING if is_there(resource.work) else Ownership.ORPHANED

    labelled = {resource: by_label(resource) for resource in resources if not resource.is_debris}
    of_lab: dict[str, set[Ownership]] = {}
    for resource, ownership in labelled.items():
        of_lab.setdefault(resource.lab, set()).add(ownership)

    def by_lab_name(lab: str) -> Ownership:
        known = of_lab.get(lab, set())
        return next(
            (kind for kind in (Ownership.LIVING, Ownership.ELSEWHERE) if kind in known), Ownership.ORPHANED
        )

    return [
        OwnedResource(resource, labelled.get(resource) or by_lab_name(resource.lab))
        for resource in resources
    ]
