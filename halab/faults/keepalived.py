"""The fault of keepalived: it runs with settings other than the lab's, or with another configuration."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from halab.clock import NotYet, wait_for
from halab.config.keepalived import BalancerCheck, Keepalived, Vrrp
from halab.config.loading import listed
from halab.config.own_file import OwnFile
from halab.config.targets import FaultTarget
from halab.errors import BadUsage, LabProblem, Unable
from halab.faults import scratch
from halab.faults.fault import Fault, Option, settings_or_file
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.topology import keepalived
from halab.topology.balancer import NEW, BalancerFile

_NAME = "edit-keepalived"
_CONFIG = "config"
_ORIGINAL = "keepalived-original"
_EFFECT_SECONDS = 30
# keepalived says so when it reads its configuration again. It keeps its state, and so the address.
_RELOADS = "Reloading"


def _require_pair(site: Site, entry: Entry) -> None:
    lab = site.lab
    if lab.virtual_address is None or not lab.balancers:
        raise Unable("the lab has no keepalived: write `load_balancer: {machines: 2}`")
    if lab.keepalived_file and _CONFIG not in entry.options:
        raise Unable(
            f"keepalived runs with {lab.keepalived_file.path.name}, in which halab cannot change single settings: "
            f"give {_NAME} another file with `{_CONFIG}`"
        )
    kept = f"{scratch.KEPT}/*/{_ORIGINAL}"
    if site.guests.run(entry.machine, f"ls {kept} 2>/dev/null || true").output.strip():
        raise LabProblem(f"another fault has changed keepalived on {entry.machine}: heal it first")


def _edit(site: Site, entry: Entry) -> str:
    file, folder = _file(site, entry), scratch.folder(entry)
    site.guests.run(
        entry.machine,
        f"{scratch.make(entry)} && cp -p {file.path} {folder}/part && mv {folder}/part {folder}/{_ORIGINAL} && "
        # the lab's own file has the name of the NIC in it
        f'nic=$({_nic(site, entry)}) && {{ sed "s/{keepalived.NIC}/$nic/g" >{file.new} && {file.test_new} >&2 && '
        f"mv -f {file.new} {file.path} || {{ rm -f {file.new}; false; }}; }}",
        input=file.text,
    )
    _reload(site, entry.machine)
    given = ", ".join(f"{name}={value}" for name, value in sorted(entry.options.items()) if name != _CONFIG)
    return f"keepalived runs with {given or 'the configuration of the fault'}"


def _restore(site: Site, entry: Entry) -> None:
    original = f"{scratch.folder(entry)}/{_ORIGINAL}"
    # halab may have been killed before the new file replaced the lab's own
    command = (
        f"rm -f {keepalived.PATH}{NEW}; "
        f"if [ -e {original} ]; then cp -p {original} {keepalived.PATH} && echo changed; fi"
    )
    if site.guests.run(entry.machine, command).output.strip():
        _reload(site, entry.machine)
    site.guests.run(entry.machine, scratch.forget(entry))


def _file(site: Site, entry: Entry) -> BalancerFile:
    lab, machine, options = site.lab, site.lab.machine(entry.machine), entry.options
    if _CONFIG in options:
        return keepalived.from_file(lab, machine, OwnFile(Path(f"{_NAME}.{_CONFIG}"), options[_CONFIG]))
    try:
        changed = Keepalived.model_validate(options)
    except ValidationError as error:
        raise BadUsage(f"{_NAME} is not possible here: {error.errors()[0]['msg']}") from error
    settings = lab.load_balancer.keepalived.model_copy(
        update={name: getattr(changed, name) for name in options}
    )
    return keepalived.from_settings(lab, machine, settings)


def _nic(site: Site, entry: Entry) -> str:
    address = site.lab.machine(entry.machine).address
    return f"ip -4 -o address show to {address}/32 | awk 'NR == 1 {{ print $2 }}'"


def _reload(site: Site, machine: str) -> None:
    """Let keepalived read its file, and wait until it has. One that is stopped reads it when it starts."""
    unit = keepalived.SERVICE
    asked = site.guests.run(
        machine,
        f"if systemctl is-active -q {unit}; then journalctl -u {unit} -n 0 --show-cursor | tail -n 1; "
        f"systemctl reload {unit}; fi",
    ).output
    cursor = asked.partition("-- cursor: ")[2].strip()
    if not cursor:
        return

    def reloaded() -> None:
        asked = f"systemctl is-active {unit}; journalctl -u {unit} -o cat --after-cursor='{cursor}'"
        state, *said = site.guests.run(machine, asked, check=False).output.splitlines()
        if state != "active" or not any(_RELOADS in line for line in said):
            raise NotYet(f"it is {state}")

    wait_for(
        f"{unit} on {machine} to have reloaded", reloaded, site.deadline(_EFFECT_SECONDS), every_seconds=0.2
    )


_OPTIONS = {
    _CONFIG: Option("a whole configuration, or a file with it", default="", is_text=True),
    "check": Option(
        f"{listed(BalancerCheck)} (the condition for having the address)",
        "|".join(BalancerCheck),
        "none",
        "",
    ),
    "preempt": Option("true or false (the address returns to lb1)", "true|false", "false", ""),
    "vrrp": Option(f"{listed(Vrrp)} (how the machines reach each other)", "|".join(Vrrp), "unicast", ""),
    "router_id": Option("the virtual router's id, 1 to 255", r"[1-9]\d?|1\d\d|2[0-4]\d|25[0-5]", "52", ""),
}

FAULTS = (
    Fault(
        _NAME,
        "Run keepalived with other settings or with another configuration, until it is healed.",
        _edit,
        _restore,
        _OPTIONS,
        target=FaultTarget.BALANCER,
        check=_require_pair,
        rule=settings_or_file(_NAME, _OPTIONS, _CONFIG),
    ),
)
