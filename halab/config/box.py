"""The recipe of a box, `boxes/*.yml`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from halab import data
from halab.config.lab import ProviderKind
from halab.config.loading import Model, load
from halab.errors import BadUsage

Word = Annotated[str, Field(pattern=r"^[a-z0-9][A-Za-z0-9@.+_-]*$")]


def _gibibytes(value: Any) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,3})G", value) if isinstance(value, str) else None
    if not match:
        raise ValueError("should be a size such as 20G")
    return int(match[1])


Disk = Annotated[int, BeforeValidator(_gibibytes), Field(ge=4)]


class Container(Model):
    """Only for containers."""

    mask: tuple[Word, ...] = ()


class VirtualMachine(Model):
    """Only for virtual machines, in addition to a kernel. `disk` is in gibibytes."""

    disk: Disk = 20
    packages: tuple[Word, ...] = ()
    enable: tuple[Word, ...] = ()


class Recipe(Model):
    """A box: its packages, and the services that its machines start with."""

    suite: Word
    packages: tuple[Word, ...]
    enable: tuple[Word, ...] = ()
    disable: tuple[Word, ...] = ()
    mask: tuple[Word, ...] = ()
    docker: Container = Container()
    libvirt: VirtualMachine = VirtualMachine()

    def for_provider(self, provider: ProviderKind) -> Recipe:
        """The recipe with the parts for one provider merged in."""
        if provider is ProviderKind.LIBVIRT:
            merged = {
                "packages": (*self.packages, *self.libvirt.packages),
                "enable": (*self.enable, *self.libvirt.enable),
            }
        else:
            merged = {"mask": (*self.mask, *self.docker.mask)}
        return self.model_copy(update=merged)


def recipe(name: str) -> Recipe:
    """The recipe of a box by its name. Raises BadUsage if there is none."""
    if name not in names():
        raise BadUsage(f"no such box: {name}", hint=f"halab builds {', '.join(names())}")
    return load(data.boxes() / f"{name}.yml", Recipe)


def names() -> list[str]:
    return data.box_names()
