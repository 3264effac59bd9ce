"""keepalived, which gives the virtual address of two load balancers to one of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from halab.config.loading import Model


class BalancerCheck(StrEnum):
    """What keepalived asks the load balancer on its own machine, which loses the address if the check fails."""

    NONE = "none"
    PROCESS = "process"
    PORT = "port"
    API = "api"


class Vrrp(StrEnum):
    """How the two machines tell each other that they are there."""

    MULTICAST = "multicast"
    UNICAST = "unicast"


class Keepalived(Model):
    """Settings of keepalived, the same on both machines."""

    example: ClassVar[str] = "{check: port}"

    config: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="a configuration of your own, plain or with Jinja: its path from the lab file"
    )
    check: BalancerCheck = Field(
        BalancerCheck.PORT,
        description="the condition for having the address: none (keepalived runs), process (the load balancer "
        "runs), port (it accepts connections), api (it answers /readyz). With `api`, no machine has the address while "
        "no API server is ready; `port` depends on nothing but the machine itself",
    )
    preempt: bool = Field(
        True, description="the address returns to lb1 when lb1 works again; false: it stays where it is"
    )
    vrrp: Vrrp = Field(Vrrp.MULTICAST, description="how the machines reach each other: multicast or unicast")
    router_id: int = Field(
        51,
        ge=1,
        le=255,
        description="the virtual router's id; labs have separate networks, so it may be the same",
    )

    @field_validator("*")
    @classmethod
    def _is_possible(cls, value: Any, info: ValidationInfo) -> Any:
        own = info.data.get("config")
        if own and info.field_name != "config":
            raise ValueError(f"has no effect beside `config`: write it in {own}")
        return value
