"""The roles of machines, and the names and places that follow from them."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The prefix of a machine's name."""

    LOAD_BALANCER = "lb"
    CONTROL_PLANE = "cp"
    WORKER = "w"


# The last byte of the first address of each role in the lab's /24; .1 is the host.
FIRST_ADDRESS = {Role.LOAD_BALANCER: 10, Role.CONTROL_PLANE: 11, Role.WORKER: 21}


def machine_names(control_planes: int, workers: int) -> dict[str, Role]:
    """Name → role of all machines of a lab, in the order in which people see them."""
    counts = {Role.LOAD_BALANCER: 1, Role.CONTROL_PLANE: control_planes, Role.WORKER: workers}
    return {f"{role}{number}": role for role, count in counts.items() for number in range(1, count + 1)}
