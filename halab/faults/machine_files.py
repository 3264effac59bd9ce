"""The fault of a file on a machine: other content, mode or owner, until every byte is put back."""

from __future__ import annotations

import base64
import difflib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from halab.config.kubeadm_fields import STATIC_PODS
from halab.config.loading import listed
from halab.config.targets import FaultTarget
from halab.errors import BadUsage
from halab.faults import json_patch, manifests, scratch, units
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.faults.structured import as_yaml, mapping_of, value_of

_WAY_IN = "halab needs it to log in and to heal"
# Tools that the heal itself uses.
_TOOLS = ("bash", "sudo", "timeout", "systemctl", "cat", "chmod", "chown", "cp", "mv", "readlink", "rm", "sha256sum",
          "stat")  # fmt: skip
_REFUSED = {
    **dict.fromkeys(("/proc", "/sys", "/dev"), "it belongs to the kernel, and halab could not put it back"),
    **dict.fromkeys(
        (
            "/etc/ssh", "/root/.ssh", "/home/vagrant/.ssh", "/etc/passwd", "/etc/shadow", "/etc/group",
            "/etc/sudoers", "/etc/sudoers.d", "/etc/pam.d", "/usr/sbin/sshd",
            *(f"/usr/bin/{tool}" for tool in _TOOLS), *(f"/bin/{tool}" for tool in _TOOLS),
        ),
        _WAY_IN,
    ),
    "/etc/systemd/system/halab-machine.service": _WAY_IN,
    scratch.KEPT: "faults keep their originals there",
    manifests.HELD: "faults keep their originals there",
    "/var/lib/etcd": "an etcd member cannot go back to old data: use lose-etcd-data or corrupt-wal",
}  # fmt: skip
_LARGEST_BYTES = 1_000_000
# The record of a run is shared. These may have keys, tokens or passwords.
_SECRET_FILE = re.compile(
    r"/(pki|secrets)/|\.(key|pem)$|^/etc/kubernetes/[^/]*\.conf$|/kubeconfig[^/]*$|/shadow"
)
_SECRET_TEXT = re.compile(r"PRIVATE KEY|(key-data|token|password|passwd|secret)[\"']?\s*[:=]", re.IGNORECASE)
_DIFF_LINES = 200
# Options of which each says what the new content is.
_CONTENT = ("text", "replace", "json_patch")

# `put NEW PATH` replaces a file in one step. Some files of a container are mount points, which cannot be replaced.
_FUNCTIONS = """
state() { stat -c '%a %u:%g' -- "$1" && sha256sum <"$1"; }
put() {
  mv -f -- "$1" "$2" 2>/dev/null ||
    { cat -- "$1" >"$2" && chmod --reference="$1" -- "$2" && chown --reference="$1" -- "$2" && rm -f -- "$1"; }
}
"""

# The original is complete in the folder of the fault before anything changes.
_EDIT = """
mkdir -p {folder} && cat >{folder}/text && echo "$path" >{folder}/path &&
if [ -e "$path" ]; then
  state "$path" >{folder}/state && cp -a -- "$path" {folder}/part && mv {folder}/part {folder}/original &&
    cp -a -- {folder}/original "$new"
else
  touch {folder}/absent && (umask 022; : >"$new")
fi && {fill}{mode}{owner}put "$new" "$path" && state "$path"
"""

_RESTORE = """
if [ -e {folder}/original ]; then
  cp -a -- {folder}/original "$new" && put "$new" "$path" && [ "$(state "$path")" = "$(cat {folder}/state)" ]
elif [ -e {folder}/absent ]; then
  rm -f -- "$path" "$new"
fi || {{ echo "$path is not as it was before the fault" >&2; exit 1; }}
"""


def _path(text: str) -> str:
    """An absolute path that may be edited. Raises ValueError with the reason if it may not."""
    path = PurePosixPath(text)
    if not path.is_absolute() or ".." in path.parts or str(path) != text or not path.name:
        raise ValueError(f"should be the absolute path of a file, such as /etc/hosts, not {text}")
    for refused, why in _REFUSED.items():
        if path.is_relative_to(refused):
            raise ValueError(f"cannot be changed by this fault, because {why}: {text}")
    return text


def _replacement(text: str) -> tuple[str, str]:
    value = mapping_of(text)
    old, new = value.get("old"), value.get("new")
    if value.keys() != {"old", "new"} or not isinstance(old, str) or not isinstance(new, str) or not old:
        raise ValueError('should have two texts, such as {old: "10s", new: "1s"}')
    return old, new


def _require_one_change(options: Mapping[str, str]) -> Iterator[str]:
    given = [name for name in _CONTENT if name in options]
    if len(given) > 1:
        yield f"edit-file takes only one of {listed(_CONTENT)}"
    if not given and not {"mode", "owner"} & options.keys():
        yield f"edit-file changes nothing: give it {', '.join(_CONTENT)}, mode or owner"
    if options.get("create") == "true" and "text" not in options:
        yield "edit-file needs the text of a file that it should create"


def _require_possible(site: Site, entry: Entry) -> None:
    if "restart" in entry.options:
        units.require_active(site, entry.machine, entry.options["restart"])
    _contents(site, entry)


def _contents(site: Site, entry: Entry) -> tuple[bytes | None, str | None]:
    """The content of the file, None without a file, and the new one, None if it does not change.

    Raises BadUsage if the edit is impossible.
    """
    options, path = entry.options, entry.options["path"]
    real, current = _look(site, entry)
    try:
        _path(real)
    except ValueError as error:
        raise BadUsage(f"path {error}", hint=f"{path} is a link to it" if real != path else None) from error
    pod = PurePosixPath(real).stem
    if real.startswith(f"{manifests.MANIFESTS}/") and pod in STATIC_PODS:
        manifests.require_untouched(site, entry.machine, pod)
    if current is None and options.get("create") != "true":
        raise BadUsage(f"no such file on {entry.machine}: {path}", hint="`create: true` makes it")
    if "replace" in options or "json_patch" in options:
        try:
            text = (current or b"").decode()
        except UnicodeDecodeError as error:
            raise BadUsage(f"not UTF-8 text on {entry.machine}: {path}") from error
        return current, _replaced(entry, text) if "replace" in options else _patched(entry, text)
    if "text" not in options:
        return current, None
    if current == options["text"].encode() and not {"mode", "owner"} & options.keys():
        raise BadUsage(f"{path} on {entry.machine} has this content already")
    return current, options["text"]


def _replaced(entry: Entry, text: str) -> str:
    old, new = _replacement(entry.options["replace"])
    if old not in text:
        path = entry.options["path"]
        raise BadUsage(f"{path} on {entry.machine} does not contain the text to replace: {old}")
    return text.replace(old, new)


def _patched(entry: Entry, text: str) -> str:
    """A file of YAML or JSON with the patch applied. Comments are lost."""
    try:
        value = json_patch.apply(json_patch.read(entry.options["json_patch"]), value_of(text))
    except ValueError as error:
        what = f"the patch does not fit {entry.options['path']} on {entry.machine}"
        raise BadUsage(
            f"{what}: {error}", hint="it can change a file with one document of YAML or JSON"
        ) from error
    is_json = text.lstrip()[:1] in ("{", "[")
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n" if is_json else as_yaml(value)


def _diff(path: str, before: bytes | None, after: str) -> str:
    """A unified diff, or why there is none."""
    try:
        old = (before or b"").decode()
    except UnicodeDecodeError:
        return "no diff: the file was not UTF-8 text"
    if _SECRET_FILE.search(path) or _SECRET_TEXT.search(old) or _SECRET_TEXT.search(after):
        return "no diff: the file may contain secrets"
    named = "/dev/null" if before is None else path
    lines = list(difflib.unified_diff(old.splitlines(), after.splitlines(), named, path, lineterm=""))
    if len(lines) > _DIFF_LINES:
        lines = [*lines[:_DIFF_LINES], f"… and {len(lines) - _DIFF_LINES} more lines"]
    return "\n".join(lines)


# Prints lines of a name and a value.
_LOOK = """
path=$(readlink -f -- {path}) || {{ echo 'kind no folder'; exit; }}
echo "path $path"
grep -lsxF -e "$path" {kept}/*/path | head -n 1 | sed 's/^/taken /'
if [ -f "$path" ]; then
  echo 'kind file'
  echo "content $(head -c {most} -- "$path" | base64 -w 0)"
elif [ -e "$path" ]; then
  echo 'kind other'
elif [ -d "${{path%/*}}" ]; then
  echo 'kind none'
else
  echo 'kind no folder'
fi
"""


def _look(site: Site, entry: Entry) -> tuple[str, bytes | None]:
    """The path without links, and the content of the file; None if there is none."""
    path, machine = entry.options["path"], entry.machine
    command = _LOOK.format(path=shlex.quote(path), kept=scratch.KEPT, most=_LARGEST_BYTES + 1)
    lines = site.guests.run(machine, command).output.splitlines()
    seen = {name: value for name, _, value in (line.partition(" ") for line in lines)}
    if "taken" in seen:
        raise BadUsage(f"another fault has changed {path} on {machine}", hint="heal that one first")
    if seen["kind"] == "no folder":
        raise BadUsage(f"no folder for this file on {machine}: {path}")
    if seen["kind"] == "other":
        raise BadUsage(f"not a regular file on {machine}: {path}")
    content = base64.b64decode(seen["content"]) if "content" in seen else None
    if content is not None and len(content) > _LARGEST_BYTES:
        raise BadUsage(f"larger than {_LARGEST_BYTES // 1_000_000} MB on {machine}: {path}")
    return seen["path"], content


def _edit(site: Site, entry: Entry) -> str:
    """Edit the file. Return what was seen, then the diff in further lines."""
    options, path, restart = entry.options, entry.options["path"], entry.options.get("restart")
    before, text = _contents(site, entry)
    change = _EDIT.format(
        folder=scratch.folder(entry),
        fill=f'cat {scratch.folder(entry)}/text >"$new" && ' if text is not None else "",
        mode=f'chmod {options["mode"]} -- "$new" && ' if "mode" in options else "",
        owner=f'chown {options["owner"]} -- "$new" && ' if "owner" in options else "",
    )
    state, digest = site.guests.run(
        entry.machine, scratch.locked(_on(entry, change)), input=text or ""
    ).output.splitlines()
    seen = f"{path} has the mode and owner {state} and the checksum {digest[:12]}"
    if restart:
        seen = f"{seen}; {units.restart(site, entry.machine, restart)}"
    diff = _diff(path, before, text) if text is not None else ""
    return f"{seen}\n{diff}" if diff else seen


def _restore(site: Site, entry: Entry) -> None:
    """Put the original back, and compare it with what was there. Without an original nothing was changed."""
    folder, restart = scratch.folder(entry), entry.options.get("restart")
    # the edit of a halab that was killed may still run
    done = f"if [ -e {folder}/original ] || [ -e {folder}/absent ]; then echo changed; fi"
    output = site.guests.run(
        entry.machine, scratch.locked(f"{done}\n{_on(entry, _RESTORE.format(folder=folder))}")
    ).output
    if restart and output.split():
        units.restart_until_active(site, entry.machine, restart)
    site.guests.run(entry.machine, scratch.forget(entry))


def _on(entry: Entry, commands: str) -> str:
    """Commands with the path of the file and of the new one beside it, which the kubelet does not read."""
    # a link stays a link: what it refers to changes
    known = (
        f'path=$(readlink -f -- {shlex.quote(entry.options["path"])}); new="${{path%/*}}/.halab-{entry.id}"'
    )
    return f"{_FUNCTIONS.strip()}\n{known}\n{commands.strip()}"


FAULTS = (
    Fault(
        "edit-file",
        "Change the content, mode or owner of a file on a machine, until it is healed.",
        _edit,
        _restore,
        {
            "path": Option("the absolute path of the file", example="/etc/hosts", reads=_path),
            "text": Option("the new content, or a file with it", default="", is_text=True),
            "replace": Option(
                "a text to replace everywhere in the file",
                example='{"old": "10s", "new": "1s"}',
                default="",
                reads=_replacement,
            ),
            "json_patch": Option(
                "for a file of YAML or JSON, a list of operations add, replace, remove and test (RFC 6902)",
                example='[{"op": "replace", "path": "/maxPods", "value": 5}]',
                default="",
                reads=json_patch.read,
            ),
            "mode": Option("the permissions", r"[0-7]{3,4}", "0600", ""),
            "owner": Option(
                "the owner, and the group after a colon",
                r"[a-z0-9_][a-z0-9_-]*(:[a-z0-9_][a-z0-9_-]*)?",
                "root:root",
                "",
            ),
            "create": Option("true or false (make a file that is missing)", "true|false", default=""),
            "restart": Option(
                "a systemd unit to restart after the edit and after the heal", units.NAME, "kubelet", ""
            ),
        },
        target=FaultTarget.ANY,
        check=_require_possible,
        rule=_require_one_change,
    ),
)
