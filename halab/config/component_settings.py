"""What a lab file says about single components: their versions, and the checkouts from which they are built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from halab.config.applied import FileName
from halab.config.component_versions import ComponentVersion, ControlPlanePart
from halab.config.loading import Model

# Enough of a revision or a hash to find it again.
_SHOWN_CHARACTERS = 12


class Components(Model):
    """The versions of components of the control plane."""

    example: ClassVar[str] = "{kube-apiserver: 1.37.1}"

    kube_apiserver: ComponentVersion | None = Field(None, alias=ControlPlanePart.API_SERVER)
    kube_controller_manager: ComponentVersion | None = Field(None, alias=ControlPlanePart.CONTROLLER_MANAGER)
    kube_scheduler: ComponentVersion | None = Field(None, alias=ControlPlanePart.SCHEDULER)

    @property
    def by_name(self) -> dict[str, str]:
        """Component → version, of those that are written."""
        return _written(self)


class Sources(Model):
    """The folders with the source code from which components are built."""

    example: ClassVar[str] = "{etcd: ./etcd}"

    etcd: FileName | None = Field(
        None,
        description="a checkout of etcd, or a folder with its server module only; `kubernetes.etcd` says its version",
    )
    coredns: FileName | None = Field(None, description="a checkout of CoreDNS")
    kube_apiserver: FileName | None = Field(
        None, alias=ControlPlanePart.API_SERVER, description="a checkout of Kubernetes"
    )
    kube_controller_manager: FileName | None = Field(
        None, alias=ControlPlanePart.CONTROLLER_MANAGER, description="a checkout of Kubernetes"
    )
    kube_scheduler: FileName | None = Field(
        None, alias=ControlPlanePart.SCHEDULER, description="a checkout of Kubernetes"
    )

    @property
    def by_name(self) -> dict[str, str]:
        """Component → path as written, of those that are written."""
        return _written(self)


@dataclass(frozen=True)
class SourceState:
    """A checkout as it was built.

    `path` is the path in the lab file. `revision` is the commit, empty for a folder that git does not know. `digest`
    (SHA-256) is that of everything in it that can be built.
    """

    path: str
    revision: str
    is_dirty: bool
    digest: str

    def __str__(self) -> str:
        """`./etcd at 1a2b3c4d5e6f, with changes that are not committed (content 0f1e2d3c4b5a)`."""
        content = self.digest[:_SHOWN_CHARACTERS]
        if not self.revision:
            return f"{self.path}, content {content}"
        changes = f", with changes that are not committed (content {content})" if self.is_dirty else ""
        return f"{self.path} at {self.revision[:_SHOWN_CHARACTERS]}{changes}"


def _written(model: Model) -> dict[str, str]:
    return {str(name): value for name, value in model.model_dump(by_alias=True, exclude_none=True).items()}
