"""Faults of etcd members: data that is lost or corrupt, and a leader that is moved."""

from __future__ import annotations

import re

from halab.clock import NotYet, wait_for
from halab.cluster import etcd, voters
from halab.config.targets import FaultTarget
from halab.errors import BadUsage, HalabError, LabProblem
from halab.faults import members
from halab.faults.fault import Fault, nothing_to_heal
from halab.faults.journal import Entry
from halab.faults.scratch import folder
from halab.faults.site import Site

# The kubelet starts a member again 2 s after it was killed, or after 10 to 20 s if it was killed before.
_EFFECT_SECONDS = 120
_DEFRAGMENT_SECONDS = 120

# A record of the log is 8 bytes of length (the upper byte: padding) and a message that ends with its data. Zeros follow
# the last record, up to 64 MB. The record in the middle is changed: etcd repairs a torn last record.
_CORRUPT = r"""
perl -we '
  use strict;
  my $path = (sort glob("{data}/wal/*.wal"))[-1];
  open(my $log, "+<:raw", $path) or die "$path: $!\n";
  my (@ends, $head);
  my $at = 0;
  while (sysread($log, $head, 8) == 8) {{
    my ($low, $high) = unpack("V V", $head);
    last unless $low or $high;
    my $padding = $high & 0x80000000 ? ($high >> 24) & 7 : 0;
    push @ends, $at + 8 + $low;
    $at += 8 + $low + $padding;
    sysseek($log, $at, 0);
  }}
  die "$path: " . @ends . " records are too few\n" if @ends < 4;
  my $place = $ends[$#ends / 2] - 1;
  sysseek($log, $place, 0); sysread($log, my $byte, 1);
  sysseek($log, $place, 0); syswrite($log, chr(ord($byte) ^ 0xff));
  print "byte $place of $at in $path\n";
'
"""


def _move_leader(site: Site, entry: Entry) -> str:
    lab = site.lab
    said = voters.hand_over(site.guests, lab, site.clock, entry.machine, to=lab.members)
    if not said:
        raise LabProblem(f"etcd on {entry.machine} does not lead any more")
    return said


def _require_leader(site: Site, entry: Entry) -> None:
    if not etcd.status(site.guests, entry.machine).leads:
        raise BadUsage(
            f"the etcd member on {entry.machine} is not the leader", hint="use the target etcd-leader"
        )


def _lose_data(site: Site, entry: Entry) -> str:
    """Remove the data. If the leader is still the one from before, the member exits; a new leader accepts it."""
    machine = entry.machine
    members.crash_and_damage_for_good(site, entry, f"rm -rf {members.DATA}")

    def seen() -> str:
        last = etcd_last_words(site, entry)
        if last is not None:
            return f"etcd on {machine} exits as soon as it is started: {last}"
        try:
            member = etcd.status(site.guests, machine)
        except HalabError as error:
            raise NotYet("it has neither failed nor rejoined") from error
        if not member.leader_id:
            raise NotYet("it knows no leader")
        return f"etcd on {machine} rejoined without its data, in term {member.term}"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"etcd on {machine} to be started without its data", seen, deadline, every_seconds=0.3)


def _corrupt(site: Site, entry: Entry) -> str:
    said = members.crash_and_damage(site, entry, _CORRUPT.format(data=members.DATA).strip())

    def failed() -> str:
        last = etcd_last_words(site, entry)
        if last is None:
            raise NotYet("it has not failed")
        return f"{said}: etcd on {entry.machine} exits as soon as it is started: {last}"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(
        f"etcd on {entry.machine} to fail because of its damaged data", failed, deadline, every_seconds=0.3
    )


def etcd_last_words(site: Site, entry: Entry) -> str | None:
    """Why etcd ended, from its logs since its data was damaged; None if it did not end."""
    command = (
        f"find /var/log/pods/kube-system_etcd-*/etcd -name '*.log' -newer {folder(entry)} "
        """-exec grep -hE '"level":"(panic|fatal)"' {} + | tail -n 1"""
    )
    line = site.guests.run(entry.machine, command).output.strip()
    if not line:
        return None
    said = dict(re.findall(r'"(msg|error)":"((?:[^"\\]|\\.)*)"', line))
    return ": ".join(said[name] for name in ("msg", "error") if name in said) or line[:200]


def _defragment(site: Site, entry: Entry) -> str:
    """etcd does not answer while it rewrites its file. That is the effect, and it is over when this returns."""
    limit = _DEFRAGMENT_SECONDS * site.lab.patience
    before = etcd.status(site.guests, entry.machine).database_bytes
    site.guests.run(entry.machine, etcd.command("defrag", limit_seconds=limit), timeout_seconds=limit + 10)
    after = etcd.status(site.guests, entry.machine).database_bytes
    return f"the database of {entry.machine} has {after:,} bytes, after {before:,}"


FAULTS = (
    Fault(
        "defragment",
        "Defragment the database of an etcd member, which does not answer until that is done.",
        _defragment,
        nothing_to_heal,
        target=FaultTarget.MEMBER,
    ),
    Fault(
        "move-etcd-leader",
        "Make the etcd leader hand over its leadership to another member.",
        _move_leader,
        nothing_to_heal,
        target=FaultTarget.MEMBER,
        check=_require_leader,
    ),
    Fault(
        "lose-etcd-data",
        "Kill an etcd member and remove its data before it starts again; healing adds a new member in its place.",
        _lose_data,
        members.recover,
        target=FaultTarget.MEMBER,
        check=members.require_others,
    ),
    Fault(
        "corrupt-wal",
        "Kill an etcd member and flip a byte in its write-ahead log; healing adds a new member in its place.",
        _corrupt,
        members.recover,
        target=FaultTarget.MEMBER,
        check=members.require_others,
    ),
)
