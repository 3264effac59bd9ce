"""The fault of a systemd unit: stopped, disabled, masked or with another drop-in, until it is as it was before."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from halab.clock import NotYet, wait_for
from halab.config.load_balancer import balancers_on_machines
from halab.config.targets import FaultTarget
from halab.errors import BadUsage
from halab.faults import scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

# systemd gives a service 90 s to stop before it kills it.
SYSTEMD_SECONDS = 100
_ACTIVE_SECONDS = 60
# The name in scenarios for the service of the lab's load balancer.
BALANCER = "load-balancer"
NAME = r"[a-z][a-z0-9@._-]*"
_SUFFIXES = (".service", ".socket", ".timer", ".path", ".mount", ".target")
_NEEDED_TO_HEAL = re.compile(r"(sshd?|halab-.*|dbus|systemd-networkd)\.(service|socket)")
_STOP, _DISABLE, _MASK, _DROP_IN = "stop", "disable", "mask", "drop-in"
# The name of a drop-in begins with a high number: it wins over all others. The audit knows it.
DROP_IN = "99-halab-"

# What a unit is made of, and how it starts: the same before the fault and after the heal.
_FUNCTIONS = """
state() {{
  systemctl show -p LoadState -p UnitFileState -p FragmentPath -p DropInPaths {unit}
  for path in $(systemctl show -p FragmentPath -p DropInPaths --value {unit}); do sha256sum "$path"; done
}}
"""

_KEEP = """
mkdir -p {folder}
if [ ! -e {folder}/state ]; then
  echo {unit} >{folder}/unit
  systemctl is-active {unit} >{folder}/active
  state >{folder}/part && mv {folder}/part {folder}/state
fi
"""

# A unit whose own file is where the mask belongs cannot be masked: the file is moved away.
_ACTS = {
    _STOP: "systemctl stop {unit}",
    _DISABLE: "systemctl disable {unit}",
    _MASK: """
if [ -e {own} ] || [ -L {own} ]; then mv {own} {folder}/own; fi &&
systemctl mask {unit} && systemctl stop {unit}
""",
    _DROP_IN: """
if [ ! -d {own}.d ]; then touch {folder}/made && mkdir {own}.d; fi &&
cat >{drop_in} && systemctl daemon-reload &&
if {was_started}; then systemctl restart {unit}; sleep 1; fi
""",
}

_UNDO = """
if [ -e {folder}/state ]; then
  rm -f {drop_in}
  if [ -e {folder}/made ]; then rmdir {own}.d 2>/dev/null; fi
  if [ {action} = mask ] && [ "$(readlink {own})" = /dev/null ]; then rm {own}; fi
  if [ -e {folder}/own ] || [ -L {folder}/own ]; then mv {folder}/own {own}; fi
  systemctl daemon-reload
  if [ {action} = disable ]; then systemctl enable {unit}; fi
  if {was_started}; then
    systemctl reset-failed {unit} 2>/dev/null
    systemctl {start} {unit}
  fi
fi
true
"""

_COMPARE = """
if [ -e {folder}/state ]; then
  now=$(state) && active=$(systemctl is-active {unit})
  diff {folder}/state - <<<"$now" | grep '^[<>]'
  if [ "$(cat {folder}/active)" = active ] && [ "$active" != active ]; then echo "it is $active"; fi
fi
true
"""


def full_name(site: Site, name: str) -> str:
    """The name of a unit for a shell, with its suffix: `kubelet.service`."""
    if name.removesuffix(".service") == BALANCER:
        if not site.lab.balancing_machines:
            raise BadUsage(f"{site.lab.load_balancer.kind} is no service, but a static pod: {name}")
        name = site.lab.load_balancer.kind.service
    return shlex.quote(name if name.endswith(_SUFFIXES) else f"{name}.service")


def require_not_needed(site: Site, machine: str, name: str) -> None:
    if _NEEDED_TO_HEAL.fullmatch(full_name(site, name)):
        raise BadUsage(f"halab needs this service to heal {machine}: {name}")


def require_active(site: Site, machine: str, name: str) -> None:
    """Refuse a unit that does not run: the heal would start it."""
    require_not_needed(site, machine, name)
    done = site.guests.run(machine, f"systemctl is-active {full_name(site, name)}", check=False)
    state = done.output.strip() or "unknown"
    if state != "active":
        raise BadUsage(f"not an active service on {machine}: {name} ({state})")


def restart(site: Site, machine: str, name: str) -> str:
    """Restart a unit, which may fail, and say what state it is in a second later."""
    unit = full_name(site, name)
    command = f"systemctl restart {unit}; sleep 1; systemctl is-active {unit}"
    done = site.guests.run(machine, command, timeout_seconds=SYSTEMD_SECONDS, check=False)
    return f"{name} is {_last_word(done.output)}"


def restart_until_active(site: Site, machine: str, name: str) -> None:
    unit = full_name(site, name)
    # systemd refuses a unit that failed to start too often, until its counter is reset
    command = f"systemctl reset-failed {unit} 2>/dev/null; systemctl restart {unit}"
    site.guests.run(machine, command, timeout_seconds=SYSTEMD_SECONDS)

    def active() -> None:
        state = site.guests.run(machine, f"systemctl is-active {unit}", check=False).output.strip()
        if state != "active":
            raise NotYet(f"it is {state}")

    deadline = site.deadline(_ACTIVE_SECONDS)
    wait_for(f"{name} on {machine} to be active", active, deadline, every_seconds=0.5)


def _require_text(options: Mapping[str, str]) -> Iterator[str]:
    if (options["action"] == _DROP_IN) is not ("text" in options):
        yield "text is the content of a drop-in: give it with `action: drop-in`, and only there"


def _require_possible(site: Site, entry: Entry) -> None:
    name, machine, action = entry.options["unit"], entry.machine, entry.options["action"]
    require_not_needed(site, machine, name)
    unit = full_name(site, name)
    taken = f"grep -lsxF {unit} {scratch.KEPT}/*/unit | head -n 1"
    show = f"systemctl show -p LoadState -p UnitFileState -p ActiveState {unit}"
    lines = site.guests.run(machine, f"{show}; {taken}").output.splitlines()
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    if len(lines) > len(seen):
        raise BadUsage(f"another fault has changed {name} on {machine}", hint="heal that one first")
    if seen.get("LoadState") == "not-found":
        raise BadUsage(f"no such unit on {machine}: {name}")
    if seen.get("LoadState") == "masked":
        raise BadUsage(f"already masked on {machine}: {name}")
    if action == _STOP and seen.get("ActiveState") != "active":
        raise BadUsage(f"not active on {machine}: {name} ({seen.get('ActiveState')})")
    if action == _DISABLE and seen.get("UnitFileState") != "enabled":
        raise BadUsage(f"not enabled on {machine}: {name} ({seen.get('UnitFileState') or 'no unit file'})")


def _change(site: Site, entry: Entry) -> str:
    name, machine, action = entry.options["unit"], entry.machine, entry.options["action"]
    unit = full_name(site, name)
    show = f"systemctl show -p ActiveState -p UnitFileState -p DropInPaths --value {unit}"
    command = _commands(site, entry, f"{_KEEP.strip()}\n{_ACTS[action].strip()}")
    site.guests.run(
        machine,
        scratch.locked(command),
        input=entry.options.get("text"),
        timeout_seconds=SYSTEMD_SECONDS,
        # the unit may not start with its drop-in
        check=action != _DROP_IN,
    )

    def changed() -> str:
        words = site.guests.run(machine, show).output.split()
        if action in (_STOP, _MASK) and not {"inactive", "failed"} & set(words):
            raise NotYet(f"it is {', '.join(words)}")
        wanted = {_DISABLE: "disabled", _MASK: "masked", _DROP_IN: _drop_in(unit, entry)}
        if action in wanted and wanted[action] not in words:
            raise NotYet(f"it is not {wanted[action]}: {', '.join(words)}")
        return f"{name} is {', '.join(words)}"

    deadline = site.deadline(_ACTIVE_SECONDS)
    return wait_for(f"{name} on {machine} to change ({action})", changed, deadline, every_seconds=0.2)


def _restore(site: Site, entry: Entry) -> None:
    """Undo the change, and wait until the unit is as before. The unit may not have changed at all."""
    name, machine = entry.options["unit"], entry.machine
    undo = scratch.locked(_commands(site, entry, _UNDO))
    site.guests.run(machine, undo, timeout_seconds=SYSTEMD_SECONDS)

    def as_before() -> None:
        differences = site.guests.run(machine, _commands(site, entry, _COMPARE)).output.splitlines()
        if differences:
            raise NotYet("; ".join(differences))

    deadline = site.deadline(_ACTIVE_SECONDS)
    wait_for(f"{name} on {machine} to be as before the fault", as_before, deadline, every_seconds=0.5)
    site.guests.run(machine, scratch.forget(entry))


def _commands(site: Site, entry: Entry, commands: str) -> str:
    unit, action = full_name(site, entry.options["unit"]), entry.options["action"]
    return (_FUNCTIONS.strip() + "\n" + commands.strip()).format(
        unit=unit,
        own=_own(unit),
        folder=scratch.folder(entry),
        action=action,
        drop_in=_drop_in(unit, entry),
        # a unit that fails and is started again and again is `activating`
        was_started=f"grep -qE '^(active|activating|reloading)$' {scratch.folder(entry)}/active",
        start="restart" if action == _DROP_IN else "start",
    )


def _own(unit: str) -> str:
    """The path of a unit's own file, which wins over those of packages."""
    return f"/etc/systemd/system/{unit}"


def _drop_in(unit: str, entry: Entry) -> str:
    return f"{_own(unit)}.d/{DROP_IN}{entry.id}.conf"


def _last_word(text: str) -> str:
    return (text.split() or ["unknown"])[-1]


FAULTS = (
    Fault(
        "unit",
        "Stop, disable or mask a systemd unit, or give it a drop-in, until it is healed.",
        _change,
        _restore,
        {
            "unit": Option(f"a systemd unit, or {BALANCER} for {balancers_on_machines()}", NAME, "kubelet"),
            "action": Option(
                "stop, disable (it does not start at the next boot), mask (stop it, and refuse every start) or drop-in",
                "|".join((_STOP, _DISABLE, _MASK, _DROP_IN)),
                "mask",
            ),
            "text": Option("the content of the drop-in, or a file with it", default="", is_text=True),
        },
        target=FaultTarget.ANY,
        check=_require_possible,
        rule=_require_text,
    ),
)
