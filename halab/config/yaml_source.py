"""YAML text as plain values that remember the lines they stand on.

The rules for plain words are those of YAML 1.2: `on`, `yes`, `1:30` and dates are text, `010` is ten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from halab.errors import Problem

Path = tuple[str | int, ...]

# A file that a person wrote is far below both; what is above was not meant for us, or means harm.
_MAXIMUM_CHARACTERS = 1_000_000
_MAXIMUM_DEPTH = 50

_PREFIX = "tag:yaml.org,2002:"
_WORDS = {"true": True, "false": False}

# What PyYAML says, and what a person would.
_IN_PLAIN_WORDS = {
    "found character '\\t' that cannot start any token": "a tab cannot indent: use spaces",
    "mapping values are not allowed here": "a ':' in the wrong place: text that contains a ':' needs quotes",
    "could not find expected ':'": "a name without a ':' after it",
    "expected <block end>, but found '<block mapping start>'": "indented differently from the lines before",
    "expected <block end>, but found '<block sequence start>'": "indented differently from the lines before",
    "but found another document": "a second document begins here: a file must hold one",
}


class Mapping(dict[str, Any]):
    """A mapping that knows where in the file it stands."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


@dataclass
class YamlSource:
    """A parsed file: its value, and the line and the text of everything in it by path."""

    name: str
    value: Any = field(default_factory=lambda: Mapping(()))
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add_problem(self, path: Path, what: str) -> None:
        self.problems.append(self.problem(path, what))

    def problem(self, path: Path, what: str) -> Problem:
        """A problem of what stands at a path, or would if it were there."""
        return Problem(self.name, self.line_of(path), spelled(path), what)

    def line_of(self, path: Path) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def spelled(path: Path) -> str:
    """`steps[2].expect.ok`: items of a list are counted from one, as people and reports do."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse(text: str, name: str) -> YamlSource:
    """Read YAML; what is wrong with it is among the source's problems. An empty file is an empty mapping."""
    source = YamlSource(name)
    if len(text) > _MAXIMUM_CHARACTERS:
        source.problems.append(Problem(name, 1, "", f"larger than {_MAXIMUM_CHARACTERS // 1_000_000} MB"))
        return source
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or error.context or "cannot be read"
        what = f"malformed YAML: {_IN_PLAIN_WORDS.get(said, said)}"
        source.problems.append(Problem(name, mark.line + 1 if mark else 1, "", what))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"a character that YAML does not allow: {chr(int(error.character))}"
        source.problems.append(Problem(name, line, "", what))
    except (ValueError, OverflowError):
        # PyYAML hands the number of an escape to `chr` as it is
        line = loader.line + 1 if loader else 1
        source.problems.append(Problem(name, line, "", "an escape (\\U…) that is not a character"))
    else:
        if node is not None and not (isinstance(node, yaml.ScalarNode) and node.value == ""):
            source.value = _Reading(source).value(node, ())
    return source


class _Loader(yaml.SafeLoader):
    """Composes nodes only, so nothing is constructed that a file names."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        refused = ""
        if self.check_event(yaml.AliasEvent):
            # a few aliases of aliases would be gigabytes
            refused = "an alias (*): write the value out"
        elif self._depth >= _MAXIMUM_DEPTH:
            refused = "nested too deeply"
        if refused:
            raise yaml.MarkedYAMLError(problem=refused, problem_mark=event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"{_PREFIX}{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class _Reading:
    """Nodes to values; lines and texts are noted on the way."""

    def __init__(self, source: YamlSource) -> None:
        self._source = source

    def value(self, node: yaml.Node, path: Path) -> Any:
        # an item of a mapping stands where its name does
        self._source.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_PREFIX}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_PREFIX}seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            self._join_surrogates(node, path)
            self._source.texts[path] = node.value
            return self._scalar(node, path)
        self._source.add_problem(path, f"has a YAML tag, which halab does not support: {node.tag}")
        return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Mapping:
        mapping = Mapping(path)
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or not key.value:
                self._source.problems.append(
                    Problem(self._source.name, line, spelled(path), "a name should be text")
                )
                continue
            self._join_surrogates(key, path)
            there = (*path, key.value)
            if key.value in mapping:
                first = self._source.lines[there]
                what = f"already set on line {first}"
                self._source.problems.append(Problem(self._source.name, line, spelled(there), what))
                continue
            self._source.lines[there] = line
            mapping[key.value] = self.value(item, there)
        return mapping

    def _join_surrogates(self, node: yaml.ScalarNode, path: Path) -> None:
        """JSON writes one character as two escapes; half of one is no character, and can be written to no file."""
        try:
            node.value = node.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            line = node.start_mark.line + 1
            half = next(each for each in node.value if "\ud800" <= each <= "\udfff")
            what = f"\\u{ord(half):04x} is half of a character: write the character itself"
            self._source.problems.append(Problem(self._source.name, line, spelled(path), what))
            node.value = node.value.encode("ascii", "backslashreplace").decode()

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind, text = node.tag.removeprefix(_PREFIX), node.value
        if kind == "str":
            return text
        if kind == "null":
            return None
        try:
            if kind == "bool":
                return _WORDS[text.lower()]
            if kind == "int":
                return int(text, 0 if text[:2] in ("0x", "0o") else 10)
            if kind == "float":
                return float(text)
        except (ValueError, KeyError):
            self._source.add_problem(path, f"is tagged as {kind}, but is not one: {text}")
            return None
        self._source.add_problem(path, f"has a YAML tag, which halab does not support: {node.tag}")
        return None
