"""Drop packets on a machine's NIC of the lab's network: one nftables table for each fault."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from halab.errors import LabProblem
from halab.machines.guests import Guests
from halab.topology.lab import Lab, Machine


class Direction(StrEnum):
    """As seen from the machine that has the filter."""

    BOTH = "both"
    IN = "in"
    OUT = "out"


@dataclass(frozen=True)
class Filter:
    """Drops packets from and to `peers`, or everyone if there are none.

    `port` limits it to one port, and `condition` (in nft's language) to some packets.
    """

    table: str
    nic: str
    peers: tuple[Machine, ...]
    direction: Direction = Direction.BOTH
    port: str = ""
    condition: str = ""

    def text(self) -> str:
        """The table as input of `nft -f`.

        Its priority is before connection tracking and kube-proxy (-200 and -100), so that packets of existing
        connections are dropped too. Outgoing packets, including those of pods, are seen after kube-proxy has replaced
        the address of a Service.
        """
        chains = []
        if self.direction is not Direction.OUT:
            chains.append(self._chain("incoming", "prerouting", "iifname", "saddr"))
        if self.direction is not Direction.IN:
            chains.append(self._chain("outgoing", "postrouting", "oifname", "daddr"))
        return f"table inet {self.table} {{\n  counter dropped {{ }}\n{''.join(chains)}}}\n"

    def _chain(self, name: str, hook: str, nic: str, side: str) -> str:
        words = [f'{nic} "{self.nic}"']
        if self.peers:
            words.append(f"ip {side} {{ {', '.join(self._networks())} }}")
        # a port is the port of the server, which may be either side
        ports = [f"meta l4proto {{ tcp, udp }} th {end} {self.port} " for end in ("dport", "sport")]
        condition = f"{self.condition} " if self.condition else ""
        rules = "".join(
            f"    {' '.join(words)} {port}{condition}counter name dropped drop\n"
            for port in (ports if self.port else [""])
        )
        return f"  chain {name} {{\n    type filter hook {hook} priority -310;\n{rules}  }}\n"

    def _networks(self) -> list[str]:
        """The addresses of the peers and of the pods on them."""
        return [
            network
            for peer in self.peers
            for network in (str(peer.address), *([str(peer.pods)] if peer.is_node else ()))
        ]


def nic_of(guests: Guests, lab: Lab, machine: str) -> str:
    """The name of a machine's NIC on the lab's network: the NIC with its address."""
    output = guests.run(machine, "ip -json -4 address show").output
    address = str(lab.machine(machine).address)
    try:
        for nic in json.loads(output):
            if any(info["local"] == address for info in nic["addr_info"]):
                return str(nic["ifname"])
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(f"`ip` on {machine} did not print a list of addresses: {output[:200]!r}") from error
    raise LabProblem(f"no NIC of {machine} has its address on the lab's network: {address}")


def load(guests: Guests, machine: str, filtered: Filter) -> None:
    guests.run(machine, "nft -f -", input=filtered.text())


def remove(guests: Guests, machine: str, table: str) -> None:
    guests.run(machine, f"! nft list table inet {table} >/dev/null 2>&1 || nft delete table inet {table}")


def dropped(guests: Guests, machine: str, table: str) -> int:
    """The number of packets that a table has dropped."""
    output = guests.run(machine, f"nft -j list counter inet {table} dropped").output
    try:
        return sum(
            int(item["counter"]["packets"]) for item in json.loads(output)["nftables"] if "counter" in item
        )
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(f"`nft` on {machine} did not print a counter: {output[:200]!r}") from error


def answering(guests: Guests, machine: str, addresses: Sequence[IPv4Address], port: str) -> list[str]:
    """Those of the addresses that answer a machine: to a ping, or to a connection if there is a port."""
    ask = f'nc -z -w 1 "$each" {port}' if port else 'ping -q -c 1 -W 0.5 "$each"'
    return _for_each(guests, machine, addresses, f'{ask} && echo "$each"')


def knock(guests: Guests, machine: str, addresses: Sequence[IPv4Address], port: str) -> None:
    """Send many and large packets to every address, so that a filter has something to drop."""
    if port:
        ask = f'for i in 1 2; do head -c 6000 /dev/zero | nc -w 1 "$each" {port}; done'
    else:
        ask = 'ping -q -c 50 -i 0.01 -W 0.5 -s 1472 "$each"'
    _for_each(guests, machine, addresses, ask)


def _for_each(guests: Guests, machine: str, addresses: Sequence[IPv4Address], ask: str) -> list[str]:
    words = " ".join(map(str, addresses))
    command = f'for each in {words}; do {{ {{ {ask}; }} 2>/dev/null | grep -xF "$each"; }} & done; wait'
    return guests.run(machine, command).output.split()
