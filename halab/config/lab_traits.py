"""The traits of a lab that scenarios may depend on, and the needs and conditions that use them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field

from halab.config import kubernetes
from halab.config.etcd import MOST_MEMBERS, Topology
from halab.config.lab import ProviderKind
from halab.config.load_balancer import Balancer
from halab.config.loading import Model
from halab.config.roles import MOST_BALANCERS
from halab.config.targets import MOST_CONTROL_PLANES, MOST_WORKERS, TargetKind
from halab.printable import shortened

# What a scenario about the virtual address writes.
ADDRESS_NEEDS = f"write `needs: {{balancers: 2}}` or `needs: {{load_balancer: {Balancer.KUBE_VIP}}}`"

# The providers that a lab can have once `auto` is resolved.
ChosenProvider = Literal[ProviderKind.DOCKER, ProviderKind.LIBVIRT]


class Capability(StrEnum):
    """What a provider or a kernel may be able to do. It is probed before a fault uses it."""

    OWN_CLOCK = "own-clock"
    OWN_KERNEL = "own-kernel"
    OWN_DISK = "own-disk"
    SAFE_DISK = "safe-disk"
    NETEM = "netem"
    TBF = "tbf"
    NFT_NUMGEN = "nft-numgen"
    DISK_THROTTLE = "disk-throttle"
    SNAPSHOT = "snapshot"
    ENDPOINT_NAME = "endpoint-name"


@dataclass(frozen=True)
class LabTraits:
    """The traits of a lab. `lacking` gives the known reasons why it lacks capabilities.

    `reports_backends` is false if the load balancer does not know the states of the API servers: NGINX, `check: none`,
    or a configuration of the user's own that does not check all of them.
    """

    kubernetes: str
    provider: ProviderKind
    load_balancer: Balancer
    control_planes: int
    workers: int = 0
    balancers: int = 1
    # the etcd machines; none in a stacked lab
    etcd_machines: int = 0
    capabilities: frozenset[str] = frozenset()
    lacking: Mapping[str, str] = field(default_factory=dict)
    reports_backends: bool = True

    @property
    def in_words(self) -> str:
        """The traits that conditions can compare, in words."""
        etcd = ", etcd on machines of its own" if self.etcd is Topology.EXTERNAL else ""
        return f"Kubernetes {self.kubernetes}{etcd}, {self.provider} and {self.load_balancer}"

    @property
    def etcd(self) -> Topology:
        return Topology.EXTERNAL if self.etcd_machines else Topology.STACKED

    @property
    def members(self) -> int:
        """How many members etcd has."""
        return self.etcd_machines or self.control_planes


def _version_condition(value: Any) -> Any:
    match = re.fullmatch(r"(>=|<=|<|>|==) ?(1\.[0-9]{1,3})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'should compare with a minor, such as ">=1.33", not "{shortened(str(value))}"')
    return value


VersionCondition = Annotated[str, BeforeValidator(_version_condition)]


class Condition(Model):
    """Conditions on the lab; all of them must hold."""

    example: ClassVar[str] = "{load_balancer: haproxy}"

    kubernetes: VersionCondition | None = None
    provider: ChosenProvider | None = None
    load_balancer: Balancer | None = None
    etcd: Topology | None = None

    def fails_in(self, setting: LabTraits) -> list[str]:
        """The conditions that are not met, in words; empty if all are."""
        unmet = []
        if self.kubernetes and not _compares(setting.kubernetes, self.kubernetes):
            unmet.append(f"Kubernetes is {setting.kubernetes}, not {self.kubernetes}")
        if self.provider and self.provider != setting.provider:
            unmet.append(f"the provider is {setting.provider}, not {self.provider}")
        if self.load_balancer and self.load_balancer != setting.load_balancer:
            unmet.append(f"the load balancer is {setting.load_balancer}, not {self.load_balancer}")
        if self.etcd and self.etcd != setting.etcd:
            unmet.append(f"etcd is {setting.etcd}, not {self.etcd}")
        return unmet

    @property
    def versions(self) -> frozenset[str]:
        """The Kubernetes minors known to halab that meet it."""
        known = kubernetes.RELEASES
        return frozenset(
            minor for minor in known if not self.kubernetes or _compares(minor, self.kubernetes)
        )

    def may_hold_with(self, other: Condition) -> bool:
        """True if some lab meets both conditions."""
        for mine, theirs in (
            (self.provider, other.provider),
            (self.load_balancer, other.load_balancer),
            (self.etcd, other.etcd),
        ):
            if mine and theirs and mine != theirs:
                return False
        return bool(self.versions & other.versions)


class Needs(Model):
    """What a lab must have for this scenario. On other labs the scenario is skipped."""

    example: ClassVar[str] = "{control_planes: 3}"

    control_planes: int = Field(1, ge=1, le=MOST_CONTROL_PLANES, description="at least this many")
    workers: int = Field(0, ge=0, le=MOST_WORKERS, description="at least this many")
    members: int = Field(1, ge=1, le=MOST_MEMBERS, description="at least this many etcd members")
    etcd: Topology | None = Field(
        None, description="stacked: on the control planes; external: on machines of its own"
    )
    balancers: int = Field(
        1, ge=1, le=MOST_BALANCERS, description="2: a pair of load balancers with a virtual address"
    )
    kubernetes: VersionCondition | None = None
    provider: ChosenProvider | None = None
    load_balancer: Balancer | None = None
    capabilities: tuple[Capability, ...] = ()

    @property
    def labs(self) -> Iterator[LabTraits]:
        """Yield every kind of lab that meets the needs, over all known minors, providers and load balancers."""
        for version, provider, balancer in product(kubernetes.RELEASES, get_args(ChosenProvider), Balancer):
            external = self.members if self.etcd is Topology.EXTERNAL else 0
            balancers = min(self.balancers, balancer.most_machines)
            lab = LabTraits(
                version, provider, balancer, self.control_planes, self.workers, balancers, external
            )
            if not self.condition.fails_in(lab) and not self._lacks_a_pair(lab):
                yield lab

    @property
    def has_address(self) -> bool:
        """Whether every lab that meets the needs has a virtual address."""
        return self.balancers > 1 or self.holder_kind is TargetKind.CONTROL_PLANE

    @property
    def holder_kind(self) -> TargetKind:
        """The kind of machine that has the virtual address."""
        is_on_control_planes = self.load_balancer is not None and self.load_balancer.has_address
        return TargetKind.CONTROL_PLANE if is_on_control_planes else TargetKind.BALANCER

    @property
    def condition(self) -> Condition:
        """The needs that a condition can express."""
        return Condition(
            kubernetes=self.kubernetes,
            provider=self.provider,
            load_balancer=self.load_balancer,
            etcd=self.etcd,
        )

    def _lacks_a_pair(self, setting: LabTraits) -> bool:
        # one load balancer is no need: a scenario that needs its machine has a step that names the machine
        return self.balancers > 1 and setting.balancers < self.balancers

    def lacking_in(self, setting: LabTraits, capabilities: Iterable[str] = ()) -> list[str]:
        """Why a lab does not meet the needs, in words; empty if it does. `capabilities` are needed in addition."""
        lacking = self.condition.fails_in(setting)
        if setting.control_planes < self.control_planes:
            lacking.append(_too_few(setting.control_planes, self.control_planes, "control plane"))
        if setting.workers < self.workers:
            lacking.append(_too_few(setting.workers, self.workers, "worker"))
        if setting.members < self.members:
            lacking.append(_too_few(setting.members, self.members, "etcd member", "etcd members"))
        if self._lacks_a_pair(setting):
            lacking.append(_too_few(setting.balancers, self.balancers, "load balancer"))
        for name in dict.fromkeys([*self.capabilities, *capabilities]):
            if name not in setting.capabilities:
                why = f": {setting.lacking[name]}" if name in setting.lacking else ""
                lacking.append(f"the lab lacks the capability {name}{why}")
        return lacking


def _compares(version: str, condition: str) -> bool:
    match = re.fullmatch(r"(\D+?) ?(1\.\d+)", condition)
    assert match is not None
    comparison, minimum = match.groups()
    minor = kubernetes.minor_of(version)
    at_least, equal = kubernetes.at_least(minor, minimum), minor == minimum
    return {
        ">=": at_least,
        ">": at_least and not equal,
        "==": equal,
        "<=": not at_least or equal,
        "<": not at_least,
    }[comparison]


def _too_few(given: int, needed: int, what: str, several: str = "") -> str:
    are = "is" if needed == 1 else "are"
    return f"the lab has {given} {what if given == 1 else several or f'{what}s'}, and {needed} {are} needed"
