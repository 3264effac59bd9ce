"""Manifests of the user's own: objects of Kubernetes in YAML or JSON, in files and folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from halab.config import own_file
from halab.errors import BadFile, BadUsage, Problem

# The manifests of a CNI or of an operator have more than 1 MB.
_MAXIMUM_BYTES = 10_000_000
_ENDINGS = (".yaml", ".yml", ".json")
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# libyaml reads a megabyte in 0.3 s, the loader in Python in 5 s.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Object:
    """The identity of one object of a manifest, and its line; without a namespace, it is in `default` or in none."""

    api_version: str
    kind: str
    name: str
    namespace: str | None = None
    line: int = field(default=1, compare=False)

    def as_json(self) -> dict[str, Any]:
        metadata = {"name": self.name, **({"namespace": self.namespace} if self.namespace else {})}
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata}


@dataclass(frozen=True)
class Manifest:
    """One file. `name` is its path from the folder of the lab file."""

    name: str
    text: str
    objects: tuple[Object, ...]


def read(folder: Path, name: str) -> tuple[Manifest, ...]:
    """The manifests of a file, or of a folder in the order of their names.

    Raises BadUsage if there is nothing to read, and BadFile with the lines of all that is wrong.
    """
    path = folder / name
    try:
        names = _in_folder(path, name) if path.is_dir() else [name]
    except OSError as error:
        raise BadUsage(f"cannot read {name}: {error.strerror}") from error
    problems: list[Problem] = []
    result = []
    for one in names:
        try:
            file = own_file.read(folder / one, _MAXIMUM_BYTES)
            result.append(Manifest(one, file.text, parse(file.text, str(file.path))))
        except BadFile as error:
            problems += error.problems
    if problems:
        raise BadFile(problems)
    return tuple(result)


def sum_of(entry: Sequence[Manifest]) -> str:
    """A hash of the names and contents."""
    digest = hashlib.sha256()
    for manifest in entry:
        digest.update(f"{manifest.name}\0{manifest.text}\0".encode())
    return digest.hexdigest()


def parse(text: str, path: str) -> tuple[Object, ...]:
    """The objects in a file. Raises BadFile."""
    problems: list[Problem] = []
    objects: list[Object] = []
    try:
        # YAML allows no tabs for indentation, JSON does
        for document, line in _json_documents(text) if path.endswith(".json") else _yaml_documents(text):
            objects += _objects(document, line, path, problems)
    except json.JSONDecodeError as error:
        problems.append(Problem(path, error.lineno, "", f"malformed JSON: {error.msg}"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"malformed YAML: {error.problem or error.context or 'cannot be read'}"
        problems.append(Problem(path, mark.line + 1 if mark else 1, "", what))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        what = f"malformed: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        problems.append(Problem(path, 1, "", what))
    if not objects and not problems:
        problems.append(Problem(path, 1, "", "has no object of Kubernetes"))
    if problems:
        raise BadFile(problems)
    return tuple(objects)


def _in_folder(path: Path, name: str) -> list[str]:
    files = sorted(entry.name for entry in path.iterdir() if entry.is_file())
    if any(file in _KUSTOMIZATIONS for file in files):
        raise BadUsage(
            f"{name} is a kustomization, which halab does not build",
            hint=f"write its result to a file: `kubectl kustomize {name} >{name.rstrip('/')}.yaml`",
        )
    manifests = [file for file in files if file.endswith(_ENDINGS) and not file.startswith(".")]
    if not manifests:
        raise BadUsage(f"{name} has no file that ends with {', '.join(_ENDINGS)}")
    return [f"{name.rstrip('/')}/{file}" for file in manifests]


class _Mapping(dict[str, Any]):
    """A mapping with its line."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


def _json_documents(text: str) -> Iterator[tuple[Any, int]]:
    yield json.loads(text), 1


def _yaml_documents(text: str) -> Iterator[tuple[Any, int]]:
    for node in yaml.compose_all(text, Loader=_Loader):
        if not (isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~")):
            yield _identity(node), node.start_mark.line + 1


def _identity(node: yaml.Node, depth: int = 0) -> Any:
    """The fields that identify an object, or the objects of a list; the API checks the rest.

    Aliases are followed only in these fields.
    """
    if not isinstance(node, yaml.MappingNode):
        return node.value if isinstance(node, yaml.ScalarNode) else None
    mapping = _Mapping(node.start_mark.line + 1)
    for key, value in node.value:
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
        if name == "metadata" and depth < 2:
            mapping[name] = _identity(value, 2)
        elif name == "items" and depth == 0 and isinstance(value, yaml.SequenceNode):
            mapping[name] = [_identity(item, 1) for item in value.value]
        elif isinstance(value, yaml.ScalarNode):
            mapping[name] = value.value
        else:
            mapping[name] = None
    return mapping


def _objects(document: Any, line: int, path: str, problems: list[Problem]) -> Iterator[Object]:
    if not isinstance(document, Mapping):
        problems.append(
            Problem(path, line, "", "not an object of Kubernetes: a mapping with apiVersion and kind")
        )
        return
    line = getattr(document, "line", line)
    lacking = [name for name in ("apiVersion", "kind") if not _is_text(document.get(name))]
    if lacking:
        problems.append(Problem(path, line, lacking[0], "is missing, or is not text"))
        return
    if str(document["kind"]).endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _objects(item, line, path, problems)
        return
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping) or not _is_text(metadata.get("name")):
        generates = isinstance(metadata, Mapping) and metadata.get("generateName")
        why = (
            "is missing: generateName makes another object at every `halab up`"
            if generates
            else "is missing"
        )
        problems.append(Problem(path, getattr(metadata, "line", line), "metadata.name", why))
        return
    namespace = metadata.get("namespace")
    shown = str(namespace) if namespace else None
    yield Object(document["apiVersion"], document["kind"], metadata["name"], shown, line)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
