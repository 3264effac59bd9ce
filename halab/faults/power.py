"""Faults of whole machines: the plug pulled, the reset button, a machine that hangs, one that is lost for good."""

from __future__ import annotations

from halab.clock import NotYet, wait_for
from halab.errors import BadUsage, LabProblem, ScriptFailed, Unreachable
from halab.faults.fault import Fault, Place
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.guests import Guests
from halab.machines.power import State

_EFFECT_SECONDS = 30
# A container answers over SSH 0.7 s after its start, a virtual machine under KVM after 10 to 20 s.
_BOOT_SECONDS = 120


def incarnation(guests: Guests, machine: str) -> str:
    """Changes whenever the machine is started: its kernel's boot, and when its init started.

    A container has its host's kernel, and the init of a virtual machine starts as long after each boot: it takes both.
    """
    command = "cat /proc/sys/kernel/random/boot_id && sed 's/.*) //' /proc/1/stat | cut -d' ' -f20"
    return "/".join(guests.run(machine, command).output.split())


def wait_until_started(site: Site, machine: str, *, after: str = "") -> None:
    """Until a machine answers over SSH, and is another incarnation than the one before."""

    def answer() -> None:
        try:
            if incarnation(site.guests, machine) == after:
                raise NotYet("it was not started anew")
        except Unreachable as error:
            raise NotYet(error.message) from error

    wait_for(f"{machine} to start", answer, site.deadline(_BOOT_SECONDS), every_seconds=0.2)


def _wait_for_state(site: Site, machine: str, wanted: State) -> str:
    def reached() -> str:
        state = site.power.state(machine)
        if state is not wanted:
            raise NotYet(f"it is {state}")
        return f"{machine} is {state}"

    return wait_for(f"{machine} to be {wanted}", reached, site.deadline(_EFFECT_SECONDS), every_seconds=0.1)


def _cut(site: Site, entry: Entry) -> str:
    site.power.cut(entry.machine)
    return _wait_for_state(site, entry.machine, State.OFF)


def _switch_on(site: Site, entry: Entry) -> None:
    site.power.start(entry.machine)
    if site.power.state(entry.machine) is State.RUNNING:
        wait_until_started(site, entry.machine)


def _reset(site: Site, entry: Entry) -> str:
    before = incarnation(site.guests, entry.machine)
    site.power.cut(entry.machine)
    return _start_anew(site, entry.machine, before)


def _reboot(site: Site, entry: Entry) -> str:
    before = incarnation(site.guests, entry.machine)
    site.power.shut_down(entry.machine)
    return _start_anew(site, entry.machine, before)


def _start_anew(site: Site, machine: str, before: str) -> str:
    _wait_for_state(site, machine, State.OFF)
    site.power.start(machine)
    wait_until_started(site, machine, after=before)
    return f"{machine} was off, and has started anew"


def _freeze(site: Site, entry: Entry) -> str:
    site.power.freeze(entry.machine)
    return _wait_for_state(site, entry.machine, State.FROZEN)


def _thaw(site: Site, entry: Entry) -> None:
    site.power.thaw(entry.machine)
    if site.power.state(entry.machine) is State.RUNNING:
        wait_until_started(site, entry.machine)


def _lose(site: Site, entry: Entry) -> str:
    site.power.remove(entry.machine)
    return _wait_for_state(site, entry.machine, State.GONE)


def _join_without_removing(site: Site, entry: Entry) -> str:
    site.power.remove(entry.machine)
    _wait_for_state(site, entry.machine, State.GONE)
    member = f"{site.lab.machine(entry.machine).address}:2379"
    try:
        site.remake(entry.machine, forget=False)
    except ScriptFailed as error:
        if error.script != "join.sh" or member not in error.output:
            raise
        return f"the join came to nothing: the member that etcd still lists does not answer at {member}"
    raise LabProblem(f"{entry.machine} has joined, although its old member was still listed")


def _remake(site: Site, entry: Entry) -> None:
    site.remake(entry.machine)


def _require_another(site: Site, entry: Entry) -> None:
    """A control plane is joined to the others: the only one would take the cluster with it."""
    if [machine.name for machine in site.lab.control_planes] == [entry.machine]:
        raise BadUsage(f"the only control plane of the lab cannot be joined anew: {entry.machine}")


FAULTS = (
    Fault(
        "cut-power",
        "Pull a machine's plug: nothing in it is told, and it stays off until it is healed.",
        _cut,
        _switch_on,
        place=Place.ANY,
    ),
    Fault(
        "reset",
        "Press a machine's reset button: it is off at once, and starts again.",
        _reset,
        _switch_on,
        place=Place.ANY,
        is_lasting=False,
    ),
    Fault(
        "reboot",
        "Shut a machine down in good order, and start it again.",
        _reboot,
        _switch_on,
        place=Place.ANY,
        is_lasting=False,
    ),
    Fault(
        "freeze",
        "Stop every process of a machine where it stands, as a hypervisor that hangs, until it is healed.",
        _freeze,
        _thaw,
        place=Place.ANY,
    ),
    Fault(
        "lose-machine",
        "Destroy a machine with its disks; healed by a new one that joins in its place.",
        _lose,
        _remake,
        place=Place.ANY,
        check=_require_another,
    ),
    Fault(
        "join-without-removing",
        "Destroy a control plane and let a new one try to join while etcd still lists the old member.",
        _join_without_removing,
        _remake,
        place=Place.CONTROL_PLANE,
        check=_require_another,
    ),
)
