"""Look for what fails an attempt at once: a lost write, a new cluster, a node that was reset. grade.py decides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from halab.cluster import api as apis
from halab.cluster import etcd
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
from halab.topology.lab import Machine

# An API server that hangs must not make a check much longer.
_ANSWER_SECONDS = 10.0
# `kubeadm reset` removes both, and a join makes new ones. One of them alone may be new after a repair:
# `kubeadm certs renew` replaces the first, and a kubelet without its certificate makes another one.
_CERTIFICATES = ("/etc/kubernetes/pki/apiserver.crt", "/var/lib/kubelet/pki/kubelet.crt")
_MISSING = "none"
_SUMS = f"for file in {' '.join(_CERTIFICATES)}; do sha256sum <$file 2>/dev/null || echo {_MISSING}; done"
_CLUSTER = "/api/v1/namespaces/kube-system"
_UID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# The first UID in the stored object is its own. A member without a leader answers, too. No object: no output.
_STORED_UID = (
    "set -o pipefail; "
    + etcd.command("get --consistency=s --print-value-only /registry/namespaces/kube-system")
    + f" | {{ grep -aoEm1 '{_UID}' || true; }} | head -n 1"
)

T = TypeVar("T")


def identify_cluster(api: Api) -> str:
    """The UID of the namespace kube-system: it stays as long as the data of etcd. Raises HalabError."""
    return _understood(lambda: str(api.get(_CLUSTER)["metadata"]["uid"]))


def identify_nodes(site: Site) -> dict[str, tuple[str, ...]]:
    """Checksums of certificates on each control plane; one that does not answer is left out."""
    return {name: sums for name, sums in _sums_of_all(site).items() if not isinstance(sums, HalabError)}


def look(lab_dir: LabDir, site: Site, api: Api, drill: Drill, attempt: Attempt) -> dict[Violation, Sighting]:
    """What is seen of everything that fails the drill. Never raises for a lab that does not answer."""
    ways: Mapping[Violation, Callable[[], Sighting]] = {
        Violation.LOST_WRITE: lambda: _lost_write(lab_dir, api, attempt.identity),
        Violation.NEW_CLUSTER: lambda: _new_cluster(lab_dir, site, api, attempt.identity),
        Violation.RESET_NODE: lambda: of_nodes(attempt.identity, _sums_of_all(site)),
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
    """Compare the cluster of each API server and each member of etcd that answers with that of the start."""
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
    unknown: HalabError | None = None
    for name, found in now.items():
        sums = before.nodes.get(name)
        if isinstance(found, HalabError):
            unknown = found
        elif sums is None:
            unknown = LabProblem(f"at the start of the drill, {name} did not answer")
        elif any(old == new for old, new in zip(sums, found, strict=True)):
            continue
        elif _MISSING in found:
            # after `kubeadm reset`, a join makes new ones; or somebody has deleted them, and may bring them back
            unknown = LabProblem(f"certificates are missing on {name}")
        else:
            return Sighting(
                ViolationState.FOUND,
                f"{name} has other certificates for its API server and its kubelet, as after `kubeadm reset`",
            )
    return _unchecked(unknown) if unknown else Sighting(ViolationState.ABSENT)


def _lost_write(lab_dir: LabDir, api: Api, before: Identity) -> Sighting:
    # first those that were acknowledged: more come while the API answers
    acknowledged = recording.acknowledged(lab_dir.work).union(before.writes)
    sighting = Sighting(ViolationState.ABSENT)
    try:
        if acknowledged:
            found = _understood(lambda: ledger.numbers_found(api, observer.NAMESPACE))
            sighting = of_writes(acknowledged, found)
        if sighting.state is ViolationState.ABSENT:
            recording.require(lab_dir)
    except HalabError as error:
        return _unchecked(error)
    return sighting


def _new_cluster(lab_dir: LabDir, site: Site, api: Api, before: Identity) -> Sighting:
    """Ask each API server on its own: behind a load balancer, a new cluster may be beside the old one.

    A new cluster may refuse halab: it has another CA, or lacks the roles that kubeadm creates. So if an API server does
    not tell, etcd is asked on its machines. They have the certificates for it, also after another `kubeadm init`.
    """
    answers = _each(site.lab.control_planes, partial(_of_api, lab_dir, site, api))
    if any(isinstance(answer, HalabError) for answer in answers.values()):
        stored = _each(site.lab.members, partial(_of_etcd, site))
        # of the errors, those of the API servers say more
        answers |= {
            f"etcd on {name}": uid for name, uid in stored.items() if not isinstance(uid, HalabError)
        }
    return of_cluster(before, answers)


def _of_api(lab_dir: LabDir, site: Site, api: Api, machine: str) -> str:
    with Api(
        apis.url(site.lab.machine(machine)),
        access.credentials(lab_dir).context(),
        timeout_seconds=_ANSWER_SECONDS * site.lab.patience,
        tunnel=api.tunnel,
    ) as direct:
        return identify_cluster(direct)


def _of_etcd(site: Site, machine: str) -> str:
    uid = site.guests.run(machine, _STORED_UID).output.strip()
    if not uid:
        # for example a member that has not joined yet
        raise LabProblem(f"the member of etcd on {machine} has no namespace kube-system")
    return uid


def _sums_of_all(site: Site) -> dict[str, tuple[str, ...] | HalabError]:
    return _each(site.lab.control_planes, partial(_sums, site))


def _sums(site: Site, machine: str) -> tuple[str, ...]:
    lines = site.guests.run(machine, _SUMS).output.splitlines()
    if len(lines) != len(_CERTIFICATES):
        raise LabProblem(f"unexpected output of sha256sum on {machine}: {lines}")
    return tuple(lines)


def _each(machines: Sequence[Machine], ask: Callable[[str], T]) -> dict[str, T | HalabError]:
    """Ask some machines at the same time. One that does not answer has its error."""

    def answer(machine: str) -> T | HalabError:
        try:
            return ask(machine)
        except HalabError as error:
            return error

    return on_all([machine.name for machine in machines], answer)


def _understood(ask: Callable[[], T]) -> T:
    """Turn an answer of another form than that of the API into an error: a learner may have put anything there."""
    try:
        return ask()
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(f"unexpected answer of the API: {error!r}") from error


def _unchecked(error: HalabError) -> Sighting:
    return Sighting(ViolationState.UNCHECKED, one_line(error.message))
