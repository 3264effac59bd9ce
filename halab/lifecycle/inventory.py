"""Everything that labs own on this host and at its providers, and the removal of orphaned resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from halab.errors import HalabError, HostProblem
from halab.lifecycle.ownership import OwnedResource, Ownership, determine_ownership
from halab.machines import vagrant_boxes
from halab.machines.docker.engine import Engine
from halab.machines.host import allocation, identity, inventory
from halab.machines.inventory import BOX_COPIES, Holder, Resource, ResourceKind, ResourceOwner
from halab.machines.libvirt.hypervisor import Hypervisor

# A docker engine that hangs must not hide the resources of libvirt.
_ENGINE_SECONDS = 60
# Who is asked for resources, besides this host.
OWNERS: dict[Holder, Callable[[], ResourceOwner]] = {
    Holder.DOCKER: lambda: Engine(timeout_seconds=_ENGINE_SECONDS),
    Holder.LIBVIRT: Hypervisor,
}
_ORDER = list(ResourceKind)


@dataclass(frozen=True)
class Inventory:
    """The resources of all labs. `silent` are the providers that did not answer, with their errors."""

    resources: tuple[OwnedResource, ...]
    silent: dict[Holder, HostProblem]

    @property
    def orphaned(self) -> list[Resource]:
        """Orphaned resources in the order of their removal."""
        return self._in_order(Ownership.ORPHANED)

    @property
    def unused(self) -> list[Resource]:
        """Copies of boxes that no lab uses, in the order of their removal."""
        return self._in_order(Ownership.UNUSED)

    def _in_order(self, ownership: Ownership) -> list[Resource]:
        chosen = [owned.resource for owned in self.resources if owned.ownership is ownership]
        return sorted(chosen, key=lambda resource: _ORDER.index(resource.kind))

    @property
    def is_blind(self) -> bool:
        """True if no provider answers."""
        return OWNERS.keys() <= self.silent.keys()


@dataclass(frozen=True)
class Removal:
    """The result for one resource. `problem` is why it was not removed; `spared` means that its lab is up again."""

    resource: Resource
    problem: HalabError | None = None
    spared: bool = False


def read_inventory() -> Inventory:
    """Ask all providers and this host for the resources of all labs, and for copies of boxes that no lab uses."""
    resources: list[Resource] = []
    silent: dict[Holder, HostProblem] = {}
    for holder in OWNERS:
        try:
            resources += owner_of(holder).resources()
        except HostProblem as error:
            silent[holder] = error
    here = identity.of_this_host()
    works = {
        resource.work: resource.lab
        for resource in resources
        if resource.work and resource.host in ("", here)
    }
    resources += inventory.read(works)
    resources += vagrant_boxes.unused()
    owned = determine_ownership(resources, here=here, is_there=inventory.is_there)
    owned.sort(key=lambda each: _sort_key(each.resource))
    return Inventory(tuple(owned), silent)


def remove(orphaned: Iterable[Resource]) -> Iterator[Removal]:
    """Remove resources one after another. A failed removal does not stop the others."""
    owners: dict[Holder, ResourceOwner] = {}
    for resource in orphaned:
        if _is_used_again(resource):
            yield Removal(resource, spared=True)
            continue
        try:
            if resource.kind is ResourceKind.ALLOCATION:
                allocation.release(Path(resource.key))
            elif resource.kind is ResourceKind.BOX:
                vagrant_boxes.remove(resource)
            else:
                if resource.holder not in owners:
                    owners[resource.holder] = owner_of(resource.holder)
                owners[resource.holder].discard(resource)
            yield Removal(resource)
        except HalabError as error:
            yield Removal(resource, error)


def owner_of(holder: Holder) -> ResourceOwner:
    """The provider that holds resources. Raises HostProblem if it does not answer."""
    return OWNERS[holder]()


def _is_used_again(resource: Resource) -> bool:
    """True if the lab was brought up after the inventory was read: people take their time to confirm."""
    if resource.kind in BOX_COPIES:
        return resource.kind is ResourceKind.BOX and resource.name in vagrant_boxes.used()
    if not resource.is_debris:
        return inventory.is_there(resource.work)
    return any(
        held.name == resource.lab and inventory.is_there(str(held.work)) for held in allocation.held()
    )


def _sort_key(resource: Resource) -> tuple[str, str, int, str]:
    return resource.lab, resource.work, _ORDER.index(resource.kind), resource.name
