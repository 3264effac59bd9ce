"""The labels of everything that halab creates at a docker engine, and the filters that select by them."""

from __future__ import annotations

from collections.abc import Mapping

from halab.machines.host import identity
from halab.machines.work import Work
from halab.topology.container import HOST_LABEL, LABEL, MACHINE_LABEL, WORK_LABEL

Labels = Mapping[str, str]


def of_lab(lab: str, work: Work) -> dict[str, str]:
    return {LABEL: lab, WORK_LABEL: str(work)}


def of_machine(lab: str, work: Work, machine: str) -> dict[str, str]:
    return {**of_lab(lab, work), MACHINE_LABEL: machine}


def from_this_host(labels: Labels) -> dict[str, str]:
    """These labels, and the one that names the host whose halab makes the thing."""
    return {**labels, HOST_LABEL: identity.of_this_host()}


def filters(labels: Labels, *others: str) -> dict[str, str | list[str] | bool]:
    """A filter for what carries all these labels; `others` are labels of any value, or `label=value`."""
    return {"label": [*(f"{name}={value}" for name, value in labels.items()), *others]}
