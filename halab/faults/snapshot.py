"""Faults of etcd snapshots: save one, and lose a majority that only a restore brings back."""

from __future__ import annotations

from halab.clock import NotYet, wait_for
from halab.cluster import etcd
from halab.config.fault_facts import SNAPSHOT
from halab.config.targets import FaultTarget
from halab.errors import BadUsage, HalabError
from halab.faults import manifests, members, scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.guests import on_all
from halab.topology.lab import Machine

_API_SERVER = "kube-apiserver"
_SNAPSHOT_SECONDS = 60
_EFFECT_SECONDS = 60
# A restored member starts as any static pod does: 8 to 14 s.
_SERVE_SECONDS = 120
# Clients have seen revisions that are newer than the snapshot: new revisions must be higher. The figure is from etcd's
# guide to disaster recovery: a week of 1500 writes a second.
_BUMP = 1_000_000_000


def _save(site: Site, entry: Entry) -> str:
    part, path = f"{scratch.folder(entry)}/part", f"{scratch.folder(entry)}/snapshot.db"
    site.guests.run(
        entry.machine,
        scratch.locked(
            f"{scratch.make(entry)} && {etcd.command(f'snapshot save {part}', limit_seconds=_SNAPSHOT_SECONDS)} && "
            f"mv {part} {path}"
        ),
        timeout_seconds=_SNAPSHOT_SECONDS + 10,
    )
    command = f"etcdutl snapshot status {path} --write-out=simple"
    digest, revision, keys, *_ = site.guests.run(entry.machine, command).output.split(", ")
    return f"{path} holds {keys} keys at revision {revision}, with the hash {digest}"


def _remove(site: Site, entry: Entry) -> None:
    site.guests.run(entry.machine, scratch.locked("true"), timeout_seconds=_SNAPSHOT_SECONDS + 10)
    site.guests.run(entry.machine, scratch.forget(entry))


def _require_snapshot(site: Site, entry: Entry) -> None:
    if len(site.lab.members) == 1:
        raise BadUsage("the lab has only one etcd member, so there are no others to lose")
    if not _newest_snapshot(site, entry.machine):
        raise BadUsage(f"{entry.machine} has no snapshot of etcd", hint=f"inject {SNAPSHOT} on it first")
    for machine in _stopped(site):
        for pod in ("etcd", _API_SERVER):
            manifests.require_untouched(site, machine.name, pod)


def _newest_snapshot(site: Site, machine: str) -> str:
    return site.guests.run(
        machine, f"ls -t {scratch.KEPT}/*/snapshot.db 2>/dev/null | head -n 1"
    ).output.strip()


def _destroy(site: Site, entry: Entry) -> str:
    """Leave the last member without a majority. A hard link keeps the snapshot when its own fault is healed."""
    snapshot = _newest_snapshot(site, entry.machine)
    site.guests.run(entry.machine, f"{scratch.make(entry)} && ln -f {snapshot} {_source(entry)}")
    on_all(_others(site, entry), lambda name: members.damage(site, entry, name, f"rm -rf {members.DATA}"))

    def alone() -> str:
        try:
            member = etcd.status(site.guests, entry.machine)
        except HalabError as error:
            return f"etcd on {entry.machine} does not answer: {error.message.splitlines()[-1][:120]}"
        if member.leader_id:
            raise NotYet(f"etcd on {entry.machine} still knows a leader")
        return f"etcd on {entry.machine} knows no leader, and the data of all others is gone"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"etcd on {entry.machine} to lose its leader", alone, deadline, every_seconds=0.2)


def _restore(site: Site, entry: Entry) -> None:
    """Restore a cluster of one from the snapshot, and add the other members one after another.

    All API servers are stopped meanwhile, as the guides of etcd and Kubernetes say: their caches are newer than the
    snapshot.
    """
    machine, others = entry.machine, _others(site, entry)
    if any(on_all(others, lambda name: members.is_marked(site, entry, name)).values()):
        if not _is_restored(site, entry):
            on_all([machine.name for machine in _stopped(site)], lambda name: members.stop_etcd(site, name))
            on_all(others, lambda name: members.damage(site, entry, name, f"rm -rf {members.DATA}"))
            site.guests.run(machine, _restore_command(site, entry), timeout_seconds=_SNAPSHOT_SECONDS)
        _start(site, machine, "etcd")
        _wait_until_it_serves(site, machine)
        _start(site, machine, _API_SERVER)
        for name in others:
            if members.is_marked(site, entry, name):
                members.replace(site, name, machine)
                members.unmark(site, entry, name)
    on_all([machine.name for machine in _stopped(site)], lambda name: members.let_etcd_start(site, name))
    # the machine with the snapshot last: its folder shows what is left to do
    on_all(others, lambda name: site.guests.run(name, scratch.forget(entry)))
    site.guests.run(machine, scratch.forget(entry))


def _start(site: Site, machine: str, pod: str) -> None:
    """Start a pod at once. The kubelet waits longer before each restart of a container; a new kubelet does not."""
    manifests.let_go(site, machine, pod)
    site.guests.run(machine, "systemctl restart kubelet", timeout_seconds=60)


def _restore_command(site: Site, entry: Entry) -> str:
    """Restore completely or not at all: restored data that a member has used must not be restored a second time.

    A new token makes it another cluster, which members of the old one cannot talk to.
    """
    machine = site.lab.machine(entry.machine)
    name, url = machine.hostname, etcd.peer_url(machine)
    restored = f"{members.FOLDER}/halab-{entry.id}"
    # a journal of an earlier version has no options
    is_bumped = entry.options.get("bump_revision", "true") == "true"
    bump = f" --bump-revision {_BUMP} --mark-compacted" if is_bumped else ""
    return scratch.locked(
        f"rm -rf {restored} && etcdutl snapshot restore {_source(entry)} --data-dir {restored} --name {name} "
        f"--initial-cluster {name}={url} --initial-advertise-peer-urls {url} "
        f"--initial-cluster-token halab-{entry.id}{bump} && "
        f"rm -rf {members.DATA} && mv {restored}/member {members.DATA} && rmdir {restored} && "
        f"touch {_restored(entry)}"
    )


def _is_restored(site: Site, entry: Entry) -> bool:
    command = scratch.locked(f"if [ -e {_restored(entry)} ]; then echo restored; fi")
    return bool(site.guests.run(entry.machine, command).output.strip())


def _wait_until_it_serves(site: Site, machine: str) -> None:
    def serves() -> None:
        try:
            site.guests.run(machine, etcd.command("endpoint health"))
        except HalabError as error:
            raise NotYet(error.message.splitlines()[-1][:200]) from error

    wait_for(f"etcd on {machine} to serve what was restored", serves, site.deadline(_SERVE_SECONDS))


def _others(site: Site, entry: Entry) -> list[str]:
    return [machine.name for machine in site.lab.members if machine.name != entry.machine]


def _stopped(site: Site) -> list[Machine]:
    """The machines whose members or API servers are stopped during a restore."""
    return list(dict.fromkeys([*site.lab.members, *site.lab.control_planes]))


def _source(entry: Entry) -> str:
    return f"{scratch.folder(entry)}/restore-from.db"


def _restored(entry: Entry) -> str:
    return f"{scratch.folder(entry)}/restored"


FAULTS = (
    Fault(
        SNAPSHOT,
        "Save a snapshot of etcd on the machine; healing removes it.",
        _save,
        _remove,
        target=FaultTarget.MEMBER,
    ),
    Fault(
        "lose-etcd-quorum",
        "Destroy the data of all etcd members except the one that has a snapshot; healing restores the snapshot.",
        _destroy,
        _restore,
        {
            "bump_revision": Option(
                "true or false (false keeps the old revision numbers: clients that have seen newer ones get no events)",
                "true|false",
                "false",
                "true",
            )
        },
        target=FaultTarget.MEMBER,
        check=_require_snapshot,
    ),
)
