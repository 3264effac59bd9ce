"""What probes need in the cluster besides the namespace of the writes: a long list, a Service and its pods, a token.

It is made before the first question and removed after the last one. What a killed halab left is removed by the next
run and by `halab heal`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from halab.clock import Clock, Deadline, NotYet, wait_for
from halab.cluster.api import Api
from halab.config.probe import ProbeName, Question
from halab.config.probe_options import ListOptions
from halab.errors import HalabError, TimedOut
from halab.images.image_names import image_names
from halab.progress import Progress
from halab.scenario.run import ledger
from halab.scenario.sampler.object_clients import LISTED, POD, SERVICE_PATH
from halab.scenario.sampler.probes import Objects
from halab.topology.lab import Lab

# The value of the label `halab` of their namespace. `halab watch` has namespaces of its own beside a run.
_LABEL = "probes"
WATCH_PREFIX = "halab-watch-"
_OF_RUNS = f"/api/v1/namespaces?labelSelector=halab%20in%20({ledger.LABEL},{_LABEL})"
_AT_ONCE = 8
_READY_SECONDS = 90
_REPLICAS = 2
_PORT = 8080
_SERVICE = "probed"
# CoreDNS is on every node, and answers HTTP on this path. `whoami` needs nothing from the cluster.
_COREFILE = f".:1053 {{\n  whoami\n  health :{_PORT}\n}}\n"


def needed(probes: Collection[str]) -> list[ProbeName]:
    """The probes among these that need objects."""
    return [name for name in ProbeName if name in probes and name.question.traits.needs_objects]


def make(
    api: Api,
    lab: Lab,
    namespace: str,
    probes: Collection[ProbeName],
    listed: ListOptions,
    *,
    clock: Clock,
    progress: Progress,
) -> Objects:
    """Make what these probes need, in a namespace of its own. The caller removes the namespace, also after an error."""
    questions = {name.question for name in probes}
    images = image_names(lab.release)
    with progress.step("create the objects that the probes need") as shown:
        ledger.open_namespace(api, namespace, label=_LABEL)
        address = ""
        if Question.SERVICE in questions:
            address = _make_service(api, namespace, images["coredns"])
        if Question.LIST in questions:
            _fill(api, namespace, listed)
        deadline = Deadline.after(clock, _READY_SECONDS * lab.patience)
        if Question.SERVICE in questions:
            shown.note("wait for the pods behind the Service")
            _await(
                partial(_require_ready, api, namespace), namespace, "the pods behind the Service", deadline
            )
        account, token = f"/api/v1/namespaces/{namespace}/serviceaccounts/default", ""
        if questions & {Question.POD, Question.TOKEN}:
            _await(partial(api.get, account), namespace, "the service account of pods", deadline)
        if Question.TOKEN in questions:
            token = _create(api, f"{account}/token", {"spec": {}})["status"]["token"]
    count = listed.objects if Question.LIST in questions else 0
    return Objects(namespace, count, address, images["pause"], token)


def remove_leftovers(api: Api) -> list[str]:
    """Remove the namespaces of runs that ended without removing them. Return their names. No run may be going on."""
    names = [item["metadata"]["name"] for item in api.get(_OF_RUNS)["items"]]
    # a namespace of `halab watch` has the same label, and its halab may be alive
    leftovers = [name for name in names if not name.startswith(WATCH_PREFIX)]
    for name in leftovers:
        ledger.close_namespace(api, name)
    return leftovers


def _fill(api: Api, namespace: str, listed: ListOptions) -> None:
    data = "x" * listed.object_bytes
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    ended = threading.Event()

    def create(number: int) -> None:
        # after the first error, and after Ctrl-C, the others need not be created
        if ended.is_set():
            return
        try:
            _create(api, path, {"metadata": {"name": f"{LISTED}{number}"}, "data": {"filled": data}})
        except HalabError:
            ended.set()
            raise

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        try:
            for _ in pool.map(create, range(listed.objects)):
                pass
        finally:
            ended.set()


def _make_service(api: Api, namespace: str, image: str) -> str:
    """Make a Deployment and a Service; the cluster address of the Service."""
    inside = f"namespaces/{namespace}"
    _create(
        api,
        f"/api/v1/{inside}/configmaps",
        {"metadata": {"name": _SERVICE}, "data": {"Corefile": _COREFILE}},
    )
    _create(api, f"/apis/apps/v1/{inside}/deployments", deployment(image))
    made = _create(
        api,
        f"/api/v1/{inside}/services",
        {
            "metadata": {"name": _SERVICE},
            "spec": {"selector": {"app": _SERVICE}, "ports": [{"port": 80, "targetPort": _PORT}]},
        },
    )
    return str(made["spec"]["clusterIP"])


def deployment(image: str) -> Mapping[str, Any]:
    """Replicas on different nodes, if there are enough."""
    container = {
        "name": "coredns",
        "image": image,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "readinessProbe": {"httpGet": {"path": SERVICE_PATH, "port": _PORT}, "periodSeconds": 2},
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns"}],
    }
    labels = {"app": _SERVICE}
    pod = {
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": _SERVICE}}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels},
            }
        ],
        "terminationGracePeriodSeconds": 1,
        **POD,
    }
    return {
        "metadata": {"name": _SERVICE},
        "spec": {
            "replicas": _REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _require_ready(api: Api, namespace: str) -> None:
    status = api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{_SERVICE}").get("status", {})
    ready = status.get("readyReplicas", 0)
    if ready < _REPLICAS:
        raise NotYet(f"{ready} of {_REPLICAS} are ready")


def _await(look: Callable[[], object], namespace: str, what: str, deadline: Deadline) -> None:
    def looked() -> None:
        try:
            look()
        except NotYet:
            raise
        except HalabError as error:
            raise NotYet(error.message) from error

    try:
        wait_for(what, looked, deadline, every_seconds=0.5)
    except TimedOut as error:
        error.hint = f"see `halab kubectl -- -n {namespace} get pods,events`"
        raise


def _create(api: Api, path: str, body: Mapping[str, Any]) -> Any:
    return ledger.expect(api, "POST", path, body, (200, 201)).json()
