"""The patch files of `kubeadm: {patches: DIR}`: their names and contents, as kubeadm expects them.

kubeadm only warns of a file that it does not use, and some names mean something else than they seem to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from halab.config import own_file, yaml_source
from halab.config.kubeadm_fields import FREE_DOCUMENTS, STATIC_PODS
from halab.config.kubernetes import Release, at_least
from halab.config.loading import nearest
from halab.errors import BadFile, BadUsage, Problem

_KUBELET = "kubeletconfiguration"
# The fields of a pod, a Deployment and a DaemonSet; and the fields of the kubelet's configuration.
_FIELDS = frozenset(("apiVersion", "kind", "metadata", "spec"))
_KUBELET_FIELDS = FREE_DOCUMENTS["kubelet"].fields | FREE_DOCUMENTS["kubelet"].identity.keys()
_KINDS = ("strategic", "merge", "json")
# The targets of kubeadm: the first version of Kubernetes that knows each.
_TARGETS = {
    **dict.fromkeys((*STATIC_PODS, _KUBELET, "corednsdeployment"), "1.34"),
    "kubeproxydaemonset": "1.37",
}
# kubeadm accepts more names, but reads some of them as another type: `etcd.x+json.yaml` is a strategic patch. So
# nothing may be between the parts.
_NAME = re.compile(rf"(?P<target>{'|'.join(_TARGETS)})[^.+]*(\+({'|'.join(_KINDS)}))?\.(yaml|json)")
_JSON = re.compile(r".*\+json\.(yaml|json)")
_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
_MAXIMUM_FILES = 50
_MAXIMUM_BYTES = 100_000
# What editors, systems and people put beside such files.
_LEFT_OUT = re.compile(r"\..*|.*~|.*\.md")


def read(lab_file: Path, content: bytes, folder: str | None, release: Release) -> dict[str, str]:
    """File name → text of the patches in the folder, which is relative to the lab file. Empty without a folder.

    Raises BadFile with all problems. `content` is the lab file, for the line that names the folder.
    """
    if folder is None:
        return {}
    path = lab_file.parent / folder
    with own_file.named_by(lab_file, content, ("kubeadm", "patches")):
        names = _names(path)
    problems: list[Problem] = []
    texts = {}
    for name in names:
        text = _text(path / name, problems)
        if text is None:
            continue
        texts[name] = text
        if what := _wrong_name(name, release):
            problems.append(Problem(str(path / name), 1, "", what))
        else:
            problems += _wrong_content(path / name, text)
    if problems:
        raise BadFile(problems)
    return texts


def _names(folder: Path) -> list[str]:
    """The names of the files in the folder, sorted. Raises BadUsage if it is none, or has no patch."""
    if folder.is_symlink():
        raise BadUsage(
            f"a symbolic link, not a folder: {folder}", hint="write the path that the link leads to"
        )
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not _LEFT_OUT.fullmatch(entry.name))
    except FileNotFoundError:
        raise BadUsage(
            f"no such folder: {folder}", hint="the path of the patches is relative to the lab file"
        ) from None
    except OSError as error:
        raise BadUsage(f"cannot read the folder {folder}: {error.strerror}") from error
    if not names:
        raise BadUsage(
            f"no patch in the folder {folder}",
            hint="put a patch there, such as kube-apiserver0+strategic.yaml",
        )
    if len(names) > _MAXIMUM_FILES:
        raise BadUsage(f"more than {_MAXIMUM_FILES} files in the folder {folder}")
    return names


def _text(path: Path, problems: list[Problem]) -> str | None:
    """The text of a file; None after a problem."""
    try:
        if path.is_symlink():
            what = "a symbolic link: copy the file into the folder"
        elif path.is_dir():
            what = "a folder: put its files beside it"
        else:
            return own_file.read(path, _MAXIMUM_BYTES).text
    except BadFile as error:
        problems += error.problems
        return None
    except BadUsage as error:
        what = error.message
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    problems.append(Problem(str(path), 1, "", what))
    return None


def _wrong_name(name: str, release: Release) -> str:
    """What is wrong with the name of a patch; empty if nothing is."""
    match = _NAME.fullmatch(name)
    if match:
        target = match["target"]
        if at_least(release.kubernetes, _TARGETS[target]):
            return ""
        return (
            f"kubeadm patches {target} since Kubernetes {_TARGETS[target]}, and this is {release.kubernetes}"
        )
    rule = "kubeadm expects TARGET, SUFFIX, +KIND and .yaml or .json, such as kube-apiserver0+strategic.yaml"
    target = re.split(r"[0-9.+]", name)[0]
    if not any(name.startswith(known) for known in _TARGETS):
        return f"kubeadm knows no target {target}{nearest(target, _TARGETS)}"
    if not name.endswith((".yaml", ".json")):
        return f"kubeadm does not read this file: its name must end with .yaml or .json ({rule})"
    kind = name.rpartition("+")[2].split(".")[0] if "+" in name else ""
    if kind and kind not in _KINDS:
        return f"kubeadm knows no kind of patch {kind}{nearest(kind, _KINDS)}"
    return f"kubeadm would not read this name as you mean it: {rule}, without other dots or plus signs"


def _wrong_content(path: Path, text: str) -> Iterator[Problem]:
    """The problems of a patch: it is one or several documents, each a list of operations for a JSON patch."""
    is_json_patch = _JSON.fullmatch(path.name) is not None
    fields = _FIELDS if not path.name.startswith(_KUBELET) else _KUBELET_FIELDS
    line, documents = 0, re.split(r"^---[ \t\r]*$\n?", text, flags=re.MULTILINE)
    if not any(map(_has_content, documents)):
        yield Problem(str(path), 1, "", "empty: kubeadm would ignore it")
    for document in documents:
        source = yaml_source.parse(document, str(path))
        found = list(source.problems)
        if not found and _has_content(document):
            found = [
                source.problem(where, what)
                for where, what in (
                    _operations(source.value) if is_json_patch else _mapping(source.value, fields)
                )
            ]
        for problem in found:
            yield Problem(problem.file, problem.line + line, problem.field, problem.what)
        line += document.count("\n") + 1


def _has_content(document: str) -> bool:
    lines = map(str.strip, document.splitlines())
    return any(line and not line.startswith("#") for line in lines)


def _mapping(value: Any, fields: frozenset[str]) -> Iterator[tuple[yaml_source.Path, str]]:
    if not isinstance(value, dict):
        yield (), "should be a mapping; for a list of operations, let the name end with +json.yaml"
        return
    for name in value:
        if name not in fields and not name.startswith("$"):  # $patch is a directive
            yield (name,), f"is not known{nearest(name, fields)}"


def _operations(value: Any) -> Iterator[tuple[yaml_source.Path, str]]:
    if not isinstance(value, list):
        yield (), "should be a list of operations such as {op: add, path: /spec/…, value: …}"
        return
    for index, operation in enumerate(value):
        if not isinstance(operation, Mapping):
            yield (index,), "should be an operation such as {op: add, path: /spec/…, value: …}"
        elif operation.get("op") not in _OPERATIONS:
            yield (index, "op"), f"should be one of {', '.join(_OPERATIONS)}"
        elif not isinstance(operation.get("path"), str) or not operation["path"].startswith("/"):
            yield (index, "path"), "should be a path such as /spec/containers/0/command/-"
