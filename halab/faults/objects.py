"""Faults of objects of the API: applied or deleted, and undone in etcd, because the object may be what broke the API.

kubectl on the fault's machine applies and deletes. What an object was before is read from etcd, as the bytes that the
API server stored, and put back there: so it has its old uid, whatever its kind, and no API server is asked.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from halab.clock import NotYet, wait_for
from halab.cluster import etcd
from halab.cluster.kube import KUBECTL
from halab.errors import BadUsage, CommandFailed, LabProblem
from halab.faults import scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.faults.structured import documents_of

_EFFECT_SECONDS = 60
_KUBECTL_SECONDS = 20
# A pod has 30 s to end.
_DELETE_SECONDS = 60
_ROOT = "/registry/"
_ALL = f"{_ROOT} --prefix --keys-only"
_MOST_OBJECTS = 50
# If an object of these kinds is deleted, other objects go with it, and nothing could restore those. With the names
# that kubectl knows for them.
_WITH_CONTENT = {
    "Namespace": ("ns", "namespace", "namespaces"),
    "CustomResourceDefinition": ("crd", "crds", "customresourcedefinition", "customresourcedefinitions"),
}
_REFERENCE = re.compile(r"[a-z][a-z0-9.-]*/[a-z0-9][a-z0-9.:-]*")


@dataclass(frozen=True)
class _Found:
    """An object that the API has: its kind, its name for people, and the revision of its last change."""

    kind: str
    name: str
    revision: int


def _objects(text: str) -> list[dict[str, Any]]:
    """The objects of a manifest. Raises ValueError if it has none that kubectl could apply."""
    objects = [item for document in documents_of(text) for item in _items(document)]
    if not objects or len(objects) > _MOST_OBJECTS:
        raise ValueError(f"should be a manifest of 1 to {_MOST_OBJECTS} objects")
    for number, item in enumerate(objects, 1):
        if not _is_complete(item):
            which = f"object {number}" if len(objects) > 1 else "the object"
            raise ValueError(f"{which} should have an apiVersion, a kind, and a name in its metadata")
    return objects


def _items(document: Any) -> list[Any]:
    """The items of a list, also of one of kubectl, or the object itself."""
    is_of_kubectl = isinstance(document, dict) and document.get("kind") == "List"
    items = document.get("items") if is_of_kubectl else document
    return items if isinstance(items, list) else [document]


def _is_complete(item: Any) -> bool:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    texts = (
        [item.get("apiVersion"), item.get("kind"), metadata.get("name")]
        if isinstance(metadata, dict)
        else [""]
    )
    return all(isinstance(text, str) and text for text in texts)


def _to_delete(text: str) -> list[str]:
    """What to delete: `deployment/coredns`, or the objects of a manifest. Raises ValueError if it is neither."""
    if _REFERENCE.fullmatch(text):
        word = text.split("/")[0].split(".")[0]
        for kind, names in _WITH_CONTENT.items():
            if word in names:
                raise ValueError(_why_not(kind))
        return [text]
    if re.fullmatch(r"[\w.-]+", text):
        raise ValueError(f"should be kind/name or a manifest, such as deployment/coredns, not {text}")
    objects = _objects(text)
    for item in objects:
        if item["kind"] in _WITH_CONTENT:
            raise ValueError(_why_not(item["kind"]))
    return _lines(objects)


def _lines(objects: Sequence[Any]) -> list[str]:
    return [json.dumps(item) for item in objects]


def _why_not(kind: str) -> str:
    return f"other objects are deleted together with a {kind}, and the heal could not restore them"


def _require_deletable(site: Site, entry: Entry) -> None:
    for found in _find(site, entry, _to_delete(entry.options["object"])):
        if found is None:
            raise BadUsage("the API does not have the object to delete", hint="check its namespace")
        if found.kind in _WITH_CONTENT:
            raise BadUsage(_why_not(found.kind))


def _require_known(site: Site, entry: Entry) -> None:
    """Refuse a kind that the API does not know: kubectl fails."""
    _find(site, entry, _lines(_objects(entry.options["object"])))


def _find(site: Site, entry: Entry, lines: Sequence[str]) -> list[_Found | None]:
    """What the API has of each object; None if it does not exist."""
    one = "{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.resourceVersion}"
    # kubectl prints an object that it was given by name, and a list of those in a manifest
    shown = f"{{range .items[*]}}{one} {{end}}{one}"
    get = f"{_kubectl(entry)} get {_source(entry)} --ignore-not-found -o jsonpath={shlex.quote(shown)}"
    output = _for_all(site, entry, lines, f'found=$({get} <<<"$object") || exit 1; echo "found $found"')
    answers = [line.split()[1:] for line in output.splitlines() if line.startswith("found")]
    return [
        _Found(words[0], words[1].strip("/"), int(words[2])) if len(words) > 2 else None for words in answers
    ]


def _save(
    site: Site, entry: Entry, lines: Sequence[str]
) -> tuple[list[_Found | None], list[etcd.Key | None]]:
    """Write into the folder of the fault what etcd has of each object; return what the API and etcd have of them."""

    def look() -> tuple[list[_Found | None], list[etcd.Key | None]]:
        objects = _find(site, entry, lines)
        names = {key.changed: key.name for key in etcd.keys(site.guests, site.lab, entry.machine, _ALL)}
        stored = [
            _stored(site, entry, names.get(found.revision), found) if found else None for found in objects
        ]
        return objects, stored

    deadline = site.deadline(_EFFECT_SECONDS)
    objects, stored = wait_for("etcd to have the objects that the API has", look, deadline)
    saved = json.dumps([key and {"key": key.name, "value": key.value} for key in stored])
    folder = scratch.folder(entry)
    put = f"{scratch.make(entry)} && (umask 077; cat >{folder}/part) && mv {folder}/part {folder}/saved"
    site.guests.run(entry.machine, put, input=saved)
    return objects, stored


def _stored(site: Site, entry: Entry, name: str | None, found: _Found) -> etcd.Key:
    if name is None:
        raise NotYet(f"no key has the revision {found.revision} of {found.kind} {found.name}")
    keys = etcd.keys(site.guests, site.lab, entry.machine, shlex.quote(name))
    if not keys:
        raise NotYet(f"{found.kind} {found.name} was removed while halab waited")
    return keys[0]


def _apply(site: Site, entry: Entry) -> str:
    lines = _lines(_objects(entry.options["object"]))
    before, _ = _save(site, entry, lines)
    folder, revision = scratch.folder(entry), shlex.quote("{.metadata.resourceVersion}")
    apply = f"{_kubectl(entry)} apply --server-side --force-conflicts --field-manager=halab -f -"
    _for_all(
        site,
        entry,
        lines,
        f'touch {folder}/begun-$number && {apply} -o jsonpath={revision} <<<"$object" >{folder}/part && '
        f"mv {folder}/part {folder}/applied-$number || exit 1",
    )
    after = _find(site, entry, lines)
    for found, line in zip(after, lines, strict=True):
        if found is None:
            raise LabProblem(f"kubectl applied this object, but the API does not have it: {line[:200]}")
    verbs = ("changed" if old else "created" for old in before)
    return "; ".join(f"{verb} {now.kind} {now.name}" for verb, now in zip(verbs, after, strict=True) if now)


def _delete(site: Site, entry: Entry) -> str:
    lines = _to_delete(entry.options["object"])
    before, stored = _save(site, entry, lines)
    folder = scratch.folder(entry)
    delete = f"{_kubectl(entry)} delete {_source(entry)} --ignore-not-found --timeout={_DELETE_SECONDS}s"
    # etcd says what is gone: without the object, kubectl may have no right to ask the API
    try:
        _for_all(
            site,
            entry,
            lines,
            f'touch {folder}/begun-$number && {delete} <<<"$object" >&2 || exit 1',
            seconds=_DELETE_SECONDS,
        )
    except CommandFailed:
        if any(key and _is_stored(site, entry, key.name) for key in stored):
            raise
    return "; ".join(
        f"deleted {old.kind} {old.name}"
        + (", and something has created it again" if _is_stored(site, entry, key.name) else "")
        for old, key in zip(before, stored, strict=True)
        if old and key
    )


def _is_stored(site: Site, entry: Entry, key: str) -> bool:
    return bool(etcd.keys(site.guests, site.lab, entry.machine, f"{shlex.quote(key)} --keys-only"))


# A line for every object that kubectl was asked to change, with the revision in which it was created, if it was; then
# what was there before.
_DONE = """
cd {folder} 2>/dev/null && [ -e saved ] || exit 0
for path in begun-*; do
  if [ -e "$path" ]; then echo "${{path#begun-}} $(cat "applied-${{path#begun-}}" 2>/dev/null)"; fi
done
cat saved
"""


def _undo(site: Site, entry: Entry) -> None:
    """Put back in etcd what an object was before, or remove what was created."""
    # what kubectl still does for a halab that was killed comes first
    command = scratch.locked(_DONE.format(folder=scratch.folder(entry)).strip())
    limit = (_DELETE_SECONDS + _KUBECTL_SECONDS) * site.lab.patience
    *begun, saved = site.guests.run(entry.machine, command, timeout_seconds=limit).output.splitlines() or [
        "[]"
    ]
    before = json.loads(saved)
    for number, _, revision in (line.partition(" ") for line in begun):
        old = before[int(number) - 1]
        if old:
            _put_back(site, entry, old["key"], old["value"])
        elif revision:
            _remove(site, entry, int(revision))
        else:
            _remove_unseen(site, entry, int(number))
    site.guests.run(entry.machine, scratch.forget(entry))


def _put_back(site: Site, entry: Entry, key: str, value: str) -> None:
    quoted = shlex.quote(key)
    etcd.through_any(site.guests, site.lab, entry.machine, f"put {quoted}", value=value)
    if not _is_stored(site, entry, key):
        raise LabProblem(
            f"a client removed a key again after halab had put it back: {key}",
            hint="stop this client, then run `halab heal` again",
        )


def _remove(site: Site, entry: Entry, created: int) -> None:
    """Remove the key that was created in a revision: an object keeps it, however often it changes."""

    def names() -> list[str]:
        keys = etcd.keys(site.guests, site.lab, entry.machine, _ALL)
        return [key.name for key in keys if key.created == created]

    for name in names():
        etcd.through_any(site.guests, site.lab, entry.machine, f"del {shlex.quote(name)}")
    left = names()
    if left:
        raise LabProblem(f"etcd still has a key that was removed: {left[0]}")


def _remove_unseen(site: Site, entry: Entry, number: int) -> None:
    """Remove an object whose creation was cut short: only the API knows if it exists."""
    line = _lines(_objects(entry.options["object"]))[number - 1]
    delete = f"{_kubectl(entry)} delete -f - --ignore-not-found --timeout={_DELETE_SECONDS}s"
    _for_all(site, entry, [line], f'{delete} <<<"$object" || exit 1', seconds=_DELETE_SECONDS)


def _for_all(site: Site, entry: Entry, lines: Sequence[str], body: str, *, seconds: float = 0) -> str:
    """Run commands for every object, which is in `$object`; its number from 1 is in `$number`."""
    loop = f"number=0; while IFS= read -r object; do number=$((number + 1)); {body}; done"
    limit = (_KUBECTL_SECONDS + seconds) * len(lines) * site.lab.patience
    command = scratch.locked(loop)
    return site.guests.run(
        entry.machine, command, input="".join(f"{line}\n" for line in lines), timeout_seconds=limit
    ).output


def _kubectl(entry: Entry) -> str:
    namespace = entry.options.get("namespace")
    within = f" --namespace={namespace}" if namespace else ""
    return f"{KUBECTL} --request-timeout={_KUBECTL_SECONDS}s{within}"


def _source(entry: Entry) -> str:
    """How kubectl gets an object: by its name, or as a manifest from standard input."""
    return '"$object"' if _REFERENCE.fullmatch(entry.options["object"]) else "-f -"


_NAMESPACE = Option(
    "the namespace for objects that do not name one", r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "kube-system", ""
)

FAULTS = (
    Fault(
        "apply",
        "Apply objects to the API; healing removes the new ones and restores the others.",
        _apply,
        _undo,
        {
            "object": Option(
                "a manifest of one or more objects, or a file with it", is_text=True, reads=_objects
            ),
            "namespace": _NAMESPACE,
        },
        check=_require_known,
    ),
    Fault(
        "delete",
        "Delete objects of the API; healing restores them.",
        _delete,
        _undo,
        {
            "object": Option(
                "kind/name, or a manifest that names objects, or a file with it",
                example="deployment/coredns",
                is_text=True,
                reads=_to_delete,
            ),
            "namespace": _NAMESPACE,
        },
        check=_require_deletable,
    ),
)
