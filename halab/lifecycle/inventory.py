"""All that labs have on this host and at its providers, and the removal of what no living lab has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from halab.errors import HalabError, HostProblem
from halab.lifecycle.ownership import Judged, Standing, judge
from halab.machines.docker.engine import Engine
from halab.machines.host import allocation, identity, inventory
from halab.machines.inventory import Belonging, Holder, Keeper, Kind
from halab.machines.libvirt.hypervisor import Hypervisor

# An engine that hangs must not keep the other provider's from being seen.
_ENGINE_SECONDS = 60
_ORDER = list(Kind)


@dataclass(frozen=True)
class Inventory:
    """What was found, and which providers did not answer, and why."""

    found: tuple[Judged, ...]
    silent: dict[Holder, HostProblem]

    @property
    def orphaned(self) -> list[Belonging]:
        """In the order in which it is to be removed."""
        wanted = [each.belonging for each in self.found if each.standing is Standing.ORPHANED]
        return sorted(wanted, key=lambda each: _ORDER.index(each.kind))

    @property
    def is_blind(self) -> bool:
        """Whether no provider answers."""
        return {Holder.DOCKER, Holder.LIBVIRT} <= self.silent.keys()


@dataclass(frozen=True)
class Removal:
    """What became of one belonging; `problem` is why it is there still, `spared` that its lab came back meanwhile."""

    belonging: Belonging
    problem: HalabError | None = None
    spared: bool = False


def look() -> Inventory:
    found: list[Belonging] = []
    silent: dict[Holder, HostProblem] = {}
    for holder in (Holder.DOCKER, Holder.LIBVIRT):
        try:
            found += keeper(holder).belongings()
        except HostProblem as error:
            silent[holder] = error
    here = identity.of_this_host()
    works = {each.work: each.lab for each in found if each.work and each.host in ("", here)}
    found += inventory.read(works)
    judged = judge(found, here=here, is_there=inventory.is_there)
    judged.sort(key=lambda each: _place(each.belonging))
    return Inventory(tuple(judged), silent)


def remove(orphaned: Iterable[Belonging]) -> Iterator[Removal]:
    """Remove one after another; what cannot be removed keeps nothing else from it."""
    keepers: dict[Holder, Keeper] = {}
    for each in orphaned:
        if _has_come_back(each):
            yield Removal(each, spared=True)
            continue
        try:
            if each.kind is Kind.ALLOCATION:
                allocation.release(Path(each.key))
            else:
                if each.holder not in keepers:
                    keepers[each.holder] = keeper(each.holder)
                keepers[each.holder].discard_belonging(each)
            yield Removal(each)
        except HalabError as error:
            yield Removal(each, error)


def keeper(holder: Holder) -> Keeper:
    return Engine(timeout_seconds=_ENGINE_SECONDS) if holder is Holder.DOCKER else Hypervisor()


def _has_come_back(belonging: Belonging) -> bool:
    """Whether somebody has brought the lab up since we looked: people take their time to say yes."""
    if not belonging.is_debris:
        return inventory.is_there(belonging.work)
    return any(
        each.name == belonging.lab and inventory.is_there(str(each.work)) for each in allocation.held()
    )


def _place(belonging: Belonging) -> tuple[str, str, int, str]:
    return belonging.lab, belonging.work, _ORDER.index(belonging.kind), belonging.name
