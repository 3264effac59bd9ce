"""Destroy the data of etcd members, and replace members that have lost it.

A member without its data must not come back: it has acknowledged entries that it no longer has. etcd notices that
(`tocommit … is out of range`) only while the leader is the one that the member answered before. So a replacement
empties the data folder, removes the old member from the list, and adds a new one of the same name as a learner.
"""

from __future__ import annotations

from functools import partial

from halab.clock import wait_for
from halab.cluster import etcd, member_list
from halab.errors import BadUsage
from halab.faults import manifests, scratch
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.guests import on_all

# On some providers etcd's folder is a mount point: its content can be removed, the folder itself cannot.
FOLDER = "/var/lib/etcd"
DATA = f"{FOLDER}/member"
_API_SERVER = "kube-apiserver"
# On 2 cores the kubelet starts etcd within 8 to 14 s, and the learner votes 2 s after that. etcd refuses to change its
# members for 5 s after one of them connected (HealthInterval).
_REPLACE_SECONDS = 240
# The kubelet restarts a process at once. It is paused here until the damage is done.
_CRASH = """
trap 'systemctl kill --signal=CONT kubelet' EXIT
systemctl kill --signal=STOP kubelet
for process in {processes}; do while pkill -KILL -x $process; do sleep 0.05; done; done
{command}
"""


def require_others(site: Site, entry: Entry) -> None:
    """Refuse if the other members that know a leader are no majority: the lost data comes back from them."""
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
        raise BadUsage(
            f"etcd would lose its majority: healthy members on other machines: {len(others)}, and it needs {needed}",
            hint="heal open faults first (`halab heal`), or use a lab with three etcd members",
        )


def damage(site: Site, entry: Entry, machine: str, command: str) -> None:
    """Stop a member and run a command on its data. After the mark is set, the member must be replaced."""
    site.guests.run(machine, scratch.make(entry))
    manifests.hold(site, machine, "etcd")
    site.guests.run(machine, scratch.locked(f"touch {_mark(entry)} && {command}"))


def crash_and_damage(site: Site, entry: Entry, command: str) -> str:
    """Kill a member, run a command on its data and let the kubelet start it again; return the command's output."""
    site.guests.run(entry.machine, scratch.make(entry))
    script = _CRASH.format(processes="etcd", command=f"touch {_mark(entry)} && {command}").strip()
    return site.guests.run(entry.machine, scratch.locked(script)).output.strip()


def crash_and_damage_for_good(site: Site, entry: Entry, command: str) -> str:
    """The same, but the member without data joins the existing cluster instead of a new one.

    The manifest of kubeadm's first control plane tells etcd to found a cluster. Without data it would do so, with the
    ids of the real cluster, and accept writes until the real leader finds it. The API server is killed too: it has no
    etcd to ask, and the kubelet, which reports the changed manifest to it, would wait 34 s for each answer.
    """
    manifest = f"{manifests.MANIFESTS}/etcd.yaml"
    part = f"{manifests.HELD}/{entry.id}/new"
    initial_cluster = etcd.initial_cluster(site.guests, site.lab, entry.machine)
    text = _joining(site.guests.run(entry.machine, f"cat {manifest}").output, initial_cluster)
    put = f"(umask 077; mkdir -p {manifests.HELD}/{entry.id}; cat >{part}) && mv -f {part} {manifest}"
    site.guests.run(entry.machine, scratch.make(entry))
    script = _CRASH.format(
        processes=f"etcd {_API_SERVER}", command=f"touch {_mark(entry)} && {command} && {put}"
    ).strip()
    return site.guests.run(entry.machine, scratch.locked(script), input=text).output.strip()


def start(site: Site, machine: str, initial_cluster: str) -> None:
    """Start a member that was stopped. Without data, it joins the existing cluster."""
    held = f"{manifests.HELD}/etcd.yaml"
    text = _joining(site.guests.run(machine, f"cat {held}").output, initial_cluster)
    site.guests.run(machine, f"(umask 077; cat >{held}.new) && mv -f {held}.new {held}", input=text)
    manifests.let_go(site, machine, "etcd")


def _joining(manifest: str, initial_cluster: str) -> str:
    for flag in (f"--initial-cluster={initial_cluster}", "--initial-cluster-state=existing"):
        manifest = manifests.with_flag(manifest, flag)
    return manifest


def is_marked(site: Site, entry: Entry, machine: str) -> bool:
    # wait for the lock: the command that damages the data may still run
    command = scratch.locked(f"if [ -e {_mark(entry)} ]; then echo marked; fi")
    return bool(site.guests.run(machine, command).output.strip())


def unmark(site: Site, entry: Entry, machine: str) -> None:
    """Record that the member of a machine has been replaced."""
    site.guests.run(machine, f"rm -f {_mark(entry)}")


def recover(site: Site, entry: Entry) -> None:
    """Heal a fault that damaged a member: replace the member, or start it if it was only stopped."""
    machine = entry.machine
    if is_marked(site, entry, machine):
        replace(site, machine, etcd.healthy_peer(site.guests, site.lab, machine))
    site.guests.run(machine, f"rm -rf {manifests.HELD}/{entry.id}")
    let_etcd_start(site, machine)
    site.guests.run(machine, scratch.forget(entry))


def stop_etcd(site: Site, machine: str) -> None:
    """Stop the member and the API server of a machine, if it has them.

    The API server would keep the kubelet waiting 34 s for each answer.
    """
    there = site.lab.static_pods(site.lab.machine(machine))
    pods = [pod for pod in ("etcd", _API_SERVER) if pod in there]
    on_all(pods, lambda pod: manifests.hold(site, machine, pod, at_once=True))


def let_etcd_start(site: Site, machine: str) -> None:
    """Let the kubelet start a member and its API server again."""
    for pod in ("etcd", _API_SERVER):
        manifests.let_go(site, machine, pod)


def replace(site: Site, machine: str, peer: str) -> None:
    """Replace a machine's member by an empty one, through the member of `peer`; return when the new one votes."""
    stop_etcd(site, machine)
    site.guests.run(machine, scratch.locked(f"rm -rf {DATA}"))
    deadline = site.deadline(_REPLACE_SECONDS)
    add = partial(member_list.add_learner, site.guests, peer, site.lab.machine(machine))
    wait_for(f"etcd on {peer} to add {machine}", add, deadline)
    start(site, machine, etcd.initial_cluster(site.guests, site.lab, peer))
    # the kubelet waits longer before each restart of a container; a restarted kubelet does not
    site.guests.run(machine, "systemctl restart kubelet", timeout_seconds=60)
    wait_for(f"etcd on {machine} to vote", partial(_promote, site, machine, peer), deadline)
    manifests.let_go(site, machine, _API_SERVER)


def _promote(site: Site, machine: str, peer: str) -> None:
    member_list.promote(site.guests, peer, site.lab.machine(machine))
    with member_list.refusals_as_not_yet():
        site.guests.run(machine, etcd.command("endpoint health"))


def _mark(entry: Entry) -> str:
    return f"{scratch.folder(entry)}/damaged"
