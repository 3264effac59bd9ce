"""Applies the user's manifests through a control plane, in their order, and waits for what they contain.

The cluster itself records what was applied, so a restored snapshot also restores this record.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from halab.clock import Clock, Deadline, NotYet, wait_for
from halab.cluster import rollout
from halab.cluster.kube import KUBECTL
from halab.config import manifests
from halab.config.manifests import Manifest, Object
from halab.errors import LabProblem, TimedOut, Unreachable
from halab.machines.guests import Guests
from halab.printable import counted, last_line
from halab.process import Completed
from halab.progress import Progress, Step
from halab.topology.lab import Lab

_KUBECTL = f"{KUBECTL} --request-timeout=20s"
_APPLY = f"{_KUBECTL} apply --server-side --force-conflicts --field-manager halab -f -"
_NOTE = "halab-manifests"
_READ_NOTE = f"{_KUBECTL} --namespace kube-system get configmap {_NOTE} --ignore-not-found -o json"
_APPLIED = "applied"
_ANSWER_SECONDS = 60
_APPLY_SECONDS = 90
_READY_SECONDS = 240
_POLL_SECONDS = 1
_SHOWN_LINES = 8
# What passes by itself: the API or etcd is busy, a definition is new, the pod of a webhook starts.
_PASSES = (
    "connection refused",
    "unable to connect to the server",
    "i/o timeout",
    "tls handshake timeout",
    "client.timeout",
    "context deadline exceeded",
    "unexpected eof",
    "etcdserver:",
    "failed calling webhook",
    "the server is currently unable to handle the request",
    "service unavailable",
    "apiserver not ready",
)
_NO_SUCH_KIND = "ensure CRDs are installed first"


class ManifestApplier:
    """`through` is a control plane that has joined."""

    def __init__(self, lab: Lab, guests: Guests, through: str, clock: Clock, progress: Progress) -> None:
        self._lab = lab
        self._guests = guests
        self._through = through
        self._clock = clock
        self._progress = progress

    def apply(self, entries: Mapping[str, Sequence[Manifest]]) -> int:
        """Apply the entries of the lab file that are new or changed. Return how many they are.

        Raises LabProblem if the API refuses a manifest, or if what it contains does not become ready.
        """
        if not entries:
            return 0
        noted = self._read_note()
        for name in [name for name in noted if name not in entries]:
            self._progress.say(f"{name} is no longer in the lab file; what it created stays in the cluster")
            del noted[name]
            self._write_note(noted)
        sums = {name: manifests.sum_of(entry) for name, entry in entries.items()}
        changed = [name for name in entries if noted.get(name) != sums[name]]
        for name in changed:
            with self._progress.step(
                f"apply {name}", limit_seconds=self._limit(_APPLY_SECONDS + _READY_SECONDS)
            ) as step:
                self._apply_entry(name, entries[name], noted, step)
            noted[name] = sums[name]
            self._write_note(noted)
        return len(changed)

    def _apply_entry(
        self, name: str, entry: Sequence[Manifest], noted: Mapping[str, str], step: Step
    ) -> None:
        defines = any(thing.kind == "CustomResourceDefinition" for one in entry for thing in one.objects)
        applied = [earlier for earlier in noted if earlier != name]
        for manifest in entry:
            output = self._apply(manifest, applied, defines=defines)
            applied.append(manifest.name)
            step.note(f"{counted(len(output.splitlines()), 'object')} of {manifest.name}")
        waited = [thing for one in entry for thing in one.objects if rollout.is_waited_for(thing.kind)]
        if waited:
            self._wait(name, waited, step)
        step.done(counted(sum(len(one.objects) for one in entry), "object"))

    def _apply(self, manifest: Manifest, applied: Sequence[str], *, defines: bool) -> str:
        """Apply one file. Return what kubectl printed."""
        done = Completed(0, "", "")

        def try_it() -> None:
            nonlocal done
            done = self._run(_APPLY, manifest.text)
            if done.code != 0 and _passes(done.errors, defines=defines):
                raise NotYet(last_line(done.errors))

        deadline = Deadline.after(self._clock, self._limit(_APPLY_SECONDS))
        with suppress(TimedOut):  # the last answer says why
            wait_for("the API to accept it", try_it, deadline, every_seconds=_POLL_SECONDS)
        if done.code == 0:
            return done.output
        parts = [f"the API refused {manifest.name}:", *_reasons(done.errors, manifest)]
        if done.output.strip():
            parts += ["applied from this file:", *done.output.strip().splitlines()]
        before = f"applied before: {', '.join(applied)}; " if applied else ""
        raise LabProblem(
            "\n".join(parts),
            hint=f"{before}change {manifest.name}, then run `halab up` again: it goes on with this file",
        )

    def _wait(self, name: str, waited: Sequence[Object], step: Step) -> None:
        """Wait until the objects are ready."""
        question = "\n---\n".join(json.dumps(thing.as_json()) for thing in waited)

        def require_ready() -> None:
            done = self._run(f"{_KUBECTL} get -f - -o json", question)
            if done.code != 0:
                raise NotYet(last_line(done.errors))
            lacking = [
                f"{_shown(item)}: {what}" for item in _items(done.output) if (what := rollout.missing(item))
            ]
            if lacking:
                step.note(lacking[0])
                raise NotYet("; ".join(lacking[:_SHOWN_LINES]))

        limit = self._limit(_READY_SECONDS)
        try:
            wait_for(
                f"what {name} contains",
                require_ready,
                Deadline.after(self._clock, limit),
                every_seconds=_POLL_SECONDS,
            )
        except (TimedOut, rollout.Failed) as error:
            namespaces = dict.fromkeys(thing.namespace or "default" for thing in waited)
            events = [line for namespace in namespaces for line in self._events(namespace)]
            raise LabProblem(
                "\n".join([f"{name} was applied, but is not ready: {error}", *events[-_SHOWN_LINES:]]),
                hint=f"look at it with `halab kubectl -- get pods -A`, change {name} if it is wrong, then run "
                f"`halab up` again: it applies {name} again, and waits",
            ) from error

    def _events(self, namespace: str) -> list[str]:
        """The last warnings of a namespace: why a pod does not run."""
        columns = "custom-columns=O:.involvedObject.name,M:.message"
        command = (
            f"{_KUBECTL} --namespace {shlex.quote(namespace)} get events --field-selector type=Warning "
            f"--sort-by .lastTimestamp --no-headers -o {columns}"
        )
        lines = self._run(command).output.splitlines()
        return list(dict.fromkeys(" ".join(line.split()) for line in lines))[-3:]

    def _read_note(self) -> dict[str, str]:
        """Entry of the lab file → the hash with which it was applied."""

        def read() -> str:
            done = self._run(_READ_NOTE)
            if done.code != 0:
                raise NotYet(last_line(done.errors))
            return done.output

        deadline = Deadline.after(self._clock, self._limit(_ANSWER_SECONDS))
        answer = wait_for("the API to answer", read, deadline, every_seconds=_POLL_SECONDS)
        if not answer.strip():
            return {}
        noted = json.loads(json.loads(answer).get("data", {}).get(_APPLIED, "{}"))
        return {str(name): str(value) for name, value in noted.items()}

    def _write_note(self, noted: Mapping[str, str]) -> None:
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": _NOTE, "namespace": "kube-system"},
            "data": {_APPLIED: json.dumps(noted)},
        }
        self._apply(Manifest(f"the note {_NOTE}", json.dumps(config_map), ()), (), defines=False)

    def _run(self, command: str, text: str | None = None) -> Completed:
        try:
            return self._guests.run(
                self._through, command, input=text, timeout_seconds=self._limit(_ANSWER_SECONDS), check=False
            )
        except (TimedOut, Unreachable) as error:
            return Completed(1, "", f"{_PASSES[0]}: {error.message}")

    def _limit(self, seconds: float) -> float:
        return seconds * self._lab.patience


def _passes(errors: str, *, defines: bool) -> bool:
    text = errors.lower()
    return any(words in text for words in _PASSES) or (defines and _NO_SUCH_KIND.lower() in text)


def _reasons(errors: str, manifest: Manifest) -> list[str]:
    """What kubectl said, with the line of the object that it is about."""
    lines = [line.replace('"STDIN"', manifest.name) for line in errors.strip().splitlines() if line.strip()]
    return [f"{_place(line, manifest)}{line}" for line in lines[-_SHOWN_LINES:]] or ["no reason given"]


def _place(reason: str, manifest: Manifest) -> str:
    words = set(re.split(r"[^\w.-]+", reason.lower()))
    about = [
        thing for thing in manifest.objects if words.issuperset((thing.name.lower(), thing.kind.lower()))
    ]
    return f"{manifest.name}:{about[0].line}: " if len(about) == 1 else ""


def _items(output: str) -> list[Mapping[str, Any]]:
    answer = json.loads(output)
    return list(answer["items"]) if answer.get("kind") == "List" else [answer]


def _shown(item: Mapping[str, Any]) -> str:
    metadata = item["metadata"]
    namespace = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{item['kind']} {namespace}{metadata['name']}"
