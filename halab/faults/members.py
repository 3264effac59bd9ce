"""Members of etcd that lost their data: how they lose it, and how others are put in their place.

A member that comes back without its data is let in by nobody: it has promised things that it no longer knows. etcd
sees that (`tocommit … is out of range`) only while the leader is the one that it answered before. So the data folder
is emptied, the old member is taken off the list, and a new one of the same name joins as a learner.
"""

from __future__ import annotations

from functools import partial

from halab.clock import NotYet, wait_for
from halab.cluster import etcd
from halab.errors import BadUsage, CommandFailed, HalabError
from halab.faults import manifests, scratch
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.guests import on_all

# etcd's folder is a mount point on some providers: what is in it can go, the folder itself cannot.
FOLDER = "/var/lib/etcd"
DATA = f"{FOLDER}/member"
_API_SERVER = "kube-apiserver"
# On 2 cores: etcd starts within 8 to 14 s (the kubelet), has learned and votes 2 s after that. etcd refuses to change
# its members for 5 s after one of them was connected (HealthInterval).
_REPLACE_SECONDS = 240
# The kubelet starts again at once what has ended. Stopped meanwhile, it finds that out after the damage is done.
_STRIKE = """
trap 'systemctl kill --signal=CONT kubelet' EXIT
systemctl kill --signal=STOP kubelet
for process in {processes}; do while pkill -KILL -x $process; do sleep 0.05; done; done
{command}
"""


def require_others(site: Site, entry: Entry) -> None:
    """The data that a member loses has to be on a majority of the others: from them it is taken again."""
    for pod in ("etcd", _API_SERVER):
        manifests.require_untouched(site, entry.machine, pod)
    said = etcd.statuses(site.guests, site.lab)
    others = [
        name
        for name, member in said.items()
        if name != entry.machine and isinstance(member, etcd.Member) and member.leader_id
    ]
    needed = len(said) // 2 + 1
    if len(others) < needed:
        raise BadUsage(f"other members needed to keep the data: {needed}; healthy now: {len(others)}")


def damage(site: Site, entry: Entry, machine: str, command: str) -> None:
    """Stop a member for good and do something to its data. From the mark on, it has to be replaced."""
    site.guests.run(machine, scratch.make(entry))
    manifests.hold(site, machine, "etcd")
    site.guests.run(machine, scratch.locked(f"touch {_mark(entry)} && {command}"))


def crash_and_damage(site: Site, entry: Entry, command: str) -> str:
    """Kill a member, do something to its data and have the kubelet start it again; what the command said."""
    site.guests.run(entry.machine, scratch.make(entry))
    struck = _STRIKE.format(processes="etcd", command=f"touch {_mark(entry)} && {command}").strip()
    return site.guests.run(entry.machine, scratch.locked(struck)).output.strip()


def crash_and_damage_for_good(site: Site, entry: Entry, command: str) -> str:
    """The same, and without data the member is told to look for a cluster that exists, and to found none.

    kubeadm's first control plane is told by its manifest to found one: without data it would, under the ids of the
    real one, and take writes until that one's leader finds it. The API server goes too: it has nobody to ask any more,
    and the kubelet, which has a changed manifest to report to it, would wait 34 s for each answer.
    """
    manifest = f"{manifests.MANIFESTS}/etcd.yaml"
    part = f"{manifests.HELD}/{entry.id}/new"
    initial_cluster = etcd.initial_cluster(site.guests, site.lab, entry.machine)
    text = _joining(site.guests.run(entry.machine, f"cat {manifest}").output, initial_cluster)
    put = f"(umask 077; mkdir -p {manifests.HELD}/{entry.id}; cat >{part}) && mv -f {part} {manifest}"
    site.guests.run(entry.machine, scratch.make(entry))
    struck = _STRIKE.format(
        processes=f"etcd {_API_SERVER}", command=f"touch {_mark(entry)} && {command} && {put}"
    ).strip()
    return site.guests.run(entry.machine, scratch.locked(struck), input=text).output.strip()


def start(site: Site, machine: str, initial_cluster: str) -> None:
    """Start a member that was stopped; without data, it joins the cluster that exists."""
    held = f"{manifests.HELD}/etcd.yaml"
    text = _joining(site.guests.run(machine, f"cat {held}").output, initial_cluster)
    site.guests.run(machine, f"(umask 077; cat >{held}.new) && mv -f {held}.new {held}", input=text)
    manifests.let_go(site, machine, "etcd")


def _joining(manifest: str, initial_cluster: str) -> str:
    for flag in (f"--initial-cluster={initial_cluster}", "--initial-cluster-state=existing"):
        manifest = manifests.with_flag(manifest, flag)
    return manifest


def is_marked(site: Site, entry: Entry, machine: str) -> bool:
    # the lock: what damages it may still be at work
    command = scratch.locked(f"if [ -e {_mark(entry)} ]; then echo marked; fi")
    return bool(site.guests.run(machine, command).output.strip())


def unmark(site: Site, entry: Entry, machine: str) -> None:
    """The member of a machine has been replaced."""
    site.guests.run(machine, f"rm -f {_mark(entry)}")


def recover(site: Site, entry: Entry) -> None:
    """What heals a fault that damaged a member: another one in its place, or the same where it was only stopped."""
    machine = entry.machine
    if is_marked(site, entry, machine):
        replace(site, machine, etcd.healthy_peer(site.guests, site.lab, machine))
    site.guests.run(machine, f"rm -rf {manifests.HELD}/{entry.id}")
    let_go(site, machine)
    site.guests.run(machine, scratch.forget(entry))


def hold(site: Site, machine: str) -> None:
    """Stop a member, and the API server that asks it: that one would keep the kubelet waiting 34 s for each answer."""
    on_all(("etcd", _API_SERVER), lambda pod: manifests.hold(site, machine, pod, at_once=True))


def let_go(site: Site, machine: str) -> None:
    for pod in ("etcd", _API_SERVER):
        manifests.let_go(site, machine, pod)


def replace(site: Site, machine: str, guide: str) -> None:
    """Put a member without data in the place of a machine's member, by way of `guide`'s; returns once it votes."""
    hold(site, machine)
    site.guests.run(machine, scratch.locked(f"rm -rf {DATA}"))
    deadline = site.deadline(_REPLACE_SECONDS)
    wait_for(f"etcd on {guide} to take in {machine}", partial(_add, site, machine, guide), deadline)
    start(site, machine, etcd.initial_cluster(site.guests, site.lab, guide))
    # the kubelet waits longer each time before it starts again what has ended; a new one knows nothing of that
    site.guests.run(machine, "systemctl restart kubelet", timeout_seconds=60)
    wait_for(f"etcd on {machine} to vote", partial(_promote, site, machine, guide), deadline)
    manifests.let_go(site, machine, _API_SERVER)


def _add(site: Site, machine: str, guide: str) -> None:
    """A learner does not count for the majority: a cluster of one goes on while it starts."""
    planned = site.lab.machine(machine)
    try:
        for member in etcd.members_of(site.guests, guide, str(planned.address)):
            site.guests.run(guide, etcd.command(f"member remove {member}"))
        add = f"member add {machine} --learner --peer-urls={etcd.peer_url(planned)}"
        site.guests.run(guide, etcd.command(add))
    except CommandFailed as error:
        raise NotYet(_last_line(error)) from error


def _promote(site: Site, machine: str, guide: str) -> None:
    address = str(site.lab.machine(machine).address)
    try:
        if not etcd.votes(site.guests, guide, address):
            for member in etcd.members_of(site.guests, guide, address):
                site.guests.run(guide, etcd.command(f"member promote {member}"))
        site.guests.run(machine, etcd.command("endpoint health"))
    except CommandFailed as error:
        raise NotYet(_last_line(error)) from error


def _mark(entry: Entry) -> str:
    return f"{scratch.folder(entry)}/damaged"


def _last_line(error: HalabError) -> str:
    return error.message.splitlines()[-1][:200]
