"""Variants of a lab file: the same text with other values of some settings, for comparisons and matrices."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from halab.config import yaml_text
from halab.errors import BadUsage

_EXAMPLE = "write SETTING=VALUE,VALUE, for example `--set load_balancer.kind=haproxy,nginx`"
# More labs than anybody waits for.
_MOST_VARIANTS = 20
# A folder's name can have 255 bytes, and the name of a lab may get a number.
_NAME_CHARACTERS = 200
# Linux refuses to look for a longer name or path, with that of the folder: values such as lists of ciphers are longer.
_NAME_BYTES, _PATH_BYTES = 255, 2000
_TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Axis:
    """One setting, as its path in the lab file, and the values that are compared."""

    path: tuple[str, ...]
    values: tuple[yaml.Node, ...]

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The values as people write them."""
        return tuple(map(_shown, self.values))


@dataclass(frozen=True)
class Variant:
    """One lab: its name, which is also the name of its folder, its values by setting, and its lab file."""

    name: str
    values: Mapping[str, str]
    text: str

    @property
    def settings(self) -> str:
        """Its settings as people write them."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


def axis(written: str) -> Axis:
    """Read `SETTING=VALUE,VALUE`. The values are YAML, as in the lab file. Raises BadUsage."""
    name, sign, values = written.partition("=")
    path = tuple(name.strip().split("."))
    if not sign or not all(path):
        raise BadUsage(f"not a setting with values: {written}", hint=_EXAMPLE)
    try:
        node = yaml.compose(f"[{values}]", Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise BadUsage(f"the values of {name} are not YAML: {values}", hint=_EXAMPLE) from error
    items = tuple(node.value) if isinstance(node, yaml.SequenceNode) else ()
    if len(items) < 2:
        raise BadUsage(f"{name} needs two or more values to compare: {values or 'none'}", hint=_EXAMPLE)
    return Axis(path, items)


def axis_of(name: str, values: Sequence[Any]) -> Axis:
    """An axis with plain values, as a YAML file has them. `name` is the path of the setting, with dots."""
    node = yaml.compose(yaml_text.dump(list(values)), Loader=yaml.SafeLoader)
    return Axis(tuple(name.split(".")), tuple(node.value) if isinstance(node, yaml.SequenceNode) else ())


def fixed(path: str, value: str) -> Axis:
    """A setting with one text as its only value."""
    return Axis(tuple(path.split(".")), (yaml.ScalarNode(_TEXT, value, style='"'),))


def variants(text: str, axes: Sequence[Axis], *, most: int = _MOST_VARIANTS) -> list[Variant]:
    """Every combination of the values, in the order in which they were written. `text` is a valid lab file.

    The labs have names of their own, so that they can exist beside the lab of the file. Raises BadUsage, also if there
    are more than `most` combinations.
    """
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise BadUsage("a setting is given twice", hint="write all its values in one --set")
    count = math.prod(len(axis.values) for axis in axes)
    if count > most:
        raise BadUsage(f"{count} combinations are more than {most}", hint="use fewer values")
    root = _root(text)
    result: list[Variant] = []
    taken: set[str] = set()
    texts: set[str] = set()
    for places in itertools.product(*(range(len(axis.values)) for axis in axes)):
        values = {axis.name: axis.shown[place] for axis, place in zip(axes, places, strict=True)}
        written = _written(
            root, [(axis.path, axis.values[place]) for axis, place in zip(axes, places, strict=True)]
        )
        if written in texts:
            raise BadUsage("two of the labs are the same", hint="write every value once")
        # other values may differ only in characters that a name does not have
        name = next(name for name in _numbered(_name(values.values())) if name not in taken)
        result.append(Variant(name, values, written))
        taken.add(name)
        texts.add(written)
    return result


def own_files(text: str) -> Iterator[Path]:
    """The relative paths that a lab file may name: its values that could be paths."""
    for value in _texts(_root(text)):
        path = Path(value)
        if value and not path.is_absolute() and "\0" not in value and not _is_too_long(path):
            yield path


def _is_too_long(path: Path) -> bool:
    """True for a text that cannot be a path."""
    sizes = [len(name.encode(errors="replace")) for name in path.parts]
    return max(sizes, default=0) > _NAME_BYTES or sum(sizes) + len(sizes) > _PATH_BYTES


def _written(root: yaml.MappingNode, settings: Sequence[tuple[Sequence[str], yaml.Node]]) -> str:
    """The text of a lab file with these settings."""
    changed = copy.deepcopy(root)
    _set(changed, ("name",), yaml.ScalarNode(_TEXT, "auto"))
    for path, value in settings:
        # a later setting may be below this one
        _set(changed, path, copy.deepcopy(value))
    return yaml.serialize(changed, allow_unicode=True)


def _name(shown: Iterable[str]) -> str:
    """The name of a lab from its values; `lab` without any."""
    words = (re.sub(r"[^A-Za-z0-9.]+", "-", value).strip("-.") or "empty" for value in shown)
    return "-".join(words)[:_NAME_CHARACTERS].rstrip("-.") or "lab"


def _numbered(name: str) -> Iterator[str]:
    """`name`, `name-2`, `name-3`, …"""
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


def _root(text: str) -> yaml.MappingNode:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return node if isinstance(node, yaml.MappingNode) else yaml.MappingNode("tag:yaml.org,2002:map", [])


def _set(node: yaml.MappingNode, path: Sequence[str], value: yaml.Node) -> None:
    """Set a value in a mapping. Mappings on the way are made, and replace what is no mapping."""
    name, *rest = path
    entries = {key.value: (number, old) for number, (key, old) in enumerate(node.value)}
    number, old = entries.get(name, (len(node.value), None))
    if rest:
        inner = old if isinstance(old, yaml.MappingNode) else yaml.MappingNode("tag:yaml.org,2002:map", [])
        _set(inner, rest, value)
        value = inner
    node.value[number : number + 1] = [(yaml.ScalarNode(_TEXT, name), value)]


def _shown(node: yaml.Node) -> str:
    """A value as one line: `nginx`, `{kind: nginx}`."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    return str(yaml.serialize(_flow(node), allow_unicode=True, width=10_000)).strip()


def _flow(node: yaml.Node) -> yaml.Node:
    if isinstance(node, yaml.CollectionNode):
        node.flow_style = True
    return node


def _texts(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.ScalarNode):
        yield node.value
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _texts(item)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _texts(value)
