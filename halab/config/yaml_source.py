"""Parse YAML text into plain values, with the line of every value.

Plain words follow YAML 1.2: `on`, `yes`, `1:30` and dates are text, `010` is ten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from halab.errors import Problem

Path = tuple[str | int, ...]

# Files that people write are far below both limits. Anything above is a mistake or an attack.
_MAXIMUM_CHARACTERS = 1_000_000
_MAXIMUM_DEPTH = 50

_PREFIX = "tag:yaml.org,2002:"
_WORDS = {"true": True, "false": False}

# Messages of PyYAML, in plain words.
_IN_PLAIN_WORDS = {
    "found character '\\t' that cannot start any token": "a tab cannot indent: use spaces",
    "mapping values are not allowed here": "a ':' in the wrong place: text that contains a ':' needs quotes",
    "could not find expected ':'": "a name without a ':' after it",
    "expected <block end>, but found '<block mapping start>'": "indented differently from the lines before",
    "expected <block end>, but found '<block sequence start>'": "indented differently from the lines before",
    "expected the node content, but found '<stream end>'": "the file ends inside a list or a mapping",
    "but found another document": "a second document begins here: a file may contain only one",
}


class Mapping(dict[str, Any]):
    """A mapping with its path in the file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


@dataclass
class YamlSource:
    """A parsed file: its value, and the line and the text of every part by its path.

    `moved` are paths of values that were moved after the file was parsed, and where the file has them.
    """

    name: str
    value: Any = field(default_factory=lambda: Mapping(()))
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    moved: dict[Path, Path] = field(default_factory=dict)

    def move(self, written: Path, path: Path) -> None:
        """Report problems of what is now at `path` where the file has it: at `written`."""
        self.moved[path] = written
        for place in [place for place in self.lines if place[: len(written)] == written]:
            below = (*path, *place[len(written) :])
            self.lines[below] = self.lines[place]
            if place in self.texts:
                self.texts[below] = self.texts[place]

    def written(self, path: Path) -> Path:
        """Where the file has the value at a path."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.moved:
                return (*self.moved[path[:length]], *path[length:])
        return path

    def add_problem(self, path: Path, what: str) -> None:
        self.problems.append(self.problem(path, what))

    def problem(self, path: Path, what: str) -> Problem:
        """A problem at a path, which may be missing in the file."""
        return Problem(self.name, self.line_of(path), path_text(self.written(path)), what)

    def line_of(self, path: Path) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def path_text(path: Path) -> str:
    """A path as text: `steps[2].expect.ok`. Items of a list count from one, as in reports."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def parse(text: str, name: str) -> YamlSource:
    """Read YAML. What is wrong is in `problems` of the source. An empty file is an empty mapping."""
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
        message = error.problem or error.context or "cannot be read"
        what = f"malformed YAML: {_IN_PLAIN_WORDS.get(message, message)}"
        source.problems.append(Problem(name, mark.line + 1 if mark else 1, "", what))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"a character that YAML does not allow: {chr(int(error.character))}"
        source.problems.append(Problem(name, line, "", what))
    except (ValueError, OverflowError):
        # PyYAML passes the number of an escape to `chr` unchecked
        line = loader.line + 1 if loader else 1
        source.problems.append(Problem(name, line, "", "an escape (\\U…) that is not a character"))
    else:
        if node is not None and not (isinstance(node, yaml.ScalarNode) and node.value == ""):
            source.value = _Reading(source).value(node, ())
    return source


class _Loader(yaml.SafeLoader):
    """Composes nodes only: it constructs no objects that a file could name."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        refused = ""
        if self.check_event(yaml.AliasEvent):
            # a few nested aliases can expand to gigabytes
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
    """Turns nodes into values, and records lines and texts."""

    def __init__(self, source: YamlSource) -> None:
        self._source = source

    def value(self, node: yaml.Node, path: Path) -> Any:
        # the line of an item of a mapping is the line of its name
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
                    Problem(self._source.name, line, path_text(path), "a name should be text")
                )
                continue
            self._join_surrogates(key, path)
            there = (*path, key.value)
            if key.value in mapping:
                first = self._source.lines[there]
                what = f"already set on line {first}"
                self._source.problems.append(Problem(self._source.name, line, path_text(there), what))
                continue
            self._source.lines[there] = line
            mapping[key.value] = self.value(item, there)
        return mapping

    def _join_surrogates(self, node: yaml.ScalarNode, path: Path) -> None:
        """JSON writes some characters as two escapes. Half of such a pair is not a character and cannot be saved."""
        try:
            node.value = node.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            line = node.start_mark.line + 1
            half = next(character for character in node.value if "\ud800" <= character <= "\udfff")
            what = f"\\u{ord(half):04x} is half of a character: write the character itself"
            self._source.problems.append(Problem(self._source.name, line, path_text(path), what))
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
