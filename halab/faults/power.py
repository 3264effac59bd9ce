"""Faults of whole machines: power cut, reset, reboot, freeze."""

from __future__ import annotations

from halab.clock import NotYet, wait_for
from halab.config.fault_facts import FREEZE
from halab.config.lab import ProviderKind
from halab.config.lab_traits import Capability
from halab.config.targets import FaultTarget
from halab.errors import Unreachable
from halab.faults import processes
from halab.faults.fault import Fault
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.guests import Guests, set_clock
from halab.machines.power import PowerState

_EFFECT_SECONDS = 30
# On an unsafe disk, a power cut may lose flushed data: a run would prove nothing.
_SAFE_DISK = frozenset({Capability.SAFE_DISK})
# A container answers over SSH 0.7 s after its start, a virtual machine under KVM after 10 to 20 s.
_BOOT_SECONDS = 120
# Also exits with 1 if a unit has failed.
_SYSTEM_STATE = "systemctl is-system-running"


def incarnation(guests: Guests, machine: str) -> str:
    """A text that changes with every start of the machine: the id of the kernel's boot, and the start time of init.

    Both are needed: a container shares its host's kernel, and the init of a virtual machine always starts at the same
    time after the boot.
    """
    command = f"cat /proc/sys/kernel/random/boot_id && {processes.start_time('1')}"
    return "/".join(guests.run(machine, command).output.split())


def wait_until_started(site: Site, machine: str, *, after: str = "") -> None:
    """Wait until a machine answers over SSH and is another incarnation than `after`.

    If halab was killed during a reboot, the machine may still be shutting down: it is started when it is off.
    """

    def answer() -> None:
        if site.power.state(machine) is PowerState.OFF:
            site.power.start(machine)
        try:
            if incarnation(site.guests, machine) == after:
                raise NotYet("it has not restarted yet")
            if site.guests.run(machine, _SYSTEM_STATE, check=False).output.strip() == "stopping":
                raise NotYet("it is shutting down")
        except Unreachable as error:
            raise NotYet(error.message) from error

    wait_for(f"{machine} to start", answer, site.deadline(_BOOT_SECONDS), every_seconds=0.2)


def wait_for_state(site: Site, machine: str, wanted: PowerState) -> str:
    def reached() -> str:
        state = site.power.state(machine)
        if state is not wanted:
            raise NotYet(f"it is {state}")
        return f"{machine} is {state}"

    return wait_for(f"{machine} to be {wanted}", reached, site.deadline(_EFFECT_SECONDS), every_seconds=0.1)


def _cut(site: Site, entry: Entry) -> str:
    site.power.cut(entry.machine)
    return wait_for_state(site, entry.machine, PowerState.OFF)


def _switch_on(site: Site, entry: Entry) -> None:
    site.power.start(entry.machine)
    if site.power.state(entry.machine) is PowerState.RUNNING:
        wait_until_started(site, entry.machine)


def _reset(site: Site, entry: Entry) -> str:
    before = incarnation(site.guests, entry.machine)
    site.power.reset(entry.machine)
    wait_until_started(site, entry.machine, after=before)
    return f"{entry.machine} was reset and has started again"


def _reboot(site: Site, entry: Entry) -> str:
    before = incarnation(site.guests, entry.machine)
    site.power.shut_down(entry.machine)
    return _start_again(site, entry.machine, before)


def _start_again(site: Site, machine: str, before: str) -> str:
    wait_for_state(site, machine, PowerState.OFF)
    site.power.start(machine)
    wait_until_started(site, machine, after=before)
    return f"{machine} was off and has started again"


def _freeze(site: Site, entry: Entry) -> str:
    site.power.freeze(entry.machine)
    return wait_for_state(site, entry.machine, PowerState.FROZEN)


def _thaw(site: Site, entry: Entry) -> None:
    was = site.power.state(entry.machine)
    site.power.thaw(entry.machine)
    if site.power.state(entry.machine) is PowerState.RUNNING:
        wait_until_started(site, entry.machine)
    if was is PowerState.RUNNING and site.lab.provider is ProviderKind.LIBVIRT:
        # an interrupted heal did not set the clock, which had stopped; a container shares its host's clock
        set_clock(site.guests, entry.machine, site.clock, site.lab.patience)


FAULTS = (
    Fault(
        "cut-power",
        "Cut a machine's power without a shutdown; it stays off until it is healed.",
        _cut,
        _switch_on,
        target=FaultTarget.ANY,
        needs=_SAFE_DISK,
    ),
    Fault(
        "reset",
        "Press a machine's reset button: it stops at once and starts again.",
        _reset,
        _switch_on,
        target=FaultTarget.ANY,
        needs=_SAFE_DISK,
    ),
    Fault(
        "reboot",
        "Shut a machine down cleanly and start it again.",
        _reboot,
        _switch_on,
        target=FaultTarget.ANY,
    ),
    Fault(
        FREEZE,
        "Freeze a whole machine, as if its hypervisor hung, until it is healed.",
        _freeze,
        _thaw,
        target=FaultTarget.ANY,
    ),
)
