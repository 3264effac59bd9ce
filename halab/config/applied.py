"""What a lab applies beside its own: the user's manifests, images and scripts, and whether halab brings a CNI."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from halab.config.loading import Model
from halab.config.roles import Role
from halab.printable import shortened


def _local(name: str) -> str:
    if "://" in name:
        raise ValueError(
            f"should be the path of a file: download {shortened(name)}, and write where the file is"
        )
    return name


# A path from the folder of the lab file.
FileName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"), AfterValidator(_local)]


class Cni(StrEnum):
    """Who configures the network of the pods."""

    BRIDGE = "bridge"
    NONE = "none"


class When(StrEnum):
    """When a script of the user's own runs: before halab sets up the machine, or after all machines have joined."""

    BEFORE = "before"
    AFTER = "after"


class RoleSetup(Model):
    """The scripts for the machines of one role. A name that ends with `.j2` is a template."""

    example: ClassVar[str] = "{before: cp.sh}"

    before: FileName | None = Field(None, description="a script that runs before halab sets up the machine")
    after: FileName | None = Field(None, description="a script that runs after all machines have joined")


class Setup(Model):
    """The user's own scripts, which run as root on the machines of a role."""

    example: ClassVar[str] = "{cp: {before: cp.sh}}"

    lb: RoleSetup = RoleSetup()
    cp: RoleSetup = RoleSetup()
    etcd: RoleSetup = RoleSetup()
    worker: RoleSetup = RoleSetup()

    def script(self, role: Role, when: When) -> str | None:
        """The name of the script; None if there is none."""
        scripts = {
            Role.LOAD_BALANCER: self.lb,
            Role.CONTROL_PLANE: self.cp,
            Role.ETCD: self.etcd,
            Role.WORKER: self.worker,
        }[role]
        return {When.BEFORE: scripts.before, When.AFTER: scripts.after}[when]

    def scripts(self) -> Iterator[tuple[tuple[str, When], str]]:
        """Where scripts are named in the lab file, below `setup`, and their names."""
        for key, scripts in self:
            for when, name in ((When.BEFORE, scripts.before), (When.AFTER, scripts.after)):
                if name is not None:
                    yield (key, when), name


def without_repetitions(names: tuple[str, ...]) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"{name} is named twice")
    return names
