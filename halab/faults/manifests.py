"""Faults of static pods: changes in the kubelet's folder of manifests."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from halab.clock import NotYet, wait_for
from halab.config.kubeadm_fields import STATIC_PODS
from halab.config.targets import FaultTarget
from halab.errors import BadUsage, LabProblem
from halab.faults import json_patch, processes, scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.faults.structured import as_yaml, mapping_of, value_of

MANIFESTS = "/etc/kubernetes/manifests"
# Beside that folder, never inside: the kubelet reads every file there without a leading dot (kubernetes#129364).
HELD = "/etc/kubernetes/halab-held"
_REMOVE_IF_EMPTY = f"rmdir {HELD} 2>/dev/null || true"
# A kubelet replaces a static pod in 14 s; an API server in 42 s, because it ends slowly; etcd in 55 s, because the
# kubelet waits 34 s for its own API server, which hangs without etcd. This is three times that, for busy machines.
_EFFECT_SECONDS = 150
POD = Option("a static pod of kubeadm", "|".join(STATIC_PODS), "etcd")
_FLAG = r"--[a-z][a-z0-9-]*(=[^\s\"'#]*)?"
FLAG = Option("a command-line flag", _FLAG, "--anonymous-auth=false", "")
# A changed pod that has ended and not started in this time does not start: its image may be missing.
_NO_START_SECONDS = 30
# The flag in a stale backup: harmless, and visible in the command line of the process.
_STALE = {**dict.fromkeys(STATIC_PODS, "--v=1"), "etcd": "--log-level=warn"}


def hold(site: Site, machine: str, pod: str, *, at_once: bool = False) -> str:
    """Remove a static pod's manifest and wait until its process has ended. With `at_once`, the process is killed."""
    manifest, held = _path(pod), f"{HELD}/{pod}.yaml"
    site.guests.run(
        machine,
        f"mkdir -p {HELD} && if [ -e {manifest} ]; then mv -f {manifest} {held}; fi && test -e {held}",
    )

    def stopped() -> str:
        if at_once:
            site.guests.run(machine, f"pkill -KILL -x {processes.short(pod)} || [ $? -eq 1 ]")
        if processes.started(site.guests, machine, pod) is not None:
            raise NotYet(f"{pod} still runs")
        return f"{pod} is stopped"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{pod} on {machine} to stop", stopped, deadline, every_seconds=0.2)


def let_go(site: Site, machine: str, pod: str) -> None:
    """Put the manifest back. If it was never removed, nothing changes."""
    manifest, held = _path(pod), f"{HELD}/{pod}.yaml"
    site.guests.run(machine, f"if [ -e {held} ]; then mv -f {held} {manifest}; fi; {_REMOVE_IF_EMPTY}")


@dataclass(frozen=True)
class _Flags:
    """Flags of a command line: those to set, as words, and the names of those to remove."""

    to_set: tuple[str, ...] = ()
    to_remove: tuple[str, ...] = ()

    def in_words(self) -> str:
        return ", ".join([*self.to_set, *(f"no --{name}" for name in self.to_remove)])


def _flags(text: str) -> _Flags:
    """Flags from a mapping of names to values; null removes a flag. Raises ValueError if it is not such a mapping."""
    to_set, to_remove = [], []
    for written, value in mapping_of(text).items():
        name = written.removeprefix("--")
        word = f"--{name}={json.dumps(value) if not isinstance(value, str) else value}"
        if isinstance(value, dict | list) or not re.fullmatch(_FLAG, word):
            raise ValueError(f"is not a flag with a value: {written}: {value}")
        if value is None:
            to_remove.append(name)
        else:
            to_set.append(word)
    return _Flags(tuple(to_set), tuple(to_remove))


def edit(site: Site, entry: Entry, pod: str, flag: str) -> str:
    """Give a static pod another command-line flag, and wait until the kubelet has acted on it."""
    return _install(site, entry, pod, lambda text: (_Flags((flag,)), with_flag(text, flag)))


def _install(site: Site, entry: Entry, pod: str, change: Callable[[str], tuple[_Flags, str]]) -> str:
    """Change a manifest. A complete copy of the original is in the entry's folder before."""
    kept, manifest = f"{HELD}/{entry.id}", _path(pod)
    flags, text = change(site.guests.run(entry.machine, f"cat {manifest}").output)
    site.guests.run(
        entry.machine,
        f"mkdir -p {kept} && cp -p {manifest} {kept}/part && mv {kept}/part {kept}/{pod}.yaml",
    )
    return _replace(site, entry, pod, flags, manifest, text)


def _edited(entry: Entry, original: str) -> tuple[_Flags, str]:
    """The flags to wait for, and the changed manifest. Raises BadUsage if it cannot be changed like this."""
    options = entry.options
    flags = _flags(options["flags"]) if "flags" in options else _Flags()
    if "flag" in options:
        flags = _Flags((options["flag"], *flags.to_set), flags.to_remove)
    text = original
    for flag in flags.to_set:
        text = with_flag(text, flag)
    for name in flags.to_remove:
        text = _without_flag(text, name)
    if "json_patch" in options:
        try:
            value = json_patch.apply(json_patch.read(options["json_patch"]), value_of(text))
        except ValueError as error:
            what = f"the patch does not fit the manifest of {options['pod']} on {entry.machine}"
            raise BadUsage(f"{what}: {error}") from error
        text = as_yaml(value)
    return flags, text


def restore(site: Site, entry: Entry, pod: str) -> None:
    """Put the original back. There is none if the manifest was never replaced.

    If a later fault has removed the manifest, the original replaces the copy that this fault holds.
    """
    kept, held = f"{HELD}/{entry.id}", f"{HELD}/{pod}.yaml"
    site.guests.run(
        entry.machine,
        f"if [ -e {kept}/{pod}.yaml ]; then to={_path(pod)}; [ ! -e {held} ] || to={held}; "
        f"mv -f {kept}/{pod}.yaml $to; fi; rm -rf {kept}; {_REMOVE_IF_EMPTY}",
    )


def with_flag(manifest: str, flag: str) -> str:
    """The manifest with a flag added to its command. It replaces a flag of the same name."""
    name, item = flag.partition("=")[0], f"    - {flag}\n"
    others = _without_flag(manifest, name.removeprefix("--"))
    changed, count = re.subn(
        r"^(  - command:\n    - [^-].*\n)", rf"\g<1>{item}", others, count=1, flags=re.MULTILINE
    )
    if not count:
        raise LabProblem("the manifest of kubeadm has no command that could take a flag")
    return changed


def _without_flag(manifest: str, name: str) -> str:
    return re.sub(rf"^    - --{re.escape(name)}(=.*)?\n", "", manifest, flags=re.MULTILINE)


def _add_stray(site: Site, entry: Entry) -> str:
    """The kubelet reads files in the order of their names, one manifest for each pod: the backup wins."""
    pod = entry.options["pod"]
    original = site.guests.run(entry.machine, f"cat {_path(pod)}").output
    stale = _STALE[pod]
    site.guests.run(entry.machine, f"mkdir -p {HELD}/{entry.id}")
    return _replace(site, entry, pod, _Flags((stale,)), backup(pod), with_flag(original, stale))


def _remove_stray(site: Site, entry: Entry) -> None:
    pod, kept = entry.options["pod"], f"{HELD}/{entry.id}"
    # When the backup goes, the kubelet drops the pod and reads the manifest at its next scan, up to 20 s later. It
    # reads a new file at once, so the manifest is replaced by a copy.
    site.guests.run(
        entry.machine,
        f"if [ -d {kept} ]; then rm -f {backup(pod)}; if [ -e {_path(pod)} ]; then "
        f"cp -p {_path(pod)} {kept}/again && mv -f {kept}/again {_path(pod)}; fi; fi; "
        f"rm -rf {kept}; {_REMOVE_IF_EMPTY}",
    )


def _replace(site: Site, entry: Entry, pod: str, flags: _Flags, path: str, text: str) -> str:
    """Install a manifest, wait until the kubelet has acted on it, and return what happened to the pod's process.

    Either the new process runs, or it ends soon after each start: then its log has the reason.
    """
    machine, new = entry.machine, f"{HELD}/{entry.id}/new"
    what = flags.in_words() or "the changed manifest"
    before = "" if flags.to_set else processes.started(site.guests, machine, pod) or ""
    *_, logs = _look(site, machine, pod, flags, before)
    site.guests.run(machine, f"(umask 077; cat >{new}) && mv -f {new} {path}", input=text)
    stopped: float | None = None

    def acted() -> str:
        nonlocal stopped
        runs, is_changed, now = _look(site, machine, pod, flags, before)
        fresh = sorted(now - logs)
        if is_changed:
            return f"{pod} runs with {what}"
        if runs:
            raise NotYet(f"{pod} still runs without it")
        stopped = site.clock.now() if stopped is None else stopped
        if not fresh and site.clock.now() - stopped > _NO_START_SECONDS and "json_patch" in entry.options:
            return f"{pod} has ended, and does not start with {what}"
        if not fresh:
            raise NotYet(f"{pod} has stopped and has not started again yet")
        said = site.guests.run(
            machine, f"grep -v '^ *$' {fresh[-1]} | tail -n 1 | cut -d ' ' -f 4-"
        ).output.strip()
        return f"{pod} exits as soon as it is started with {what}: {said}"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{pod} on {machine} to be started with {what}", acted, deadline, every_seconds=0.2)


def _look(
    site: Site, machine: str, pod: str, flags: _Flags, before: str
) -> tuple[bool, bool, frozenset[str]]:
    """Return whether a static pod's process runs, whether it is the new one, and the paths of its non-empty logs.

    The new one has the flags or, if only its manifest is new, another start time than before.
    """
    words = "tr '\\0' '\\n' 2>/dev/null </proc/$pid/cmdline"
    tests = [f"{words} | grep -qxF -e {shlex.quote(flag)}" for flag in flags.to_set] or [
        f"[ \"$({processes.start_time('$pid')})\" != '{before}' ]"
    ]
    command = (
        f"if pid=$(pgrep -o -x {processes.short(pod)}); then echo runs; "
        f"{' && '.join(tests)} && echo changed; fi; "
        f"find /var/log/pods/kube-system_{pod}-* -name '*.log' -size +0 || true"
    )
    lines = site.guests.run(machine, command).output.splitlines()
    return "runs" in lines, "changed" in lines, frozenset(line for line in lines if line.startswith("/"))


def require_untouched(site: Site, machine: str, pod: str) -> None:
    """Refuse a manifest that another fault has removed or replaced: two faults cannot put it back in any order."""
    held = f"ls -d {HELD}/{pod}.yaml {HELD}/*/{pod}.yaml {backup(pod)} 2>/dev/null"
    command = f"{held}; grep -lsxF -e {_path(pod)} {scratch.KEPT}/*/path || true"
    if site.guests.run(machine, command).output.strip():
        raise BadUsage(
            f"another fault has changed the manifest of {pod} on {machine}", hint="heal that one first"
        )


def _require_untouched(site: Site, entry: Entry) -> None:
    require_untouched(site, entry.machine, entry.options["pod"])


def _require_change(site: Site, entry: Entry) -> None:
    _require_untouched(site, entry)
    pod = entry.options["pod"]
    original = site.guests.run(entry.machine, f"cat {_path(pod)}").output
    flags, text = _edited(entry, original)
    are_set = all(f"    - {flag}\n" in original for flag in flags.to_set)
    are_gone = all(_without_flag(original, name) == original for name in flags.to_remove)
    if flags.to_set and are_set and are_gone and "json_patch" not in entry.options:
        raise BadUsage(f"{pod} on {entry.machine} already has that flag: {', '.join(flags.to_set)}")
    if value_of(text) == value_of(original):
        raise BadUsage(f"the manifest of {pod} on {entry.machine} is like this already")


def _require_edit(options: Mapping[str, str]) -> Iterator[str]:
    if not {"flag", "flags", "json_patch"} & options.keys():
        yield "edit-manifest changes nothing: give it flag, flags or json_patch"


def _path(pod: str) -> str:
    return f"{MANIFESTS}/{pod}.yaml"


def backup(pod: str) -> str:
    return f"{MANIFESTS}/{pod}.yaml.bak"


def _target(options: Mapping[str, str]) -> FaultTarget:
    """Without its required option, the fault is refused for that."""
    return FaultTarget.MEMBER if options.get("pod", "etcd") == "etcd" else FaultTarget.CONTROL_PLANE


FAULTS = (
    Fault(
        "hold-static-pod",
        "Remove a static pod's manifest, so that the kubelet stops the pod, until it is healed.",
        lambda site, entry: hold(site, entry.machine, entry.options["pod"]),
        lambda site, entry: let_go(site, entry.machine, entry.options["pod"]),
        {"pod": POD},
        target=FaultTarget.MEMBER,
        target_by=_target,
        check=_require_untouched,
    ),
    Fault(
        "edit-manifest",
        "Change a static pod's command-line flags, or any field of its manifest, until it is healed.",
        lambda site, entry: _install(site, entry, entry.options["pod"], lambda text: _edited(entry, text)),
        lambda site, entry: restore(site, entry, entry.options["pod"]),
        {
            "pod": POD,
            "flag": FLAG,
            "flags": Option(
                "several flags with their values; null removes one",
                example='{"v": "4", "profiling": null}',
                default="",
                reads=_flags,
            ),
            "json_patch": Option(
                "a list of operations add, replace, remove and test (RFC 6902)",
                example='[{"op": "replace", "path": "/spec/containers/0/image", "value": "none"}]',
                default="",
                reads=json_patch.read,
            ),
        },
        target=FaultTarget.MEMBER,
        target_by=_target,
        check=_require_change,
        rule=_require_edit,
    ),
    Fault(
        "stray-manifest",
        "Leave a stale backup of a static pod's manifest next to it, so that the kubelet runs the backup.",
        _add_stray,
        _remove_stray,
        {"pod": POD},
        target=FaultTarget.MEMBER,
        target_by=_target,
        check=_require_untouched,
    ),
)
