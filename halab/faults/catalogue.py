"""The faults that scenarios can inject, by name.

A fault is a pair of functions: `inject` returns when its effect is real and says what it saw; `heal` undoes it
and may be called for a fault that was only about to be injected, or was healed already. Both act over SSH alone,
never through the Kubernetes API that they break.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from halab.clock import Deadline, NotYet, wait_for
from halab.errors import BadUsage
from halab.faults import processes
from halab.faults.site import Site

Options = Mapping[str, str]

_MANIFESTS = "/etc/kubernetes/manifests"
# Beside, and never inside: kubelet reads every file in there that has no leading dot (kubernetes#129364).
_HELD = "/etc/kubernetes/halab-held"
_EFFECT_SECONDS = 60
STATIC_PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True)
class Fault:
    """`required` and `optional` are the names of its options; `effect` is what inject reports."""

    name: str
    does: str
    inject: Callable[[Site, str, Options], str]
    heal: Callable[[Site, str, Options], None]
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


def _kill(site: Site, machine: str, options: Options) -> str:
    name, signal = options["process"], options.get("signal", "KILL")
    before = processes.started(site.guests, machine, name)
    if before is None:
        return f"{name} was not running"
    command = f"pkill -{shlex.quote(signal)} -x {shlex.quote(processes.short(name))}"
    site.guests.run(machine, command)

    def gone() -> str:
        now = processes.started(site.guests, machine, name)
        if now == before:
            raise NotYet(f"{name} still runs")
        return f"{name}, started at {before}, is gone"

    deadline = Deadline.after(site.clock, _EFFECT_SECONDS * site.lab.patience)
    return wait_for(f"{name} on {machine} to be gone", gone, deadline, every_seconds=0.2)


def _nothing_to_heal(site: Site, machine: str, options: Options) -> None:
    """A killed process is restarted by what supervises it."""


def _hold(site: Site, machine: str, options: Options) -> str:
    pod = _static_pod(options)
    manifest, held = f"{_MANIFESTS}/{pod}.yaml", f"{_HELD}/{pod}.yaml"
    site.guests.run(
        machine,
        f"mkdir -p {_HELD} && if [ -e {manifest} ]; then mv -f {manifest} {held}; fi && test -e {held}",
    )

    def stopped() -> str:
        if processes.started(site.guests, machine, pod) is not None:
            raise NotYet(f"{pod} still runs")
        return f"{pod} is stopped"

    deadline = Deadline.after(site.clock, _EFFECT_SECONDS * site.lab.patience)
    return wait_for(f"{pod} on {machine} to stop", stopped, deadline, every_seconds=0.2)


def _let_go(site: Site, machine: str, options: Options) -> None:
    pod = _static_pod(options)
    manifest, held = f"{_MANIFESTS}/{pod}.yaml", f"{_HELD}/{pod}.yaml"
    site.guests.run(
        machine,
        # nothing is held where it was only about to be, or on a machine that has no such pod
        f"if [ -e {held} ]; then mv -f {held} {manifest}; fi; rmdir {_HELD} 2>/dev/null || true",
    )


def _static_pod(options: Options) -> str:
    pod = options["pod"]
    if pod not in STATIC_PODS:
        raise BadUsage(f"no such static pod: {pod}", hint=f"kubeadm makes {', '.join(STATIC_PODS)}")
    return pod


def _do_nothing(site: Site, machine: str, options: Options) -> str:
    return "nothing was done"


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "kill-process",
            "Send a signal to a process; what supervises it starts it again.",
            _kill,
            _nothing_to_heal,
            required=frozenset({"process"}),
            optional=frozenset({"signal"}),
        ),
        Fault(
            "hold-static-pod",
            "Take a static pod's manifest away, so that the kubelet stops the pod until it is healed.",
            _hold,
            _let_go,
            required=frozenset({"pod"}),
        ),
        Fault(
            "nothing",
            "Do nothing, and wait for no effect: shows that a scenario can fail.",
            _do_nothing,
            _nothing_to_heal,
        ),
    )
}
