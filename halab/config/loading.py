"""Read files that people write into frozen models, and report all problems at once, with their lines."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo, model_validator

from halab import files
from halab.config import examples, yaml_source
from halab.config.yaml_source import YamlSource
from halab.errors import BadFile, BadUsage, Problem
from halab.printable import shortened


class Model(BaseModel):
    """The base of all models of files: frozen, and without unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    # Whether null means something in the file. Otherwise it is a value that somebody forgot to write.
    null_removes: ClassVar[bool] = False
    # How its mapping looks, for messages: `{kind: haproxy}`. The first setting is the one that people mean most.
    example: ClassVar[str] = ""

    @classmethod
    def problems_in(cls, value: yaml_source.Mapping) -> Iterable[tuple[yaml_source.Path, str]]:
        """Problems of a mapping that pydantic does not know, as path below the mapping and text."""
        return ()

    @model_validator(mode="before")
    @classmethod
    def _note_reader(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, yaml_source.Mapping) and isinstance(info.context, _Reading):
            info.context.read_by(cls, value)
        return value


M = TypeVar("M", bound=BaseModel)

_NO_VALUE = "has no value: write one, or leave the line out"
_NAMES = {int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Written(Generic[M]):
    """A model together with its source and the bytes of its file, for checks that need the lines."""

    value: M
    source: YamlSource
    content: bytes

    def problem(self, path: yaml_source.Path, what: str) -> Problem:
        return self.source.problem(path, what)


Change = Callable[[YamlSource], Any]


def load(path: Path, model: type[M], *, change: Change = lambda source: source.value) -> M:
    """Read a file. Raises BadFile with all problems in it, or BadUsage if the file cannot be read."""
    return read(path, model, change=change).value


def loads(text: str, name: str, model: type[M]) -> M:
    """Read text. Problems call it `name`."""
    return _validated(text.encode(), text, name, model).value


def read(path: Path, model: type[M], *, change: Change = lambda source: source.value) -> Written[M]:
    """Like `load`, with the lines. `change` returns the value to validate in place of the parsed value."""
    content = content_of(path)
    return _validated(content, _text(content, path), str(path), model, change)


def content_of(path: Path, limit_bytes: int = files.WRITTEN_BYTES) -> bytes:
    """The bytes of a file. Raises BadUsage if it cannot be read."""
    try:
        return files.read(path, limit_bytes)
    except (FileNotFoundError, ValueError) as error:  # ValueError: a NUL byte in its name
        raise BadUsage(f"no such file: {path}") from error
    except OSError as error:
        raise BadUsage(f"cannot read {path}: {error.strerror}") from error


def text_of(path: Path, limit_bytes: int = files.WRITTEN_BYTES) -> str:
    """The text of a file. Raises BadUsage if it cannot be read, or BadFile if it is not text."""
    return _text(content_of(path, limit_bytes), path)


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadFile([Problem(str(path), line, "", "not UTF-8 text")], hint="save it as UTF-8") from error


def is_own_file(name: str) -> bool:
    """True for the path of a user's file (`./mine.yml`), false for the name of something that comes with halab."""
    return name.endswith((".yml", ".yaml")) or "/" in name


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or the list of known names."""
    names = sorted(known)
    return similar(name, names) or (f"; known: {', '.join(names)}" if names else "")


def similar(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing: for messages whose hint names the command that lists the names."""
    close = difflib.get_close_matches(name, sorted(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def listed(names: Iterable[str]) -> str:
    """Names as words of a sentence: `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else str(last)


def _validated(
    content: bytes,
    text: str,
    name: str,
    model: type[M],
    change: Change = lambda source: source.value,
) -> Written[M]:
    source = yaml_source.parse(text, name)
    source.value = change(source)
    reading = _Reading(source)
    value = None
    try:
        value = model.model_validate(source.value, context=reading)
    except ValidationError as error:
        malformed = any(not problem.field for problem in source.problems)
        if not malformed:
            reading.add(error)
    if value is None or source.problems:
        raise BadFile(sorted(source.problems, key=lambda problem: problem.line))
    return Written(value, source, content)


class _Reading:
    """Turns the errors of pydantic into problems in plain words, with lines."""

    def __init__(self, source: YamlSource) -> None:
        self._source = source
        self._readers: dict[yaml_source.Path, type[BaseModel]] = {}
        self._reported = {(problem.line, problem.field) for problem in source.problems}

    def read_by(self, model: type[Model], mapping: yaml_source.Mapping) -> None:
        self._readers[mapping.path] = model
        for below, what in model.problems_in(mapping):
            self._add(self._source.problem((*mapping.path, *below), what))
        for field_name, field in model.model_fields.items():
            name = field.alias or field_name
            if any(isinstance(item, BeforeValidator) for item in field.metadata):
                continue  # has its own notation (`2G`, `1m30s`)
            if name not in mapping:
                continue
            path, value, wanted = (*mapping.path, name), mapping[name], _plain_type(field.annotation)
            if value is None and not model.null_removes:
                # pydantic would accept null for an optional value
                self._add(self._source.problem(path, _NO_VALUE))
            elif value is not None and wanted in _NAMES and not _fits(value, wanted):
                # pydantic would accept true for 1 and "3" for 3, which is never meant
                self._add(self._source.problem(path, self._wrong_value(path, _NAMES[wanted], value)))

    def add(self, error: ValidationError) -> None:
        for detail in error.errors(include_url=False):
            path = self._path(detail["loc"])
            if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
                continue  # pydantic counts only valid entries, and the invalid ones have problems of their own
            if detail["type"] == "missing":
                self._add(self._source.problem((*path, detail["loc"][-1]), "is missing"))
            else:
                self._add(self._source.problem(path, self._what(path, detail)))

    def _add(self, problem: Problem) -> None:
        """Keep one problem for each field: a second one mostly repeats the first."""
        where = (problem.line, problem.field)
        if where not in self._reported:
            self._reported.add(where)
            self._source.problems.append(problem)

    def _path(self, location: tuple[int | str, ...]) -> yaml_source.Path:
        """Pydantic's location without the names of union branches."""
        path: yaml_source.Path = ()
        for part in location:
            if (*path, part) in self._source.lines:
                path = (*path, part)
        return path

    def _what(self, path: yaml_source.Path, error: Mapping[str, Any]) -> str:
        kind, context, value = error["type"], error.get("ctx", {}), error["input"]
        if kind == "extra_forbidden":
            return f"is not known{nearest(str(path[-1]), self._known_beside(path))}"
        if kind == "value_error":
            return str(context["error"])
        if value is None:
            return _NO_VALUE
        if kind == "string_type" and isinstance(value, (int, float)):
            return f'should be text: write "{shortened(str(self._source.texts.get(path, value)))}", with the quotes'
        if kind in ("too_short", "too_long"):
            bound = (
                f"{context['min_length']} or more"
                if kind == "too_short"
                else f"at most {context['max_length']}"
            )
            return f"should have {bound} entries, not {context['actual_length']}"
        if kind == "greater_than_equal" and path[-1] == "memory":
            return self._wrong_value(path, f"{context['ge']}M or more", value)
        if kind in _MAPPING_KINDS:
            return self._wrong_value(path, self._mapping(path, context.get("class_name"), value), value)
        if kind in _LIST_KINDS:
            return self._wrong_value(path, self._list(path, value), value)
        if kind == "enum" and isinstance(value, str):
            names = re.split(", | or ", _EXPECTED[kind](context))
            if len(names) > _MOST_LISTED and isinstance(path[-1], str):
                return f"no such {path[-1]}: {shortened(value)}{nearest(value, names)}"
        if kind in _EXPECTED:
            return self._wrong_value(path, _EXPECTED[kind](context), value)
        return str(error["msg"])

    def _mapping(self, path: yaml_source.Path, name: str | None, value: Any) -> str:
        model = next((model for model in _all_models(Model) if model.__name__ == name), None)
        if model is None or not model.example:
            return "a mapping (name: value)"
        written = (value, self._source.texts.get(path, value))
        return f"a mapping, such as {examples.mapping(model, model.example, written)}"

    def _list(self, path: yaml_source.Path, value: Any) -> str:
        model = self._readers.get(self._source.written(path)[:-1])
        example = examples.list_with(model, str(path[-1]), value) if model and path else ""
        return f"a list, such as {example}" if example else "a list"

    def _known_beside(self, path: yaml_source.Path) -> list[str]:
        model = self._readers.get(self._source.written(path)[:-1])
        return [field.alias or name for name, field in model.model_fields.items()] if model else []

    def _wrong_value(self, path: yaml_source.Path, expected: str, value: Any) -> str:
        return f"should be {expected}, not {_shown(value, self._source.texts.get(path))}"


# The expected value in words, by pydantic's type of error.
_EXPECTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "string_type": lambda context: "text",
    "string_pattern_mismatch": lambda context: f"text that matches {context['pattern']}",
    "string_too_short": lambda context: f"text of {context['min_length']} characters or more",
    "string_too_long": lambda context: f"text of {context['max_length']} characters or less",
    "int_type": lambda context: "a whole number",
    "int_parsing": lambda context: "a whole number",
    "int_from_float": lambda context: "a whole number",
    "float_type": lambda context: "a number",
    "float_parsing": lambda context: "a number",
    "finite_number": lambda context: "a finite number",
    "bool_type": lambda context: "true or false",
    "bool_parsing": lambda context: "true or false",
    "greater_than": lambda context: f"more than {context['gt']}",
    "greater_than_equal": lambda context: f"{context['ge']} or more",
    "less_than": lambda context: f"less than {context['lt']}",
    "less_than_equal": lambda context: f"{context['le']} or less",
    "ip_v4_address": lambda context: "an IPv4 address such as 192.168.77.21",
    "enum": lambda context: context["expected"].replace("'", ""),
    "literal_error": lambda context: _plain_names(context["expected"]).replace("True", "true"),
}
_MAPPING_KINDS = ("model_type", "model_attributes_type", "dict_type")
_LIST_KINDS = ("list_type", "tuple_type")
# A longer list of names hides the one that was meant.
_MOST_LISTED = 8


def _all_models(model: type[Model]) -> Iterator[type[Model]]:
    yield model
    for below in model.__subclasses__():
        yield from _all_models(below)


def _plain_names(expected: str) -> str:
    """`docker or libvirt` of pydantic's `<Provider.DOCKER: 'docker'> or 'libvirt'`."""
    return re.sub(r"<\w+\.\w+: ([^>]*)>", r"\1", expected).replace("'", "")


def _plain_type(annotation: Any) -> Any:
    """`int` of `int` and of `int | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [member for member in get_args(annotation) if member is not type(None)]
        return rest[0] if len(rest) == 1 else None
    return annotation


def _fits(value: Any, wanted: Any) -> bool:
    if wanted is bool:
        return isinstance(value, bool)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: Any, text: str | None) -> str:
    if isinstance(value, str):
        return f'"{shortened(value)}"'
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return shortened(text if text is not None else str(value))
