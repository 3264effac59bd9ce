"""All that labs have on this host and at its providers, and the removal of what no living lab has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from halab.errors import HalabError, HostProblem
from halab.lifecycle.ownership import OwnedResource, Ownership, judge
from halab.machines.docker.engine import Engine
from halab.machines.host import allocation, identity, inventory
from halab.machines.inventory import Holder, Resource, ResourceKind, ResourceOwner
from halab.machines.libvirt.hypervisor import Hypervisor

# An engine that hangs must not keep the other provider's from being seen.
_ENGINE_SECONDS = 60
_ORDER = list(ResourceKind)


@dataclass(frozen=True)
class Inventory:
    """What was found, and which providers did not answer, and why."""

    found: tuple[OwnedResource, ...]
    silent: dict[Holder, HostProblem]

    @property
    def orphaned(self) -> list[Resource]:
        """In the order in which it is to be removed."""
        wanted = [each.belonging for each in self.found if each.standing is Ownership.ORPHANED]
        return sorted(wanted, key=lambda each: _ORDER.index(each.kind))

    @property
    def is_blind(self) -> bool:
        """Whether no provider answers."""
        return {Holder.DOCKER, Holder.LIBVIRT} <= self.silent.keys()


@dataclass(frozen=True)
class Removal:
    """What became of one belonging; `problem` is why it is there still, `spared` that its lab came back meanwhile."""

    belonging: Resource
    problem: HalabError | None = None
    spared: bool = False


def look() -> Inventory:
    found: list[Resource] = []
    silent: dict[Holder, HostProblem] = {}
    for holder in (Holder.DOCKER, Holder.LIBVIRT):
        try:
            found += keeper(holder).resources()
        except HostProblem as error:
            silent[holder] = error
    here = identity.of_this_host()
    works = {each.work: each.lab for each in found if each.work and each.host in ("", here)}
    found += inventory.read(works)
    judged = judge(found, here=here, is_there=inventory.is_there)
    judged.sort(key=lambda each: _place(each.belonging))
    return Inventory(tuple(judged), silent)


def remove(orphaned: Iterable[Resource]) -> Iterator[Removal]:
    """Remove one after another; what cannot be removed keeps nothing else from it."""
    keepers: dict[Holder, ResourceOwner] = {}
    for each in orphaned:
        if _has_come_back(each):
            yield Removal(each, spared=True)
            continue
        try:
            if each.kind is ResourceKind.ALLOCATION:
                allocation.release(Path(each.key))
            else:
                if each.holder not in keepers:
                    keepers[each.holder] = keeper(each.holder)
                keepers[each.holder].discard(each)
            yield Removal(each)
        except HalabError as error:
            yield Removal(each, error)


def keeper(holder: Holder) -> ResourceOwner:
    return Engine(timeout_seconds=_ENGINE_SECONDS) if holder is Holder.DOCKER else Hypervisor()


def _has_come_back(belonging: Resource) -> bool:
    """Whether somebody has brought the lab up since we looked: people take their time to say yes."""
    if not belonging.is_debris:
        return inventory.is_there(belonging.work)
    return any(
        each.name == belonging.lab and inventory.is_there(str(each.work)) for each in allocation.held()
    )


def _place(belonging: Resource) -> tuple[str, str, int, str]:
    return belonging.lab, belonging.work, _ORDER.index(belonging.kind), belonging.name
