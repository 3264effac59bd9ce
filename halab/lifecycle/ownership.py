"""Whether what belongs to a lab is still somebody's. Pure: which work folders exist comes in as an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from halab.machines.inventory import Resource


class Ownership(StrEnum):
    # its lab's work folder exists on this host
    LIVING = "living"
    # it does not: nobody can use this any more
    ORPHANED = "orphaned"
    # made by another host, whose folders we cannot see
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class OwnedResource:
    belonging: Resource
    standing: Ownership


def judge(found: Iterable[Resource], *, here: str, is_there: Callable[[str], bool]) -> list[OwnedResource]:
    """`here` is this host's identity, `is_there` whether a work folder exists.

    What says no host is of this one, unless something of the same lab and work folder says another. A disk that says
    nothing belongs to whoever has a lab of the name that it bears.
    """
    all_found = list(found)
    foreign = {(each.lab, each.work) for each in all_found if each.host not in ("", here)}

    def stands(each: Resource) -> Ownership:
        if each.host != here and (each.lab, each.work) in foreign:
            return Ownership.ELSEWHERE
        return Ownership.LIVING if is_there(each.work) else Ownership.ORPHANED

    labelled = {each: stands(each) for each in all_found if not each.is_debris}
    by_name: dict[str, set[Ownership]] = {}
    for each, standing in labelled.items():
        by_name.setdefault(each.lab, set()).add(standing)

    def of_that_name(lab: str) -> Ownership:
        known = by_name.get(lab, set())
        return next(
            (each for each in (Ownership.LIVING, Ownership.ELSEWHERE) if each in known), Ownership.ORPHANED
        )

    return [OwnedResource(each, labelled.get(each) or of_that_name(each.lab)) for each in all_found]
