"""What a seed decides of a drill: the value of each variable, and which parts are drawn."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice, product
from pathlib import Path
from typing import Any

from halab.config import loading, placeholders, yaml_source
from halab.config.yaml_source import YamlSource

MOST_VARIANTS = 32
# What the drawn parts add to a drill.
_LISTS = ("break", "hints", "solve")
_MAPPINGS = ("tasks", "wrong")
_TEXTS = ("initial_situation", "debrief")


@dataclass(frozen=True)
class Draw:
    """The value of each variable by its name, and the names of the drawn parts in the order of the file."""

    values: Mapping[str, str]
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choices:
    """What a drill file leaves to the seed. A file with problems may leave less: its problems are found later."""

    written: Any

    @classmethod
    def of(cls, path: Path) -> Choices:
        return cls(yaml_source.parse(loading.text_of(path), str(path)).value)

    @cached_property
    def _lists(self) -> dict[str, list[str]]:
        written = _field(self.written, "vars")
        return {
            str(name): [_text(value) for value in values]
            for name, values in (written.items() if isinstance(written, dict) else ())
            if isinstance(values, list) and values
        }

    @property
    def parts(self) -> tuple[str, ...]:
        written = _field(self.written, "parts")
        return tuple(written) if isinstance(written, dict) else ()

    def draw(self, seed: int) -> Draw:
        """What a seed picks."""
        values = {
            name: random.Random(f"{seed} {name}").choice(values) for name, values in self._lists.items()
        }
        most = _field(self.written, "draw")
        if not isinstance(most, int) or not 0 < most < len(self.parts):
            return Draw(values, self.parts)
        chosen = random.Random(f"{seed} parts").sample(self.parts, most)
        return Draw(values, tuple(name for name in self.parts if name in chosen))

    def to_check(self, seed: int) -> Iterator[Draw]:
        """What the seed picks, and then all combinations of values, each with all parts at once."""
        yield self.draw(seed)
        if self._lists or self.parts:
            for values in islice(product(*self._lists.values()), MOST_VARIANTS):
                yield Draw(dict(zip(self._lists, values, strict=True)), self.parts)

    def covering_seeds(self) -> list[int]:
        """The fewest seeds that together draw every part; one seed for a drill without parts."""
        left, seeds = set(self.parts), [0]
        left -= set(self.draw(0).parts)
        while left:
            most = min(len(self.draw(0).parts), len(left))
            seed = next(seed for seed in count(1) if len(left.intersection(self.draw(seed).parts)) == most)
            left -= set(self.draw(seed).parts)
            seeds.append(seed)
        return seeds


def apply(source: YamlSource, draw: Draw) -> Any:
    """The content of a file with what was drawn. `source` learns where the content of the parts was written."""
    filled = _filled(source.value, draw.values)
    parts = _field(filled, "parts")
    if not isinstance(filled, yaml_source.Mapping) or not isinstance(parts, dict):
        return filled
    for name in draw.parts:
        if isinstance(parts[name], dict):
            _add(filled, parts[name], source)
    return filled


def _add(drill: yaml_source.Mapping, part: Mapping[str, Any], source: YamlSource) -> None:
    """Add a part to a drill. What has another form than it should stays in the part, where its problem is found."""
    place = getattr(part, "path", ())
    for field in (*_LISTS, *_MAPPINGS):
        source.lines.setdefault((field,), source.line_of((*place, field)))
    for field in _LISTS:
        added = part.get(field)
        if isinstance(added, list):
            before = _own(drill, field, [])
            for index, item in enumerate(added):
                source.move((*place, field, index), (field, len(before)))
                before.append(item)
    for field in _MAPPINGS:
        added = part.get(field)
        if isinstance(added, dict):
            mapping = _own(drill, field, yaml_source.Mapping((field,)))
            for name, item in added.items():
                if name in mapping:
                    source.add_problem((*place, field, name), f"another part has this name too: {name}")
                source.move((*place, field, name), (field, name))
                mapping[name] = item
    for field in _TEXTS:
        if isinstance(part.get(field), str):
            drill[field] = "\n\n".join(
                text.strip() for text in (drill.get(field), part[field]) if isinstance(text, str)
            )


def _own(drill: yaml_source.Mapping, field: str, empty: Any) -> Any:
    if not isinstance(drill.get(field), type(empty)):
        drill[field] = empty
    return drill[field]


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _filled(value: Any, picked: Mapping[str, str]) -> Any:
    """The content of a file with its variables replaced in all texts, except where they are defined."""
    if isinstance(value, yaml_source.Mapping):
        filled = yaml_source.Mapping(value.path)
        for name, item in value.items():
            filled[name] = item if (*value.path, name) == ("vars",) else _filled(item, picked)
        return filled
    if isinstance(value, list):
        return [_filled(item, picked) for item in value]
    if isinstance(value, str):
        return placeholders.fill_known(value, lambda name, part: None if part else picked.get(name))
    return value
