"""Faults of static pods: changes in the kubelet's folder of manifests."""

from __future__ import annotations

import re
import shlex

from halab.clock import NotYet, wait_for
from halab.cluster.kube import STATIC_PODS
from halab.errors import BadUsage, LabProblem
from halab.faults import processes
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

MANIFESTS = "/etc/kubernetes/manifests"
# Beside that folder, never inside: the kubelet reads every file there without a leading dot (kubernetes#129364).
HELD = "/etc/kubernetes/halab-held"
_REMOVE_IF_EMPTY = f"rmdir {HELD} 2>/dev/null || true"
# A kubelet replaces a static pod in 14 s; an API server in 42 s, because it ends slowly; etcd in 55 s, because the
# kubelet waits 34 s for its own API server, which hangs without etcd. This is three times that, for busy machines.
_EFFECT_SECONDS = 150
POD = Option("a static pod of kubeadm", "|".join(STATIC_PODS), "etcd")
FLAG = Option("a command-line flag", r"--[a-z][a-z0-9-]*(=[^\s\"'#]*)?", "--anonymous-auth=false")
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


def edit(site: Site, entry: Entry, pod: str, flag: str) -> str:
    """Give a static pod another command-line flag, and wait until the old process has ended.

    A complete copy of the original is in the entry's folder before the manifest changes.
    """
    kept, manifest = f"{HELD}/{entry.id}", _path(pod)
    original = site.guests.run(entry.machine, f"cat {manifest}").output
    site.guests.run(
        entry.machine,
        f"mkdir -p {kept} && cp -p {manifest} {kept}/part && mv {kept}/part {kept}/{pod}.yaml",
    )
    return _replace(site, entry, pod, flag, manifest, with_flag(original, flag))


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
    others = re.sub(rf"^    - {re.escape(name)}(=.*)?\n", "", manifest, flags=re.MULTILINE)
    changed, count = re.subn(
        r"^(  - command:\n    - [^-].*\n)", rf"\g<1>{item}", others, count=1, flags=re.MULTILINE
    )
    if not count:
        raise LabProblem("the manifest of kubeadm has no command that could take a flag")
    return changed


def _add_stray(site: Site, entry: Entry) -> str:
    """The kubelet reads files in the order of their names, one manifest for each pod: the backup wins."""
    pod = entry.options["pod"]
    original = site.guests.run(entry.machine, f"cat {_path(pod)}").output
    stale = _STALE[pod]
    site.guests.run(entry.machine, f"mkdir -p {HELD}/{entry.id}")
    return _replace(site, entry, pod, stale, _backup(pod), with_flag(original, stale))


def _remove_stray(site: Site, entry: Entry) -> None:
    pod, kept = entry.options["pod"], f"{HELD}/{entry.id}"
    # When the backup goes, the kubelet drops the pod and reads the manifest at its next scan, up to 20 s later. It
    # reads a new file at once, so the manifest is replaced by a copy.
    site.guests.run(
        entry.machine,
        f"if [ -d {kept} ]; then rm -f {_backup(pod)}; if [ -e {_path(pod)} ]; then "
        f"cp -p {_path(pod)} {kept}/again && mv -f {kept}/again {_path(pod)}; fi; fi; "
        f"rm -rf {kept}; {_REMOVE_IF_EMPTY}",
    )


def _replace(site: Site, entry: Entry, pod: str, flag: str, path: str, text: str) -> str:
    """Install a manifest, wait until the kubelet has acted on it, and return what happened to the pod's process.

    Either the new process runs, or it ends soon after each start: then its log has the reason.
    """
    machine, new = entry.machine, f"{HELD}/{entry.id}/new"
    *_, logs = _look(site, machine, pod, flag)
    site.guests.run(machine, f"(umask 077; cat >{new}) && mv -f {new} {path}", input=text)

    def acted() -> str:
        runs, is_changed, now = _look(site, machine, pod, flag)
        fresh = sorted(now - logs)
        if is_changed:
            return f"{pod} runs with {flag}"
        if runs:
            raise NotYet(f"{pod} still runs without it")
        if not fresh:
            raise NotYet(f"{pod} has stopped and has not started again yet")
        said = site.guests.run(
            machine, f"grep -v '^ *$' {fresh[-1]} | tail -n 1 | cut -d ' ' -f 4-"
        ).output.strip()
        return f"{pod} exits as soon as it is started with {flag}: {said}"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{pod} on {machine} to be started with {flag}", acted, deadline, every_seconds=0.2)


def _look(site: Site, machine: str, pod: str, flag: str) -> tuple[bool, bool, frozenset[str]]:
    """Return whether a static pod's process runs, whether it has the flag, and the paths of its non-empty logs."""
    command = (
        f"if pid=$(pgrep -o -x {processes.short(pod)}); then echo runs; "
        f"tr '\\0' '\\n' 2>/dev/null </proc/$pid/cmdline | grep -qxF -e {shlex.quote(flag)} && echo changed; fi; "
        f"find /var/log/pods/kube-system_{pod}-* -name '*.log' -size +0 || true"
    )
    lines = site.guests.run(machine, command).output.splitlines()
    return "runs" in lines, "changed" in lines, frozenset(line for line in lines if line.startswith("/"))


def require_untouched(site: Site, machine: str, pod: str) -> None:
    """Refuse a manifest that another fault has removed or replaced: two faults cannot put it back in any order."""
    command = f"ls -d {HELD}/{pod}.yaml {HELD}/*/{pod}.yaml {_backup(pod)} 2>/dev/null || true"
    if site.guests.run(machine, command).output.strip():
        raise BadUsage(
            f"another fault has changed the manifest of {pod} on {machine}", hint="heal that one first"
        )


def _require_untouched(site: Site, entry: Entry) -> None:
    require_untouched(site, entry.machine, entry.options["pod"])


def _require_change(site: Site, entry: Entry) -> None:
    _require_untouched(site, entry)
    pod, flag = entry.options["pod"], entry.options["flag"]
    if f"    - {flag}\n" in site.guests.run(entry.machine, f"cat {_path(pod)}").output:
        raise BadUsage(f"{pod} on {entry.machine} already has that flag: {flag}")


def _path(pod: str) -> str:
    return f"{MANIFESTS}/{pod}.yaml"


def _backup(pod: str) -> str:
    return f"{MANIFESTS}/{pod}.yaml.bak"


FAULTS = (
    Fault(
        "hold-static-pod",
        "Remove a static pod's manifest, so that the kubelet stops the pod, until it is healed.",
        lambda site, entry: hold(site, entry.machine, entry.options["pod"]),
        lambda site, entry: let_go(site, entry.machine, entry.options["pod"]),
        {"pod": POD},
        check=_require_untouched,
    ),
    Fault(
        "edit-manifest",
        "Give a static pod another command-line flag, until it is healed.",
        lambda site, entry: edit(site, entry, entry.options["pod"], entry.options["flag"]),
        lambda site, entry: restore(site, entry, entry.options["pod"]),
        {"pod": POD, "flag": FLAG},
        check=_require_change,
    ),
    Fault(
        "stray-manifest",
        "Leave a stale backup of a static pod's manifest next to it: the kubelet runs the backup instead.",
        _add_stray,
        _remove_stray,
        {"pod": POD},
        check=_require_untouched,
    ),
)
