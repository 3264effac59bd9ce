"""Variants of a lab file: the same text with other values of some settings, for `halab compare`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from halab.errors import BadUsage

_EXAMPLE = "write SETTING=VALUE,VALUE, for example `--set load_balancer.kind=haproxy,nginx`"
# More labs than anybody waits for.
_MOST_VARIANTS = 20
_TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Axis:
    """One setting, as its path in the lab file, and the values that are compared."""

    path: tuple[str, ...]
    values: tuple[yaml.Node, ...]

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class Variant:
    """One lab: its name, which is also the name of its folder, its settings as people write them, and its lab file."""

    name: str
    settings: str
    text: str


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


def fixed(path: str, value: str) -> Axis:
    """A setting with one text as its only value."""
    return Axis(tuple(path.split(".")), (yaml.ScalarNode(_TEXT, value, style='"'),))


def variants(text: str, axes: Sequence[Axis]) -> list[Variant]:
    """Every combination of the values, in the order in which they were written. `text` is a valid lab file.

    The labs have names of their own, so that they can exist beside the lab of the file. Raises BadUsage.
    """
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise BadUsage("a setting is given twice", hint="write all its values in one --set")
    combinations = list(itertools.product(*(axis.values for axis in axes)))
    if len(combinations) > _MOST_VARIANTS:
        raise BadUsage(
            f"{len(combinations)} combinations are more than {_MOST_VARIANTS}", hint="compare fewer values"
        )
    result: list[Variant] = []
    for values in combinations:
        variant = _variant(text, axes, values)
        if any(variant.text == other.text for other in result):
            raise BadUsage("two of the labs to compare are the same", hint="write every value once")
        taken = {other.name for other in result}
        # other values may differ only in characters that a name does not have
        name = next(name for name in _numbered(variant.name) if name not in taken)
        result.append(replace(variant, name=name))
    return result


def own_files(text: str) -> Iterator[Path]:
    """The relative paths that a lab file may name: its values that could be paths."""
    for value in _texts(_root(text)):
        path = Path(value)
        if value and not path.is_absolute() and "\0" not in value:
            yield path


def _variant(text: str, axes: Sequence[Axis], values: Sequence[yaml.Node]) -> Variant:
    root = _root(text)
    _set(root, ("name",), yaml.ScalarNode(_TEXT, "auto"))
    shown = [_shown(value) for value in values]
    for axis, value in zip(axes, values, strict=True):
        _set(root, axis.path, value)
    folder = "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", value).strip("-.") or "empty" for value in shown)
    settings = ", ".join(f"{axis.name}={value}" for axis, value in zip(axes, shown, strict=True))
    return Variant(folder, settings, yaml.serialize(root, allow_unicode=True))


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
