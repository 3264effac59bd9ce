"""A snapshot, the loss of a majority, and the restore: in an order that loses no more than has to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeGuests, captured
from support.site_builder import Shell, heal, inject, site_of

from halab.errors import BadUsage, CommandFailed, TimedOut, Unreachable
from halab.faults import snapshot
from halab.faults.journal import Entry

ENTRY = Entry("7", "lose-etcd-quorum", "cp2", {})
SNAPSHOT = "/var/lib/halab/3/snapshot.db\n"
MANIFEST = "spec:\n  containers:\n  - command:\n    - etcd\n    - --name=cp2\n"
MEMBERS = json.dumps(
    {
        "members": [
            {"ID": number, "name": f"cp{number}", "peerURLs": [f"https://10.213.7.1{number}:2380"]}
            for number in (1, 2, 3)
        ]
    }
)


def leaderless() -> str:
    said = json.loads(captured("endpoint-status.json"))
    said[0]["Status"]["leader"] = 0
    return json.dumps(said)


def guests(**more: Any) -> FakeGuests:
    usual = {
        "ls -t": SNAPSHOT,
        "endpoint status": leaderless(),
        "member list": MEMBERS,
        "cat /etc": MANIFEST,
    }
    return FakeGuests({**more, **{what: said for what, said in usual.items() if what not in more}})


def asked(machines: FakeGuests) -> list[str]:
    return [f"{call.machine}: {call.command}" for call in machines.calls]


def places(lines: list[str], *parts: str) -> list[int]:
    """Where each of these is first met."""
    return [next(number for number, line in enumerate(lines) if part in line) for part in parts]


def test_a_snapshot_is_complete_or_absent() -> None:
    machines = FakeGuests({"etcdutl": "d0a1affb, 23034, 525, 4.1 MB\n"})
    entry, seen = inject(site_of(machines), "snapshot-etcd")
    path = f"/var/lib/halab/{entry.id}/snapshot.db"
    assert seen == f"{path} holds 525 keys at revision 23034, with the hash d0a1affb"
    save = machines.commands("cp2")[0]
    assert f"snapshot save /var/lib/halab/{entry.id}/part" in save
    assert save.index("snapshot save") < save.index(f"mv /var/lib/halab/{entry.id}/part {path}")


def test_a_heal_waits_for_a_snapshot_that_is_being_saved() -> None:
    machines = FakeGuests()
    heal(site_of(machines), Entry("3", "snapshot-etcd", "cp2", {}))
    lock, removal = machines.calls
    assert "flock 9" in lock.command
    # a save takes its time
    assert lock.timeout_seconds > 60
    assert removal.command.startswith("rm -rf /var/lib/halab/3;")


def test_the_others_lose_their_data_and_the_last_one_is_alone() -> None:
    # it takes an election's time to find out
    machines = guests(**{"endpoint status": [captured("endpoint-status.json"), leaderless()]})
    entry, seen = inject(site_of(machines), "lose-etcd-quorum")
    assert sum("endpoint status" in command for command in machines.commands("cp2")) == 2
    assert seen == "etcd on cp2 knows no leader, and the data of all others is gone"
    for name in ("cp1", "cp3"):
        hold, wipe = places(
            machines.commands(name),
            "mv -f /etc/kubernetes/manifests/etcd.yaml",
            "rm -rf /var/lib/etcd/member",
        )
        assert hold < wipe
    assert not any("rm -rf /var/lib/etcd" in command for command in machines.commands("cp2"))
    assert any(
        f"ln -f /var/lib/halab/3/snapshot.db /var/lib/halab/{entry.id}" in each
        for each in machines.commands("cp2")
    )


@pytest.mark.parametrize(
    ("said", "control_planes", "why"),
    [
        ({"ls -t": ""}, 3, "cp2 has no snapshot of etcd"),
        ({}, 1, "there are no others to lose"),
        ({"ls -d /etc/kubernetes/halab-held/kube-apiserver": "/etc/kubernetes/halab-held/kube-apiserver.yaml\n"}, 3,
         "another fault has changed the manifest of kube-apiserver on cp1"),
        ({"cp3: ls -d /etc/kubernetes/halab-held/etcd": "/etc/kubernetes/halab-held/etcd.yaml\n"}, 3,
         "another fault has changed the manifest of etcd on cp3"),
    ],
)  # fmt: skip
def test_data_that_could_not_be_restored_is_not_destroyed(
    said: dict[str, Any], control_planes: int, why: str
) -> None:
    machines = guests(**said)
    with pytest.raises(BadUsage, match=why):
        machine = "cp2" if control_planes > 1 else "cp1"
        inject(site_of(machines, control_planes=control_planes), "lose-etcd-quorum", machine)
    assert not any("rm -rf" in line for line in asked(machines))


def test_a_snapshot_is_restored_before_any_other_member_comes_back() -> None:
    machines = guests(**{r"\[ -e .*damaged": "marked\n", r"\[ -e .*restored": ""})
    heal(site_of(machines), ENTRY)
    lines = asked(machines)
    order = places(
        lines,
        "cp2: mkdir -p /etc/kubernetes/halab-held && if [ -e /etc/kubernetes/manifests/kube-apiserver.yaml",
        "etcdutl snapshot restore /var/lib/halab/7/restore-from.db",
        "cp2: systemctl restart kubelet",
        "endpoint health",
        "cp2: if [ -e /etc/kubernetes/halab-held/kube-apiserver.yaml",
        "member add cp1 --learner",
        "cp1: systemctl restart kubelet",
        "cp1: if [ -e /etc/kubernetes/halab-held/kube-apiserver.yaml",
        "member add cp3 --learner",
    )
    assert order == sorted(order)
    # nothing of what an API server remembers of the time after the snapshot goes on
    restored = order[1]
    for name in ("cp1", "cp2", "cp3"):
        held = f"{name}: mkdir -p /etc/kubernetes/halab-held && if [ -e /etc/kubernetes/manifests/kube-apiserver.yaml"
        assert places(lines, held)[0] < restored


def test_the_other_members_are_stopped_and_emptied_before_one_is_restored() -> None:
    machines = guests(**{r"\[ -e .*damaged": "marked\n", r"\[ -e .*restored": ""})
    heal(site_of(machines), ENTRY)
    lines = asked(machines)
    (restored,) = places(lines, "etcdutl snapshot restore")
    for name in ("cp1", "cp3"):
        stopped, wiped = places(
            lines,
            f"{name}: mkdir -p /etc/kubernetes/halab-held",
            f"{name}: exec 9</var/lib && flock 9 && {{ touch",
        )
        assert stopped < wiped < restored
        assert "rm -rf /var/lib/etcd/member" in lines[wiped]
    assert lines[-1].startswith("cp2: rm -rf /var/lib/halab/7")


def test_a_replaced_member_is_not_replaced_again() -> None:
    machines = guests(
        **{
            r"cp1: .*\[ -e .*damaged": "",
            r"cp3: .*\[ -e .*damaged": "marked\n",
            r"\[ -e .*restored": "restored\n",
        }
    )
    heal(site_of(machines), ENTRY)
    lines = asked(machines)
    assert not any("member add cp1" in line or "cp1: systemctl restart" in line for line in lines)
    added, struck = places(lines, "member add cp3", "cp3: rm -f /var/lib/halab/7/damaged")
    assert added < struck


def test_other_members_wait_for_the_restored_member() -> None:
    down = CommandFailed("on cp2\ncontext deadline exceeded", code=1)
    machines = guests(**{r"\[ -e .*damaged": "marked\n", r"\[ -e .*restored": "", "endpoint health": down})
    with pytest.raises(TimedOut, match="serve what was restored; last seen: context deadline exceeded"):
        heal(site_of(machines), ENTRY)
    lines = asked(machines)
    assert not any("s member " in line or "rm -rf /var/lib/halab" in line for line in lines)
    assert not any("mv -f /etc/kubernetes/halab-held/kube-apiserver" in line for line in lines)


@pytest.mark.parametrize("works", [True, False])
def test_data_is_restored_completely_or_not_at_all(tmp_path: Path, works: bool) -> None:
    shell = Shell(tmp_path / "machine")
    restored = (
        'while [ "$1" != --data-dir ]; do shift; done; [ ! -e "$2" ] || exit 1; '
        'mkdir -p "$2/member"; echo new >"$2/member/db"'
    )
    shell.add_tool("etcdutl", restored if works else f"{restored}; exit 1")
    data = shell.path("/var/lib/etcd/member")
    (data / "db").write_text("old\n")
    shell.path("/var/lib/halab/7").mkdir(parents=True)
    machines = guests(**{r"\[ -e .*damaged": "marked\n", r"\[ -e .*restored": "", "etcdutl": shell})
    if works:
        # another try, as after one that was killed before the data was in its place
        leftover = shell.path("/var/lib/etcd/halab-7/member")
        leftover.mkdir(parents=True)
        heal(site_of(machines), ENTRY)
        assert [path.name for path in data.parent.iterdir()] == ["member"]
    else:
        with pytest.raises(CommandFailed):
            heal(site_of(machines), ENTRY)
    assert (data / "db").read_text() == ("new\n" if works else "old\n")
    assert shell.path("/var/lib/halab/7/restored").exists() is works


def test_the_restored_cluster_has_a_new_token_and_higher_revisions() -> None:
    machines = guests(**{r"\[ -e .*damaged": "marked\n", r"\[ -e .*restored": ""})
    heal(site_of(machines), ENTRY)
    (restore,) = [line for line in asked(machines) if "etcdutl snapshot restore" in line]
    assert "--bump-revision 1000000000 --mark-compacted" in restore
    assert "--initial-cluster-token halab-7" in restore


def test_data_is_not_restored_a_second_time() -> None:
    """Data that was started from may have been written to since: a heal that was killed goes on behind it."""
    machines = guests(**{r"\[ -e .*damaged": "marked\n", r"\[ -e .*restored": "restored\n"})
    heal(site_of(machines), ENTRY)
    lines = asked(machines)
    assert not any("snapshot restore" in line for line in lines)
    assert not any("rm -rf /var/lib/etcd/member" in line for line in lines if line.startswith("cp2"))
    assert any("member add cp1" in line for line in lines)


def test_without_destroyed_data_nothing_is_restored() -> None:
    machines = guests()
    heal(site_of(machines), ENTRY)
    lines = asked(machines)
    assert not any("snapshot restore" in line or "member " in line for line in lines)
    # they may have been stopped already
    for name in ("cp1", "cp2", "cp3"):
        for pod in ("etcd", "kube-apiserver"):
            places(lines, f"{name}: if [ -e /etc/kubernetes/halab-held/{pod}.yaml ]; then mv")
    assert places(lines, "cp1: rm -rf /var/lib/halab/7", "cp2: rm -rf /var/lib/halab/7") == sorted(
        places(lines, "cp1: rm -rf /var/lib/halab/7", "cp2: rm -rf /var/lib/halab/7")
    )


def test_a_member_that_does_not_answer_is_alone() -> None:
    machines = guests(**{"cp2: .*endpoint status": Unreachable("cp2: context deadline exceeded")})
    _, seen = inject(site_of(machines), "lose-etcd-quorum")
    assert seen == "etcd on cp2 does not answer: cp2: context deadline exceeded"


@pytest.mark.parametrize(("bump", "is_bumped"), [({}, True), ({"bump_revision": "false"}, False)])
def test_the_revision_is_raised_unless_the_fault_says_otherwise(
    bump: dict[str, str], is_bumped: bool
) -> None:
    command = snapshot._restore_command(site_of(FakeGuests()), Entry("7", "lose-etcd-quorum", "cp2", bump))
    assert ("--bump-revision 1000000000 --mark-compacted" in command) is is_bumped
