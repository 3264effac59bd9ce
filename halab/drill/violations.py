"""Look for what fails an attempt at once: a lost write, a new cluster, a node that was reset. grade.py decides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TypeVar

from halab.cluster import api as apis
from halab.cluster.api import Api
from halab.config.drill import Drill, Violation
from halab.drill import observer, recording
from halab.drill.attempt import Attempt, Identity
from halab.drill.grade import Sighting, ViolationState
from halab.errors import HalabError, LabProblem
from halab.faults.site import Site
from halab.lifecycle import access
from halab.lifecycle.lab import LabDir
from halab.machines.guests import on_all
from halab.printable import one_line
from halab.scenario.run import ledger

# An API server that hangs must not make a check much longer.
_ANSWER_SECONDS = 10.0
# `kubeadm reset` removes both, and a join makes new ones. One of them alone may be new after a repair:
# `kubeadm certs renew` replaces the first, and a kubelet without its certificate makes another one.
_CERTIFICATES = ("/etc/kubernetes/pki/apiserver.crt", "/var/lib/kubelet/pki/kubelet.crt")
_SUMS = f"for file in {' '.join(_CERTIFICATES)}; do sha256sum <$file 2>/dev/null || echo none; done"
_CLUSTER = "/api/v1/namespaces/kube-system"

T = TypeVar("T")


def identify_cluster(api: Api) -> str:
    """The UID of the namespace kube-system: it stays as long as the data of etcd. Raises HalabError."""
    return _understood(lambda: str(api.get(_CLUSTER)["metadata"]["uid"]))


def identify_nodes(site: Site) -> dict[str, tuple[str, ...]]:
    """Checksums of certificates on each control plane; one that does not answer is left out."""
    sums = _each(site, partial(_sums, site))
    return {name: found for name, found in sums.items() if not isinstance(found, HalabError)}


def look(lab_dir: LabDir, site: Site, api: Api, drill: Drill, attempt: Attempt) -> dict[Violation, Sighting]:
    """What is seen of everything that fails the drill. Never raises for a lab that does not answer."""
    ways: Mapping[Violation, Callable[[], Sighting]] = {
        Violation.LOST_WRITE: lambda: _lost_write(lab_dir, api, attempt.identity),
        Violation.NEW_CLUSTER: lambda: _new_cluster(lab_dir, site, api, attempt.identity),
        Violation.RESET_NODE: lambda: of_nodes(attempt.identity, _each(site, partial(_sums, site))),
    }
    return {name: ways[name]() for name in drill.fail_if}


def of_writes(acknowledged: Collection[int], found: Collection[int]) -> Sighting:
    """Compare the acknowledged writes of an attempt with those that the API has afterwards."""
    lost = len(set(acknowledged) - set(found))
    if lost:
        return Sighting(
            ViolationState.FOUND, f"{lost} of {len(acknowledged)} acknowledged writes of clients are lost"
        )
    return Sighting(ViolationState.ABSENT)


def of_cluster(before: Identity, answers: Mapping[str, str | HalabError]) -> Sighting:
    """Compare the cluster of each API server that answers with that of the start."""
    known = {name: uid for name, uid in answers.items() if not isinstance(uid, HalabError)}
    others = [name for name, uid in known.items() if uid != before.cluster]
    if others:
        return Sighting(
            ViolationState.FOUND,
            f"the namespace kube-system has another UID on {', '.join(others)}: this is a new cluster",
        )
    if not known:
        return _unchecked(next(error for error in answers.values() if isinstance(error, HalabError)))
    return Sighting(ViolationState.ABSENT)


def of_nodes(before: Identity, now: Mapping[str, tuple[str, ...] | HalabError]) -> Sighting:
    """Compare the certificates of each control plane with those of the start."""
    silent = None
    for name, sums in before.nodes.items():
        found = now[name]
        if isinstance(found, HalabError):
            silent = found
        elif all(old != new for old, new in zip(sums, found, strict=True)):
            return Sighting(
                ViolationState.FOUND,
                f"{name} has other certificates for its API server and its kubelet, as after `kubeadm reset`",
            )
    return _unchecked(silent) if silent else Sighting(ViolationState.ABSENT)


def _lost_write(lab_dir: LabDir, api: Api, before: Identity) -> Sighting:
    # first those that were acknowledged: more come while the API answers
    acknowledged = recording.acknowledged(lab_dir.work).union(before.writes)
    if not acknowledged:
        return Sighting(ViolationState.ABSENT)
    try:
        return of_writes(acknowledged, _understood(lambda: ledger.numbers_found(api, observer.NAMESPACE)))
    except HalabError as error:
        return _unchecked(error)


def _new_cluster(lab_dir: LabDir, site: Site, api: Api, before: Identity) -> Sighting:
    """Ask each API server on its own: behind a load balancer, a new cluster may be beside the old one."""
    addresses = {machine.name: apis.url(machine) for machine in site.lab.control_planes}

    def ask(machine: str) -> str:
        with Api(
            addresses[machine],
            access.credentials(lab_dir).context(),
            timeout_seconds=_ANSWER_SECONDS * site.lab.patience,
            tunnel=api.tunnel,
        ) as direct:
            return identify_cluster(direct)

    return of_cluster(before, _each(site, ask))


def _sums(site: Site, machine: str) -> tuple[str, ...]:
    lines = site.guests.run(machine, _SUMS).output.splitlines()
    if len(lines) != len(_CERTIFICATES):
        raise LabProblem(f"unexpected output of sha256sum on {machine}: {lines}")
    return tuple(lines)


def _each(site: Site, ask: Callable[[str], T]) -> dict[str, T | HalabError]:
    """Ask all control planes at the same time. One that does not answer has its error."""

    def answer(machine: str) -> T | HalabError:
        try:
            return ask(machine)
        except HalabError as error:
            return error

    return on_all([machine.name for machine in site.lab.control_planes], answer)


def _understood(ask: Callable[[], T]) -> T:
    """Turn an answer of another form than that of the API into an error: a learner may have put anything there."""
    try:
        return ask()
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(f"unexpected answer of the API: {error!r}") from error


def _unchecked(error: HalabError) -> Sighting:
    return Sighting(ViolationState.UNCHECKED, one_line(error.message))
