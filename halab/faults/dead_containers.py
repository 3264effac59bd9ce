"""Dead containers that a kubelet mistakes for the latest ones, because the clock was wrong when they were created.

A kubelet takes the container with the newest creation time for the current one. A container that was started while the
clock was behind has an older time than its dead predecessor. So the kubelet tries to start a container that runs
already, containerd refuses the name, and the pod stays in CreateContainerError forever (kubernetes#83050,
kubernetes#134153). Seen with Kubernetes 1.37.2 and containerd 2.2.9 for 24 minutes; gone 45 s after the repair.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable

from halab.faults.site import Site

_SECONDS = 60
_CTR = "ctr --namespace k8s.io"
# prints a line for each task, a line with `=`, then a line of JSON for each container; a container may go meanwhile
_LOOK = (
    "systemctl is-active -q containerd || exit 0; "
    f"{_CTR} tasks ls; echo =; "
    f"""for each in $({_CTR} containers ls --quiet 'labels."io.cri-containerd.kind"==container'); do """
    f"{_CTR} containers info $each | tr -d '\\n' && echo; done"
)


def forget(site: Site, machine: str) -> None:
    """Remove such dead containers from a machine and restart containerd. Running containers continue meanwhile."""
    limit = _SECONDS * site.lab.patience
    tasks, _, containers = site.guests.run(machine, _LOOK, timeout_seconds=limit).output.partition("=\n")
    dead = mistaken(tasks.splitlines(), containers.splitlines())
    if dead:
        # the kubelet removes dead containers too, and may be faster
        remove = (
            f"for each in {' '.join(dead)}; do "
            f"{_CTR} containers rm $each || ! {_CTR} containers info $each >/dev/null || exit 1; done; "
            "systemctl restart containerd"
        )
        site.guests.run(machine, remove, timeout_seconds=limit)


def mistaken(tasks: Iterable[str], containers: Iterable[str]) -> list[str]:
    """The ids of such dead containers.

    `tasks` are the lines of `ctr tasks ls` (ID PID STATUS), `containers` the JSON of `ctr containers info`.

    Among containers of the same name in the same pod, these are the dead ones, if the newest of all is dead.
    """
    living = {words[0] for line in tasks if (words := line.split())[-1:] not in ([], ["STOPPED"])}
    alike: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for line in filter(str.strip, containers):
        container = json.loads(line)
        labels = container["Labels"]
        name = labels["io.kubernetes.pod.uid"], labels["io.kubernetes.container.name"]
        # RFC 3339 in UTC: the order of the texts is the order of the times, to the second
        alike[name].append((container["CreatedAt"], container["ID"]))
    mistaken_ids: list[str] = []
    for same in alike.values():
        if len(same) > 1 and max(same)[1] not in living:
            mistaken_ids += sorted(name for _, name in same if name not in living)
    return mistaken_ids
