"""Whether what belongs to a lab is still somebody's. Pure: which work folders exist comes in as an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from halab.machines.inventory import Belonging


class Standing(StrEnum):
    # its lab's work folder exists on this host
    LIVING = "living"
    # it does not: nobody can use this any more
    ORPHANED = "orphaned"
    # made by another host, whose folders we cannot see
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Judged:
    belonging: Belonging
    standing: Standing


def judge(found: Iterable[Belonging], *, here: str, is_there: Callable[[str], bool]) -> list[Judged]:
    """`here` is this host's identity, `is_there` whether a work folder exists.

    What says no host is of this one, unless something of the same lab and work folder says another. A disk that says
    nothing belongs to whoever has a lab of the name that it bears.
    """
    all_found = list(found)
    foreign = {(each.lab, each.work) for each in all_found if each.host not in ("", here)}

    def stands(each: Belonging) -> Standing:
        if each.host != here and (each.lab, each.work) in foreign:
            return Standing.ELSEWHERE
        return Standing.LIVING if is_there(each.work) else Standing.ORPHANED

    labelled = {each: stands(each) for each in all_found if not each.is_debris}
    by_name: dict[str, set[Standing]] = {}
    for each, standing in labelled.items():
        by_name.setdefault(each.lab, set()).add(standing)

    def of_that_name(lab: str) -> Standing:
        known = by_name.get(lab, set())
        return next(
            (each for each in (Standing.LIVING, Standing.ELSEWHERE) if each in known), Standing.ORPHANED
        )

    return [Judged(each, labelled.get(each) or of_that_name(each.lab)) for each in all_found]
