"""Faults of what etcd keeps: members that are seen to fail, members that lose their data, a leader that moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fakes import Call, FakeGuests, captured
from support.site_builder import Shell, heal, inject, site_of

from halab.errors import BadUsage, CommandFailed, LabProblem, TimedOut, Unreachable
from halab.faults import etcd_data, members
from halab.faults.journal import Entry

MANIFEST = (
    "spec:\n  containers:\n  - command:\n    - etcd\n    - --initial-cluster=cp2=https://10.213.7.12:2380\n"
)
PANIC = '{"level":"panic","ts":"t","msg":"tocommit(9) is out of range","error":"raft log"}\n'


def status(member_id: int, *, leader: int = 1, index: int = 100, is_learner: bool = False) -> str:
    """What `etcdctl endpoint status` says of one member; member 1 is cp1's."""
    said = json.loads(captured("endpoint-status.json"))
    said[0]["Status"]["header"]["member_id"] = member_id
    said[0]["Status"].update(leader=leader, raftIndex=index, raftAppliedIndex=index, isLearner=is_learner)
    return json.dumps(said)


def members_list() -> str:
    return json.dumps(
        {
            "members": [
                {"ID": number, "name": f"cp{number}", "peerURLs": [f"https://10.213.7.1{number}:2380"]}
                for number in (1, 2, 3)
            ]
        }
    )


def healthy(**more: Any) -> FakeGuests:
    usual = {
        "member list": members_list(),
        "cat /etc/kubernetes/manifests/etcd.yaml": MANIFEST,
        "cat /etc/kubernetes/halab-held/etcd.yaml": MANIFEST,
        "cp1: .*endpoint status": status(1),
        "cp2: .*endpoint status": status(2),
        "cp3: .*endpoint status": status(3),
    }
    return FakeGuests({**more, **{what: said for what, said in usual.items() if what not in more}})


def index_of(commands: list[str], part: str) -> int:
    return next(number for number, command in enumerate(commands) if part in command)


# members


def test_the_last_log_line_of_a_corrupt_member_shows_the_effect() -> None:
    guests = healthy(perl="byte 7 of 900 in x.wal\n", panic=["", PANIC])
    _, seen = inject(site_of(guests), "corrupt-wal")
    assert seen == (
        "byte 7 of 900 in x.wal: etcd on cp2 exits as soon as it is started: tocommit(9) is out of range: raft log"
    )


def test_the_kubelet_is_stopped_while_the_data_is_damaged_and_always_continues() -> None:
    guests = healthy(panic=PANIC)
    entry, _ = inject(site_of(guests), "corrupt-wal")
    (command,) = [each for each in guests.commands("cp2") if "perl" in each]
    parts = [
        "--signal=CONT kubelet' EXIT",
        "--signal=STOP kubelet",
        "pkill -KILL -x $process",
        "damaged",
        "perl",
    ]
    places = [command.index(part) for part in parts]
    assert places == sorted(places)
    assert f"touch /var/lib/halab/{entry.id}/damaged" in command


def test_the_data_is_removed_before_the_manifest_for_the_join_is_installed(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "machine")
    guests = FakeGuests({**healthy().answers, "panic": PANIC, "exec 9|^cp2: mkdir": shell})
    entry, _ = inject(site_of(guests), "lose-etcd-data")
    # etcd's folder is a mount point on some providers
    assert list(shell.path("/var/lib/etcd").iterdir()) == []
    manifest = shell.path("/etc/kubernetes/manifests/etcd.yaml")
    assert "--initial-cluster-state=existing" in manifest.read_text()
    assert manifest.stat().st_mode & 0o777 == 0o600
    assert shell.path(f"/var/lib/halab/{entry.id}/damaged").exists()
    assert shell.did[0] == "systemctl kill --signal=STOP kubelet"
    assert shell.did[-1] == "systemctl kill --signal=CONT kubelet"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            '{"level":"fatal","msg":"failed to open WAL","error":"wal: \\"x\\" is bad"}',
            'failed to open WAL: wal: \\"x\\" is bad',
        ),
        ('{"error":"later","level":"panic","msg":"first"}', "first: later"),
        ('{"level":"panic","ts":"t"}', '{"level":"panic","ts":"t"}'),
        ("", None),
    ],
)
def test_the_last_log_line_is_a_message_with_its_error(line: str, words: str | None) -> None:
    site = site_of(FakeGuests({"panic": f"{line}\n"}))
    assert etcd_data.etcd_last_words(site, Entry("1", "corrupt-wal", "cp2", {})) == words


def test_log_lines_from_before_the_damage_do_not_count() -> None:
    guests = FakeGuests()
    etcd_data.etcd_last_words(site_of(guests), Entry("1", "corrupt-wal", "cp2", {}))
    assert "-newer /var/lib/halab/1 " in guests.commands("cp2")[0]


def test_a_member_that_continues_with_its_damaged_log_shows_no_effect() -> None:
    with pytest.raises(
        TimedOut, match="etcd on cp2 to fail because of its damaged data; last seen: it has not failed"
    ):
        inject(site_of(healthy()), "corrupt-wal")


def test_a_member_without_data_joins_and_never_founds_a_cluster() -> None:
    guests = healthy(panic=PANIC)
    _, seen = inject(site_of(guests), "lose-etcd-data")
    assert seen.startswith("etcd on cp2 exits as soon as it is started")
    (strike,) = [call for call in guests.calls if "rm -rf /var/lib/etcd/member" in call.command]
    assert strike.input is not None
    assert "--initial-cluster-state=existing" in strike.input
    assert "cp1=https://10.213.7.11:2380,cp2=https://10.213.7.12:2380,cp3=" in strike.input
    assert "for process in etcd kube-apiserver" in strike.command


def test_a_member_without_data_may_rejoin() -> None:
    # started, it looks for a leader first
    looks = [status(2), status(2, leader=0), status(2, leader=3)]

    def answer(call: Call) -> str:
        return "" if "panic" in call.command else looks.pop(0)

    guests = healthy(**{"cp2: .*(panic|endpoint status)": answer})
    _, seen = inject(site_of(guests), "lose-etcd-data")
    assert "cp2 rejoined without its data" in seen
    assert looks == []


def test_data_without_another_copy_is_not_destroyed() -> None:
    guests = healthy(**{"cp3: .*endpoint status": Unreachable("cp3 does not answer over SSH")})
    with pytest.raises(BadUsage, match="healthy members on other machines: 1, and it needs 2"):
        inject(site_of(guests), "lose-etcd-data")
    assert not any("rm -rf" in call.command for call in guests.calls)


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ("cp3", {"cp3: .*endpoint status": status(3, leader=0)}),
        ("cp1", {"cp1: .*endpoint status": LabProblem("not a status")}),
    ],
)
def test_a_member_without_a_leader_does_not_count_as_a_copy(machine: str, said: dict[str, Any]) -> None:
    with pytest.raises(BadUsage, match="healthy members on other machines: 1, and it needs 2"):
        inject(site_of(healthy(**said)), "corrupt-wal")


def test_the_only_member_keeps_its_data() -> None:
    with pytest.raises(BadUsage, match="healthy members on other machines: 0, and it needs 1"):
        inject(site_of(healthy(), control_planes=1), "lose-etcd-data", "cp1")


@pytest.mark.parametrize("pod", ["etcd", "kube-apiserver"])
def test_a_member_whose_manifest_another_fault_has_is_left_alone(pod: str) -> None:
    guests = healthy(**{f"ls -d .*/{pod}.yaml": f"/etc/kubernetes/halab-held/{pod}.yaml\n"})
    with pytest.raises(BadUsage, match=f"another fault has changed the manifest of {pod} on cp2"):
        inject(site_of(guests), "corrupt-wal")


def test_a_stopped_member_joins_the_existing_cluster() -> None:
    guests = healthy()
    members.start(site_of(guests), "cp2", "cp1=https://10.213.7.11:2380")
    (written,) = [call.input for call in guests.calls if call.input]
    assert [line.strip("- ") for line in written.splitlines()[3:]] == [
        "etcd",
        "initial-cluster-state=existing",
        "initial-cluster=cp1=https://10.213.7.11:2380",
    ]
    write, put = (index_of(guests.commands("cp2"), part) for part in ("etcd.yaml.new", "then mv -f"))
    assert write < put


def test_a_member_is_replaced_in_the_order_that_keeps_the_majority() -> None:
    guests = healthy(damaged="marked\n", pgrep="")
    heal(site_of(guests), Entry("1", "corrupt-wal", "cp2", {}))
    asked = [f"{call.machine}: {call.command}" for call in guests.calls]
    steps = [
        "mv -f /etc/kubernetes/manifests/etcd.yaml",
        "cp2: exec 9</var/lib && flock 9 && { rm -rf /var/lib/etcd/member",
        "member remove",
        "member add cp2 --learner",
        "mv -f /etc/kubernetes/halab-held/etcd.yaml",
        "cp2: systemctl restart kubelet",
        "mv -f /etc/kubernetes/halab-held/kube-apiserver.yaml",
        "rm -rf /var/lib/halab/1",
    ]
    places = [index_of(asked, step) for step in steps]
    assert places == sorted(places), list(zip(steps, places, strict=True))


def test_a_learner_is_made_to_vote() -> None:
    listed = json.loads(members_list())
    listed["members"][1]["isLearner"] = True
    voting = members_list()
    guests = healthy(damaged="marked\n", **{"member list": [json.dumps(listed)] * 3 + [voting]})
    heal(site_of(guests), Entry("1", "corrupt-wal", "cp2", {}))
    assert any("member promote 2" in call.command for call in guests.calls)


def test_the_api_server_comes_back_once_its_member_votes_and_answers() -> None:
    silent = CommandFailed("on cp2\ncontext deadline exceeded", code=1)
    guests = healthy(damaged="marked\n", **{"cp2: .*endpoint health": [silent, silent, ""]})
    heal(site_of(guests), Entry("1", "corrupt-wal", "cp2", {}))
    commands = guests.commands("cp2")
    answers = [number for number, command in enumerate(commands) if "endpoint health" in command]
    assert len(answers) == 3
    assert answers[-1] < index_of(commands, "mv -f /etc/kubernetes/halab-held/kube-apiserver.yaml")


def test_the_mark_is_read_after_the_damage_has_ended() -> None:
    guests = FakeGuests()
    members.is_marked(site_of(guests), Entry("1", "corrupt-wal", "cp2", {}), "cp2")
    (command,) = guests.commands("cp2")
    assert command.index("flock 9") < command.index("/var/lib/halab/1/damaged")


def test_a_change_of_members_that_etcd_refuses_is_tried_again() -> None:
    unhealthy = CommandFailed("on cp1\netcdserver: unhealthy cluster", code=1)
    listed = json.loads(members_list())
    del listed["members"][1]
    # the old one was removed by the first attempt, and is not asked for again
    guests = healthy(
        **{"damaged": "marked\n", "member add": [unhealthy, ""], "member list": [members_list(), json.dumps(listed),
           members_list()]}
    )  # fmt: skip
    heal(site_of(guests), Entry("1", "corrupt-wal", "cp2", {}))
    changes = [
        call.command.partition("s member ")[2] for call in guests.calls if "s member " in call.command
    ]
    assert [change.split()[0] for change in changes if not change.startswith("list")] == [
        "remove",
        "add",
        "add",
    ]


def test_a_member_that_cannot_be_replaced_stays_marked() -> None:
    guests = healthy(damaged="marked\n", **{"endpoint status": Unreachable("no answer")})
    guests.answers = {"endpoint status": Unreachable("no answer"), **guests.answers}
    with pytest.raises(LabProblem, match="no other etcd member has a leader, so cp2 cannot rejoin"):
        heal(site_of(guests), Entry("1", "corrupt-wal", "cp2", {}))
    assert not any("rm -rf" in call.command for call in guests.calls)


def test_without_damage_the_heal_changes_no_member() -> None:
    guests = healthy()
    heal(site_of(guests), Entry("1", "lose-etcd-data", "cp2", {}))
    said = " ".join(call.command for call in guests.calls)
    assert "member remove" not in said
    assert "member add" not in said
    assert "rm -rf /var/lib/etcd" not in said
    for left in (
        "mv -f /etc/kubernetes/halab-held/etcd.yaml",
        "mv -f /etc/kubernetes/halab-held/kube-apiserver.yaml",
        "rm -rf /etc/kubernetes/halab-held/1",
        "rm -rf /var/lib/halab/1",
    ):
        assert left in said


# the leader


def moving(*after: str, **more: str) -> FakeGuests:
    """cp2 leads, until it has been told to hand over; cp3 has more of the log than cp1."""
    answers: dict[str, Any] = {
        "cp2: .*endpoint status": [*[status(2, leader=2)] * 3, *after],
        "cp1: .*endpoint status": more.get("cp1", status(1, leader=2, index=90)),
        "cp3: .*endpoint status": more.get("cp3", status(3, leader=2, index=100)),
    }
    return FakeGuests(answers)


def test_the_member_with_the_longest_log_becomes_leader() -> None:
    # for a moment nobody leads
    guests = moving(status(2, leader=0), status(2, leader=3))
    _, seen = inject(site_of(guests), "move-etcd-leader")
    assert any("move-leader 3" in command for command in guests.commands("cp2"))
    assert sum("endpoint status" in command for command in guests.commands("cp2")) == 5
    assert seen.startswith("etcd on cp3 leads, in term")


def test_a_learner_cannot_become_leader() -> None:
    guests = moving(status(2, leader=1), cp3=status(3, leader=2, index=100, is_learner=True))
    inject(site_of(guests), "move-etcd-leader")
    assert any("move-leader 1" in command for command in guests.commands("cp2"))


def test_without_another_member_the_lead_cannot_move() -> None:
    learner = status(3, leader=2, is_learner=True)
    guests = moving(status(2, leader=2), cp1=status(1, leader=2, is_learner=True), cp3=learner)
    with pytest.raises(LabProblem, match="no other etcd member can become leader in place of cp2"):
        inject(site_of(guests), "move-etcd-leader")


def test_only_the_leader_hands_over() -> None:
    guests = healthy()
    with pytest.raises(BadUsage, match="the etcd member on cp2 is not the leader"):
        inject(site_of(guests), "move-etcd-leader")
    assert not any("move-leader" in call.command for call in guests.calls)


def test_a_leader_that_stays_is_a_fault_without_effect() -> None:
    with pytest.raises(TimedOut, match="last seen: etcd on cp2 leads"):
        inject(site_of(moving(status(2, leader=2))), "move-etcd-leader")


def test_a_member_is_defragmented_with_time_for_it() -> None:
    small = json.loads(captured("endpoint-status.json"))
    small[0]["Status"]["dbSize"] = 1_000_000
    large = json.loads(captured("endpoint-status.json"))
    large[0]["Status"]["dbSize"] = 9_000_000
    guests = FakeGuests({"endpoint status": [json.dumps(large), json.dumps(small)]})
    _, seen = inject(site_of(guests, patience=2.0), "defragment")
    assert seen == "the database of cp2 has 1,000,000 bytes, after 9,000,000"
    (call,) = [call for call in guests.calls if call.command.endswith(" defrag")]
    assert "--command-timeout=240s" in call.command
    assert call.timeout_seconds == 250
