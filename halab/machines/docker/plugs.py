"""The cable between a machine that is a container and its lab's network."""

from __future__ import annotations

import json
from typing import cast

from halab.errors import LabProblem
from halab.machines.docker import labels
from halab.machines.docker.containers import Containers
from halab.topology.container import NO_MACHINE


def connect(containers: Containers, machine: str) -> None:
    """Give a machine its address on the lab's network, at its interface eth1, unless it has it."""
    lab = containers.lab
    with containers.one(machine) as container:
        if lab.label not in container.attrs["NetworkSettings"]["Networks"]:
            network = containers.client.networks.get(lab.label)
            network.connect(container, ipv4_address=str(lab.machine(machine).address))


def switch(containers: Containers, machine: str, *, up: bool) -> None:
    """Switch the engine's end of a machine's cable to the lab's network.

    The machine's own end then has no carrier, as with a plug that is pulled: its addresses and routes stay. To
    disconnect the container instead would take the interface away. The engine's end is in the engine's own network
    namespace, which may be on another host: a short-lived container there, of the machine's image, switches it.
    """
    lab = containers.lab
    with containers.one(machine) as container:
        networks = container.attrs["NetworkSettings"]["Networks"]
        if lab.label not in networks:
            raise LabProblem(f"{machine} is not connected to the network {lab.label}")
        links = cast(bytes, container.exec_run(["ip", "-json", "link"]).output)
        index = _peer_index(links, networks[lab.label]["MacAddress"])
        of_lab = labels.of_lab(lab.name, containers.work)
        containers.client.containers.run(
            container.attrs["Image"],
            # `ip` takes an index as a name, and need not look it up
            ["link", "set", "dev", f"if{index}", "up" if up else "down"],
            entrypoint="/usr/sbin/ip",
            labels={**labels.from_this_host(of_lab), **NO_MACHINE},
            network_mode="host",
            userns_mode="host",
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN"],
            read_only=True,
            remove=True,
        )


def _peer_index(links: bytes, mac: str) -> int:
    """The index of the other end of the interface with this hardware address, from `ip -json link`."""
    try:
        return next(int(link["link_index"]) for link in json.loads(links) if link.get("address") == mac)
    except (ValueError, LookupError, StopIteration) as error:
        raise LabProblem(f"no interface of the machine has the address {mac}: {links[:200]!r}") from error
