"""kube-vip, which gives the virtual address to one of the control planes: no machine has a load balancer."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from halab.config import component_versions
from halab.config.loading import Model

# The newest version that Go's module proxy offers.
VERSION = "0.9.1"
_MOST_SECONDS = 600
_Seconds = Annotated[int, Field(ge=1, le=_MOST_SECONDS)]
# client-go waits up to this many periods between two attempts to renew a lease.
_JITTER = 1.2


class LeaseTimes(NamedTuple):
    """The times of the lease that the holder of the address has, in whole seconds, as kube-vip takes them."""

    duration: int
    renew_deadline: int
    retry_period: int


# kube-vip's own, and five times as long for emulated processors.
_USUAL, _EMULATED = LeaseTimes(5, 3, 1), LeaseTimes(25, 15, 5)


class KubeVip(Model):
    """Settings of kube-vip, the same on all control planes."""

    example: ClassVar[str] = "{balancing: true}"

    version: component_versions.ComponentVersion = Field(
        VERSION, description="the version of its Go module, without a leading v"
    )
    balancing: bool = Field(
        False,
        description="true: the holder of the address spreads connections over all API servers with the kernel's IPVS "
        "(`lb_enable`); false: its own API server gets all of them",
    )
    lease_duration: _Seconds | None = Field(
        None,
        description=f"seconds after which the lease of a silent holder is free, by default {_USUAL.duration}",
    )
    renew_deadline: _Seconds | None = Field(
        None,
        description="seconds after which a holder that cannot renew its lease gives the address up, by default "
        f"{_USUAL.renew_deadline}",
    )
    retry_period: _Seconds | None = Field(
        None,
        description="seconds between two attempts to get or to renew the lease, by default "
        f"{_USUAL.retry_period}",
    )

    @property
    def image(self) -> str:
        """The full name of its image, as its own manifests have it."""
        return f"ghcr.io/kube-vip/kube-vip:v{self.version}"

    def times(self, *, is_emulated: bool = False) -> LeaseTimes:
        """The times of the lease. If processors are emulated and none is set, the defaults are longer."""
        is_set = self.lease_duration or self.renew_deadline or self.retry_period
        usual = _EMULATED if is_emulated and not is_set else _USUAL
        return LeaseTimes(
            self.lease_duration or usual.duration,
            self.renew_deadline or usual.renew_deadline,
            self.retry_period or usual.retry_period,
        )

    def disorder(self) -> tuple[str, str] | None:
        """The setting with which kube-vip would not start, and why; None if it would."""
        times = self.times()
        if times.duration <= times.renew_deadline:
            longer = f"should be longer than renew_deadline, {times.renew_deadline}"
            return "lease_duration", f"{longer}, not {times.duration}"
        if times.renew_deadline <= times.retry_period * _JITTER:
            longer = f"should be longer than {_JITTER} times retry_period, {times.retry_period}"
            return "renew_deadline", f"{longer}, not {times.renew_deadline}"
        return None
