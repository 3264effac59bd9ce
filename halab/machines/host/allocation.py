"""The networks and providers of the labs on this host: a list in the user's state folder, under a lock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from halab import files
from halab.config.lab import ProviderKind
from halab.config.lab_size import LabSize
from halab.config.remote import Remote
from halab.errors import HostProblem, LabProblem
from halab.machines.host import routes

# It does not overlap with docker (172.16/12, 192.168/16), libvirt (192.168.122/24), kubeadm's Services and the pods.
_POOL = IPv4Network("10.213.0.0/16")
# The networks over which virtual machines are reached by SSH.
_MANAGEMENT_POOL = IPv4Network("10.214.0.0/16")


@dataclass(frozen=True)
class Scaled:
    """The size of a lab that `halab scale` has changed.

    It is kept here and not in the lab file. The file belongs to its user: it has comments, may be in git, and several
    labs may be made from it. Like `auto`, the size is a decision about the lab that exists: it lasts as long as the
    allocation, all commands see it, and after `down` the next lab has the size of the file again.

    `size` is the size with the machines that exist, and with those that join or leave now. `written` is the size that
    the file had at the last scale: if the file changes later, halab cannot know which of both sizes is meant. `target`
    is the size that an incomplete scale goes to.
    """

    size: LabSize
    written: LabSize
    target: LabSize | None = None


@dataclass(frozen=True)
class VersionSince:
    """A version of Kubernetes, and when the lab got it."""

    version: str
    since: datetime


@dataclass(frozen=True)
class Upgraded:
    """The versions of Kubernetes of a lab that `halab upgrade` has changed.

    They are kept here for the reasons why the size is: see Scaled. `built` is the version of the box from which its
    machines start. `written` is the version that the file had at the last upgrade. `history` has the versions that the
    lab got later, also those that it got back with a snapshot, oldest first: it tells which version a snapshot has.
    `target` is the version that an incomplete upgrade goes to, and `machine` the one at which it is.
    """

    built: str
    written: str
    history: tuple[VersionSince, ...] = ()
    target: str | None = None
    machine: str | None = None


@dataclass(frozen=True)
class Allocation:
    """A lab's name, networks and provider, and its work folder. Only virtual machines have `management`.

    `provider` is what `auto` was resolved to: it stays the same as long as the lab exists. `host` is empty if the
    machines are on this host. `scaled` is None for a lab that has the size of its file, and `upgraded` for one that has
    its version of Kubernetes.
    """

    name: str
    network: IPv4Network
    work: Path
    management: IPv4Network | None = None
    host: str = ""
    provider: ProviderKind = ProviderKind.DOCKER
    scaled: Scaled | None = None
    upgraded: Upgraded | None = None

    @property
    def networks(self) -> list[IPv4Network]:
        return [self.network, *([self.management] if self.management else [])]


def held() -> list[Allocation]:
    """All allocations of this user on this host."""
    path = state_folder() / "allocations.json"
    try:
        return [_read(entry) for entry in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise HostProblem(
            f"not a list of allocations: {path}", hint="remove it while no lab is up"
        ) from error


def of(work: Path) -> Allocation | None:
    """The allocation of a work folder; None if it has none."""
    return next((allocation for allocation in held() if allocation.work == work), None)


def allocate(
    name: str,
    wanted: str,
    work: Path,
    *,
    taken: Iterable[IPv4Network],
    provider: ProviderKind = ProviderKind.DOCKER,
    host: str = "",
) -> Allocation:
    """Hold a network for a lab: `wanted`, or for `auto` the first of the pool that nothing on this host uses.

    `taken` are networks that others use (routes, docker, libvirt). Virtual machines get a second network, for SSH. An
    earlier allocation of the work folder is released.
    """
    with _locked():
        others = []
        for other in held():
            if other.work == work:
                continue
            if other.name == name and other.work.exists():
                raise LabProblem(
                    f"another lab on this host is called {name}: {other.work}",
                    hint="give this lab another name in its lab file, or take the other one down",
                )
            if other.work.exists():
                others.append(other)
        used = [*taken, *(network for other in others for network in other.networks)]
        network = _choose(wanted, used)
        has_ssh_network = provider is ProviderKind.LIBVIRT
        management = _first_free(_MANAGEMENT_POOL, [*used, network]) if has_ssh_network else None
        allocation = Allocation(name, network, work, management, host, provider)
        _save([*others, allocation])
        return allocation


def preview(wanted: str, taken: Iterable[IPv4Network]) -> tuple[IPv4Network, IPv4Network]:
    """The networks that `allocate` would choose now: the lab's and the one for SSH. Nothing is held."""
    used = [*taken, *(network for other in held() if other.work.exists() for network in other.networks)]
    network = _choose(wanted, used)
    return network, _first_free(_MANAGEMENT_POOL, [*used, network])


def rescale(work: Path, scaled: Scaled | None) -> None:
    """Record the size of the lab of a work folder. Raises LabProblem if it has no allocation."""
    _change(work, scaled=scaled)


def upgrade(work: Path, upgraded: Upgraded | None) -> None:
    """Record the versions of the lab of a work folder. Raises LabProblem if it has no allocation."""
    _change(work, upgraded=upgraded)


def _change(work: Path, **changes: Any) -> None:
    with _locked():
        allocations = held()
        if not any(allocation.work == work for allocation in allocations):
            raise LabProblem(f"no network is allocated for the lab in {work.parent}", hint="run `halab up`")
        _save(
            [
                replace(allocation, **changes) if allocation.work == work else allocation
                for allocation in allocations
            ]
        )


def release(work: Path) -> None:
    with _locked():
        _save([other for other in held() if other.work != work])


def host_routes(remote: Remote | None = None) -> list[IPv4Network]:
    """The IPv4 networks with a route on this host, or on the lab's host, without the default route."""
    return [route.network for route in (routes.routes_of(remote) if remote else routes.routes())]


def _choose(wanted: str, used: list[IPv4Network]) -> IPv4Network:
    if wanted != "auto":
        network = IPv4Network(wanted)
        for other in used:
            if other.overlaps(network):
                raise HostProblem(
                    f"the network {network} is in use on this host: {other} has a route, or another lab holds it",
                    hint="write `network: auto` in the lab file, or a /24 that is free",
                )
        return network
    return _first_free(_POOL, used)


def _first_free(pool: IPv4Network, used: list[IPv4Network]) -> IPv4Network:
    for network in pool.subnets(new_prefix=24):
        if not any(other.overlaps(network) for other in used):
            return network
    hint = "write a free /24 as `network` in the lab file" if pool == _POOL else "take a lab down"
    raise HostProblem(f"no free /24 in {pool}", hint=hint)


@contextmanager
def _locked() -> Iterator[None]:
    state_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with FileLock(state_folder() / "lock", timeout=30):
            yield
    except Timeout as error:
        raise HostProblem(
            f"another halab process holds the lock: {state_folder() / 'lock'}", hint="try again"
        ) from error


def _read(entry: Mapping[str, Any]) -> Allocation:
    management = IPv4Network(entry["management"]) if entry.get("management") else None
    # the first versions did not write the provider; only virtual machines have a network for SSH
    provider = entry.get("provider") or (ProviderKind.LIBVIRT if management else ProviderKind.DOCKER)
    return Allocation(
        entry["name"],
        IPv4Network(entry["network"]),
        Path(entry["work"]),
        management,
        entry.get("host", ""),
        ProviderKind(provider),
        _read_scaled(entry["scaled"]) if entry.get("scaled") else None,
        _read_upgraded(entry["upgraded"]) if entry.get("upgraded") else None,
    )


def _read_scaled(entry: Mapping[str, Any]) -> Scaled:
    sizes = {name: LabSize(**size) for name, size in entry.items()}
    return Scaled(sizes["size"], sizes["written"], sizes.get("target"))


def _read_upgraded(entry: Mapping[str, Any]) -> Upgraded:
    history = [
        VersionSince(each["version"], datetime.fromisoformat(each["since"])) for each in entry["history"]
    ]
    return Upgraded(**{**entry, "history": tuple(history)})


def _save(allocations: list[Allocation]) -> None:
    entries = [
        {
            "name": allocation.name,
            "network": str(allocation.network),
            "work": str(allocation.work),
            "provider": allocation.provider,
            **({"management": str(allocation.management)} if allocation.management else {}),
            **({"host": allocation.host} if allocation.host else {}),
            **({"scaled": _written_scaled(allocation.scaled)} if allocation.scaled else {}),
            **({"upgraded": _written_upgraded(allocation.upgraded)} if allocation.upgraded else {}),
        }
        for allocation in allocations
    ]
    files.replace(state_folder() / "allocations.json", json.dumps(entries, indent=2) + "\n")


def _written_scaled(scaled: Scaled) -> dict[str, dict[str, int]]:
    return {name: size for name, size in asdict(scaled).items() if size is not None}


def _written_upgraded(upgraded: Upgraded) -> dict[str, Any]:
    history = [{"version": each.version, "since": each.since.isoformat()} for each in upgraded.history]
    return {**asdict(upgraded), "history": history}


def state_folder() -> Path:
    """Where halab keeps what it must know about all labs of this user."""
    return Path(platformdirs.user_state_path("halab"))
