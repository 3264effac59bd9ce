"""The fault of etcd's quota: one member is full, and no member accepts writes while it raises an alarm."""

from __future__ import annotations

from halab.clock import NotYet, wait_for
from halab.cluster import etcd
from halab.config.targets import FaultTarget
from halab.errors import CommandFailed, HalabError, LabProblem
from halab.faults import manifests, scratch
from halab.faults.fault import Fault
from halab.faults.journal import Entry
from halab.faults.site import Site

_EFFECT_SECONDS = 120
_HEAL_SECONDS = 240
# Above the size of the member's database: a few large values fill it, the writes of the cluster itself do not.
_ROOM_BYTES = 8 << 20
# etcd takes requests of up to 1.5 MiB.
_VALUE_BYTES = 1 << 20
_MOST_VALUES = 16
_ALARM = "alarm:NOSPACE"


def _exhaust(site: Site, entry: Entry) -> str:
    quota = etcd.status(site.guests, entry.machine).database_bytes + _ROOM_BYTES
    manifests.edit(site, entry, "etcd", f"--quota-backend-bytes={quota}")
    wait_for(
        f"etcd on {entry.machine} to serve again",
        lambda: _serve(site, entry),
        site.deadline(_EFFECT_SECONDS),
    )
    for number in range(_MOST_VALUES):
        # etcd refuses the value that does not fit, and raises the alarm
        put = etcd.command(f"put {_prefix(entry)}{number}")
        site.guests.run(
            entry.machine,
            scratch.locked(f"head -c {_VALUE_BYTES} /dev/zero | tr '\\0' x | {put}"),
            check=False,
        )
        member = etcd.status(site.guests, entry.machine)
        if any(_ALARM in problem for problem in member.problems):
            return (
                f"{', '.join(member.problems)}: etcd on {entry.machine} has "
                f"{member.database_bytes} of {quota} bytes"
            )
    raise LabProblem(f"etcd on {entry.machine} accepted {_MOST_VALUES} values, but raised no alarm")


def _make_room(site: Site, entry: Entry) -> None:
    """Delete the values, free the space, and restore the quota last, because that restarts the member."""
    deadline = site.deadline(_HEAL_SECONDS)
    what = "etcd to have free space and no alarm"
    # a write of a value may still run
    site.guests.run(entry.machine, scratch.locked("true"))
    wait_for(what, lambda: _free(site, entry), deadline)
    manifests.restore(site, entry, "etcd")


def _free(site: Site, entry: Entry) -> None:
    try:
        deleted = _ask(site, entry, f"del --prefix {_prefix(entry)}").strip()
        if deleted == "0" and not _ask(site, entry, "alarm list").strip():
            return
        _compact(site, entry)
        # one after another: a member does not answer while it defragments
        for machine in site.lab.members:
            site.guests.run(machine.name, etcd.command("defrag", limit_seconds=30), timeout_seconds=40)
        _ask(site, entry, "alarm disarm")
    except HalabError as error:
        raise NotYet(error.message.splitlines()[-1][:200]) from error
    raise NotYet("an alarm was disarmed and may be raised again")


def _compact(site: Site, entry: Entry) -> None:
    status = _ask(site, entry, "endpoint status --write-out=json")
    try:
        _ask(site, entry, f"compaction --physical {etcd.parse_status(entry.machine, status).revision}")
    except CommandFailed as error:
        if "has been compacted" not in error.output:
            raise


def _serve(site: Site, entry: Entry) -> None:
    try:
        site.guests.run(entry.machine, etcd.command("endpoint health"))
    except HalabError as error:
        raise NotYet(error.message.splitlines()[-1][:200]) from error


def _ask(site: Site, entry: Entry, arguments: str) -> str:
    return etcd.through_any(site.guests, site.lab, entry.machine, arguments)


def _prefix(entry: Entry) -> str:
    return f"/halab/fill/{entry.id}/"


FAULTS = (
    Fault(
        "exhaust-etcd-quota",
        "Give one etcd member a small quota and fill it, so that no member accepts writes; healing frees the space.",
        _exhaust,
        _make_room,
        target=FaultTarget.MEMBER,
        check=lambda site, entry: manifests.require_untouched(site, entry.machine, "etcd"),
    ),
)
