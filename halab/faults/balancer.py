"""The fault of the load balancer: it runs with settings other than the lab's."""

from __future__ import annotations

from halab.clock import NotYet, wait_for
from halab.config.fault_facts import EDIT_BALANCER
from halab.config.lab import BackendCheck, checking_balancers
from halab.config.targets import FaultTarget
from halab.errors import BadUsage
from halab.faults import scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.topology import files
from halab.topology.files import BalancerFile, BalancerSettings

_EFFECT_SECONDS = 60
# Lines of `name=value`, in the folder of every open fault: several faults may change settings at the same time.
_SETTINGS = "balancer-settings"


def _require_settings(site: Site, entry: Entry) -> None:
    if not entry.options:
        raise BadUsage(f"{EDIT_BALANCER} changes nothing: set check, idle_timeout or connections")
    kind = site.lab.load_balancer.kind
    if "check" in entry.options and not kind.checks_backends:
        raise BadUsage(f"only {checking_balancers()} has the option check: {kind} checks passively")


def _edit(site: Site, entry: Entry) -> str:
    settings = "".join(f"{name}={value}\n" for name, value in sorted(entry.options.items()))
    site.guests.run(
        entry.machine,
        f"{scratch.make(entry)} && cat >{scratch.folder(entry)}/{_SETTINGS}",
        input=settings,
    )
    _apply(site, entry.machine)
    return f"{site.lab.load_balancer.kind} runs with {', '.join(settings.splitlines())}"


def _restore(site: Site, entry: Entry) -> None:
    folder = scratch.folder(entry)
    # remove the folder last: while it exists, the balancer may still run with its settings
    command = f"if [ -d {folder} ]; then rm -f {folder}/{_SETTINGS}; echo changed; fi"
    if site.guests.run(entry.machine, command).output.strip():
        _apply(site, entry.machine)
        site.guests.run(entry.machine, scratch.forget(entry))


def _apply(site: Site, machine: str) -> None:
    """Render the settings of all open faults, the newest last, and wait until the balancer runs with them."""
    output = site.guests.run(
        machine, f"cat $(ls -tr {scratch.KEPT}/*/{_SETTINGS} 2>/dev/null) </dev/null"
    ).output
    configuration = files.balancer(
        site.lab, _settings(dict(line.split("=", 1) for line in output.splitlines()))
    )
    push(site, machine, configuration)


def _settings(written: dict[str, str]) -> BalancerSettings:
    return BalancerSettings(
        check=BackendCheck(written["check"]) if "check" in written else None,
        idle_timeout=written.get("idle_timeout"),
        connections=int(written["connections"]) if "connections" in written else None,
    )


def push(site: Site, machine: str, configuration: BalancerFile) -> None:
    """Install a configuration, and wait until all workers of the balancer have started with it."""
    path, service = configuration.path, configuration.service
    workers = f"pgrep -P $(systemctl show -p MainPID --value {service})"
    before = site.guests.run(
        machine,
        f"cat >{path}.halab-new && mv -f {path}.halab-new {path} && {configuration.test} && "
        # a balancer that is stopped reads it when it starts
        f"if systemctl is-active -q {service}; then {workers}; systemctl reload {service}; fi",
        input=configuration.text,
    ).output.split()

    def reloaded() -> None:
        now = site.guests.run(machine, f"{workers} || true").output.split()
        left = sorted(set(now) & set(before))
        if left or not now:
            raise NotYet(f"the old workers still run: {', '.join(left)}" if left else "no worker runs")

    if before:
        deadline = site.deadline(_EFFECT_SECONDS)
        wait_for(f"{service} on {machine} to have reloaded", reloaded, deadline, every_seconds=0.2)


FAULTS = (
    Fault(
        EDIT_BALANCER,
        "Run the load balancer with settings other than the lab's, until it is healed.",
        _edit,
        _restore,
        {
            "check": Option(
                f"{' or '.join(BackendCheck)} (how {checking_balancers()} checks the API servers)",
                "|".join(BackendCheck),
                "tcp",
                "",
            ),
            "idle_timeout": Option(
                "the time that a connection may be idle", r"[1-9][0-9]*(ms|s|m|h)", "5s", ""
            ),
            "connections": Option("the number of clients served at once", r"[1-9][0-9]{0,3}", "20", ""),
        },
        target=FaultTarget.BALANCER,
        check=_require_settings,
    ),
)
