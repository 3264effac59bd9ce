"""Where the etcd members run: on the control planes, or on machines of their own."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from halab.config.loading import Model

# kubeadm and etcd's own guides name three and five; more members make writes slower and tolerate no more in practice.
MOST_MEMBERS = 5
_DEFAULT_MEMBERS = 3


class Topology(StrEnum):
    """kubeadm's names: a member on every control plane, or members on machines of their own."""

    STACKED = "stacked"
    EXTERNAL = "external"


class EtcdSettings(Model):
    """Where etcd runs, and how many members it has if it has machines of its own."""

    example: ClassVar[str] = "{topology: external}"

    topology: Topology = Field(
        Topology.STACKED,
        description="stacked: a member on every control plane; external: on machines of its own, etcd1, etcd2, …",
    )
    members: int | None = Field(
        None,
        ge=1,
        le=MOST_MEMBERS,
        description="external: the number of members, by default 3; 1, 3 or 5",
    )

    @field_validator("members")
    @classmethod
    def _is_possible(cls, value: Any, info: ValidationInfo) -> Any:
        # info.data has no topology if that is invalid itself
        if value is not None and info.data.get("topology", Topology.EXTERNAL) is Topology.STACKED:
            raise ValueError(
                "every control plane of a stacked lab has a member: remove `members`, or write `topology: external`"
            )
        if value is not None and value % 2 == 0:
            raise ValueError(
                f"should be an odd number: etcd needs {value // 2 + 1} of {value} members, so it tolerates no more "
                f"failures than with {value - 1}"
            )
        return value

    @property
    def is_external(self) -> bool:
        return self.topology is Topology.EXTERNAL

    @property
    def machines(self) -> int:
        """How many machines of its own it has."""
        return (self.members or _DEFAULT_MEMBERS) if self.is_external else 0
