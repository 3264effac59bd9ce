"""Power and plugs of machines that are containers."""

from __future__ import annotations

import docker.errors

from halab.errors import Unable
from halab.machines import addresses
from halab.machines.docker import plugs, snapshots
from halab.machines.docker.containers import Containers
from halab.machines.power import LabPower, PowerState

# systemd gives a service 90 s to stop; a control plane stopped in 3 s on 2 cores.
_SHUT_DOWN_SECONDS = 120

# On cgroup v1, a freeze fails if the machine starts processes meanwhile; runc tries for a moment and gives up. Seen
# with a load of 40.
_FREEZE_TRIES = 20
_TRY_AGAIN = "unable to freeze"


class DockerPower(LabPower):
    """Power over the containers of a lab; several threads may use it at once."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def state(self, machine: str) -> PowerState:
        return self._containers.state(machine)

    def shut_down(self, machine: str) -> None:
        """Tell the machine's init to stop everything; the engine kills it when the time is over."""
        if self.state(machine) is PowerState.RUNNING:
            seconds = round(_SHUT_DOWN_SECONDS * self._containers.lab.patience)
            with self._containers.one(machine) as container:
                container.stop(timeout=seconds)

    def start(self, machine: str) -> None:
        if self.state(machine) in (PowerState.OFF, PowerState.GONE):
            with self._containers.one(machine) as container:
                container.start()
        plugs.connect(self._containers, machine)
        addresses.note(self._containers)

    def limit_cpus(self, machine: str, cpus: float | None) -> None:
        if cpus is None and self.state(machine) is PowerState.GONE:
            return  # a new container gets what the lab file says
        limit = self._containers.lab.machine(machine).cpus if cpus is None else cpus
        api = self._containers.client.api
        with self._containers.one(machine) as container:
            # the library's own update knows only quota and period, which the engine refuses beside `--cpus`
            address = f"{api.base_url}/v{api.api_version}/containers/{container.id}/update"
            api.post(address, json={"NanoCpus": round(limit * 1e9)}).raise_for_status()

    def limit_writes(self, machine: str, per_second: int | None) -> None:
        """The engine sets such a limit only when it makes a container."""
        if per_second is not None:
            raise Unable(
                "a container has no disk of its own that could be limited from outside: it uses the host's disk"
            )

    def _cut(self, machine: str) -> None:
        """Kill every process at once; the engine returns when they are gone."""
        with self._containers.one(machine) as container:
            container.kill()
            container.wait()

    def _freeze(self, machine: str) -> None:
        with self._containers.one(machine) as container:
            for tries_left in reversed(range(_FREEZE_TRIES)):
                try:
                    container.pause()
                    break
                except docker.errors.APIError as error:
                    if not tries_left or _TRY_AGAIN not in str(error.explanation):
                        raise

    def _thaw(self, machine: str) -> None:
        with self._containers.one(machine) as container:
            container.unpause()

    def _plug(self, machine: str, *, up: bool) -> None:
        plugs.switch(self._containers, machine, up=up)

    def _discard(self, machine: str) -> None:
        with self._containers.one(machine) as container:
            container.remove(force=True, v=True)
            labels = self._containers.labels(machine)
            snapshots.remove_volumes(self._containers.client, labels, saved=False)
