"""Dead containers that a kubelet takes for the latest ones, because the clock was another one when they were made.

A kubelet counts a container's restarts from the one that was created last, by the time that is written in it. What
was started anew while the clock was behind is older on paper than its dead predecessor: the kubelet wants to start what
runs already, containerd has that name, and the pod stays in CreateContainerError for ever (kubernetes#83050,
kubernetes#134153). Seen with Kubernetes 1.37.2, containerd 2.2.9: there for 24 minutes, gone 45 s after the repair.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable

from halab.faults.site import Site

_SECONDS = 60
_CTR = "ctr --namespace k8s.io"
# a line for each task, a line with `=`, then a line of JSON for each container; one may go while we look
_LOOK = (
    "systemctl is-active -q containerd || exit 0; "
    f"{_CTR} tasks ls; echo =; "
    f"""for each in $({_CTR} containers ls --quiet 'labels."io.cri-containerd.kind"==container'); do """
    f"{_CTR} containers info $each | tr -d '\\n' && echo; done"
)


def forget(site: Site, machine: str) -> None:
    """Remove those of a machine, and let containerd read anew what it has: the containers that run go on meanwhile."""
    limit = _SECONDS * site.lab.patience
    tasks, _, containers = site.guests.run(machine, _LOOK, timeout_seconds=limit).output.partition("=\n")
    dead = mistaken(tasks.splitlines(), containers.splitlines())
    if dead:
        # a kubelet removes dead containers, too, and may be the first
        remove = (
            f"for each in {' '.join(dead)}; do "
            f"{_CTR} containers rm $each || ! {_CTR} containers info $each >/dev/null || exit 1; done; "
            "systemctl restart containerd"
        )
        site.guests.run(machine, remove, timeout_seconds=limit)


def mistaken(tasks: Iterable[str], containers: Iterable[str]) -> list[str]:
    """The ids of those, by what `ctr tasks ls` says (ID PID STATUS) and by the JSON of `ctr containers info`.

    Of containers of the same name in the same pod, the dead ones if the one that was created last is among them. A name
    with a single container has nothing to be mistaken for.
    """
    living = {words[0] for line in tasks if (words := line.split())[-1:] not in ([], ["STOPPED"])}
    alike: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for line in filter(str.strip, containers):
        told = json.loads(line)
        labels = told["Labels"]
        name = labels["io.kubernetes.pod.uid"], labels["io.kubernetes.container.name"]
        # RFC 3339 in UTC: sorted as text it is sorted by time, to the second
        alike[name].append((told["CreatedAt"], told["ID"]))
    found: list[str] = []
    for same in alike.values():
        if len(same) > 1 and max(same)[1] not in living:
            found += sorted(each for _, each in same if each not in living)
    return found
