"""Changes of etcd's list of members, through a member that has a leader. etcd may refuse each of them for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from halab.clock import NotYet
from halab.cluster import etcd
from halab.errors import CommandFailed
from halab.machines.guests import Guests
from halab.printable import last_line
from halab.topology.lab import Machine


@contextmanager
def refusals_as_not_yet() -> Iterator[None]:
    """Raise NotYet with etcdctl's last line if a command fails, as within 5 s of a connection (HealthInterval)."""
    try:
        yield
    except CommandFailed as error:
        raise NotYet(last_line(error.output or error.message)[:200]) from error


def remove(guests: Guests, peer: str, machine: Machine) -> None:
    """Remove the members of a machine. Raises NotYet."""
    with refusals_as_not_yet():
        for member in etcd.members_of(guests, peer, str(machine.address)):
            guests.run(peer, etcd.command(f"member remove {member}"))


def add_learner(guests: Guests, peer: str, machine: Machine) -> None:
    """Add a member for a machine, in place of those that it has. Raises NotYet.

    A learner has no vote before it has the data, so it cannot cost the cluster its majority while it starts.
    """
    remove(guests, peer, machine)
    add = f"member add {machine.hostname} --learner --peer-urls={etcd.peer_url(machine)}"
    with refusals_as_not_yet():
        guests.run(peer, etcd.command(add))


def promote(guests: Guests, peer: str, machine: Machine) -> None:
    """Give the learner of a machine a vote, unless it votes already. Raises NotYet."""
    address = str(machine.address)
    with refusals_as_not_yet():
        if not etcd.votes(guests, peer, address):
            for member in etcd.members_of(guests, peer, address):
                guests.run(peer, etcd.command(f"member promote {member}"))
