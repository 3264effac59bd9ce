"""The roles of machines, and the names and places that follow from them."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The prefix of a machine's name."""

    LOAD_BALANCER = "lb"
    CONTROL_PLANE = "cp"
    ETCD = "etcd"
    WORKER = "w"


# A second load balancer gives the endpoint a virtual address. VRRP knows more than two machines, halab does not.
MOST_BALANCERS = 2
# The last byte of the first address of each role in the lab's /24; .1 is the host. The addresses of load balancers go
# down from theirs, because those of control planes come right after it.
_FIRST_ADDRESS = {Role.LOAD_BALANCER: 10, Role.CONTROL_PLANE: 11, Role.WORKER: 21, Role.ETCD: 41}
# Where the virtual address is looked for.
FIRST_VIRTUAL = 100


def machine_names(balancers: int, control_planes: int, workers: int, etcd: int = 0) -> dict[str, Role]:
    """Name → role of all machines of a lab, in the order in which people see them."""
    counts = {
        Role.LOAD_BALANCER: balancers,
        Role.CONTROL_PLANE: control_planes,
        Role.ETCD: etcd,
        Role.WORKER: workers,
    }
    return {f"{role}{number}": role for role, count in counts.items() for number in range(1, count + 1)}


def last_byte(name: str, role: Role) -> int:
    """The last byte of a machine's address, if the lab file does not choose another one."""
    others = int(name.removeprefix(role)) - 1
    return _FIRST_ADDRESS[role] + (-others if role is Role.LOAD_BALANCER else others)
