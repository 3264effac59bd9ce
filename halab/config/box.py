"""What people write in `boxes/*.yml`: the recipe of a base box."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from halab import data
from halab.config.loading import Model, load
from halab.errors import BadUsage

Word = Annotated[str, Field(pattern=r"^[a-z0-9][A-Za-z0-9@.+_-]*$")]


class Recipe(Model):
    """A base box: what is installed, and which services its machines start with."""

    suite: Word
    packages: tuple[Word, ...]
    enable: tuple[Word, ...] = ()
    disable: tuple[Word, ...] = ()
    mask: tuple[Word, ...] = ()


def recipe(name: str) -> Recipe:
    """The recipe of a box by its name; BadUsage where halab has none of that name."""
    path = data.boxes() / f"{name}.yml"
    if not path.is_file():
        known = ", ".join(names())
        raise BadUsage(f"no such box: {name}", hint=f"halab builds {known}")
    return load(path, Recipe)


def names() -> list[str]:
    return sorted(path.stem for path in data.boxes().glob("*.yml"))
