"""Faults of systemd services."""

from __future__ import annotations

from halab.clock import NotYet, wait_for
from halab.config.load_balancer import balancers_on_machines
from halab.config.targets import FaultTarget
from halab.faults import units
from halab.faults.fault import Fault, Option, nothing_to_heal
from halab.faults.journal import Entry
from halab.faults.site import Site

_EFFECT_SECONDS = 60
SERVICE = Option(
    f"the name of a systemd service, or {units.BALANCER} for {balancers_on_machines()}",
    units.NAME,
    "kubelet",
)


def _service(site: Site, entry: Entry) -> str:
    return units.full_name(site, entry.options["service"])


def _require_active(site: Site, entry: Entry) -> None:
    units.require_active(site, entry.machine, entry.options["service"])


def _stop(site: Site, entry: Entry) -> str:
    service = entry.options["service"]
    site.guests.run(
        entry.machine, f"systemctl stop {_service(site, entry)}", timeout_seconds=units.SYSTEMD_SECONDS
    )

    def stopped() -> str:
        command = f"systemctl show -p ActiveState -p MainPID --value {_service(site, entry)}"
        state, pid = sorted(site.guests.run(entry.machine, command).output.split(), key=str.isdigit)
        if state not in ("inactive", "failed") or pid != "0":
            raise NotYet(f"{service} is {state}, with the process {pid}")
        return f"{service} is {state}"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{service} on {entry.machine} to stop", stopped, deadline, every_seconds=0.2)


def _start(site: Site, entry: Entry) -> None:
    # systemd refuses a service that failed to start too often, until its counter is reset
    command = f"systemctl reset-failed {_service(site, entry)} 2>/dev/null; systemctl start {_service(site, entry)}"
    site.guests.run(entry.machine, command, timeout_seconds=units.SYSTEMD_SECONDS)


def _restart(site: Site, entry: Entry) -> str:
    service = entry.options["service"]
    before = _invocation(site, entry)
    command = f"systemctl restart {_service(site, entry)}"
    site.guests.run(entry.machine, command, timeout_seconds=units.SYSTEMD_SECONDS)

    def restarted() -> str:
        now = _invocation(site, entry)
        if now in ("", before):
            raise NotYet(f"{service} has not restarted yet")
        return f"{service} was restarted"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{service} on {entry.machine} to restart", restarted, deadline, every_seconds=0.2)


def _invocation(site: Site, entry: Entry) -> str:
    """systemd's id of the current start of a service; empty if it does not run."""
    service = _service(site, entry)
    command = f"systemctl is-active -q {service} && systemctl show -p InvocationID --value {service}"
    return site.guests.run(entry.machine, command, check=False).output.strip()


FAULTS = (
    Fault(
        "stop-service",
        "Stop a systemd service until it is healed.",
        _stop,
        _start,
        {"service": SERVICE},
        target=FaultTarget.ANY,
        check=_require_active,
    ),
    Fault(
        "restart-service",
        "Stop a systemd service and start it again.",
        _restart,
        nothing_to_heal,
        {"service": SERVICE},
        target=FaultTarget.ANY,
        check=_require_active,
    ),
)
