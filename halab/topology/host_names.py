"""The machines of a lab by their host names."""

from __future__ import annotations

from halab.topology.lab import Lab


def names_by_hostname(lab: Lab) -> dict[str, str]:
    """Host name → what halab calls the machine."""
    return {machine.hostname: machine.name for machine in lab.machines}
