"""Plugs of machines that are containers. Asked of the client that `Engine` holds, so that the library has one home."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from halab.errors import LabProblem
from halab.machines.host import identity
from halab.topology.container import HOST_LABEL, LABEL, NO_MACHINE, WORK_LABEL
from halab.topology.lab import Lab, Machine


def plug(client: Any, container: Any, lab: Lab, machine: Machine, work: Path, *, up: bool) -> None:
    """Switch the engine's end of a machine's cable to the lab's network.

    The machine's own end then has no carrier, as with a plug that is pulled: its addresses and routes stay. To
    disconnect the container instead would take the whole interface away. The engine's end is in the engine's own
    network namespace, on whatever host: a short-lived container there, of the machine's image, switches it.
    """
    connected = container.attrs["NetworkSettings"]["Networks"]
    if lab.label not in connected:
        raise LabProblem(f"not connected to the network {lab.label}: {machine.name}")
    peer = _peer(container.exec_run(["ip", "-json", "link"]).output, connected[lab.label]["MacAddress"])
    client.containers.run(
        container.attrs["Image"],
        # an interface that `ip` is told by its index, and need not look up
        ["link", "set", "dev", f"if{peer}", "up" if up else "down"],
        entrypoint="/usr/sbin/ip",
        labels={LABEL: lab.name, WORK_LABEL: str(work), HOST_LABEL: identity.of_this_host(), **NO_MACHINE},
        network_mode="host",
        userns_mode="host",
        cap_drop=["ALL"],
        cap_add=["NET_ADMIN"],
        read_only=True,
        remove=True,
    )


def _peer(links: bytes, mac: str) -> int:
    """The index of the other end of the interface that has this hardware address, from `ip -json link`."""
    try:
        return next(int(each["link_index"]) for each in json.loads(links) if each.get("address") == mac)
    except (ValueError, LookupError, StopIteration) as error:
        raise LabProblem(f"no interface of the machine has the address {mac}: {links[:200]!r}") from error
