"""The members of a lab whose etcd has machines of its own: founded at once, replaced one by one, never by accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fakes import Call, FakeClock, FakeGuests, Recorded, lab_of

from halab.cluster.join import JoinOptions
from halab.errors import LabProblem, TimedOut, Unreachable
from halab.lifecycle.etcd_machines import EtcdMachines
from halab.lifecycle.provision import Provisioner
from halab.lifecycle.scripts import Scripts
from halab.machines.work import Work
from halab.process import Completed
from halab.topology import files
from halab.topology.files import HostValues

LAB = lab_of(etcd={"topology": "external"})
HOST = HostValues(work="/w", identity="here", base="box", private_key="key", public_key="pub", proxies={})
CA, CLIENT = "Y2EgYW5kIGtleQ==", "Y2xpZW50"


class Members(FakeGuests):
    """Machines of etcd, of which some have joined. A member answers when its script has run."""

    def __init__(self, *joined: str, listed: tuple[str, ...] = (), silent: tuple[str, ...] = ()) -> None:
        super().__init__({"": self._answer})
        self.joined, self.running = set(joined), set(joined)
        self.listed = dict.fromkeys(listed or joined, True)  # name → votes
        self.silent = silent

    def started(self) -> list[str]:
        return [call.machine for call in self.calls if "did 'started etcd'" in (call.input or "")]

    def _answer(self, call: Call) -> str | Completed:
        name, text = call.machine, f"{call.command}\n{call.input or ''}"
        if "kubeadm init phase certs etcd-ca" in text:
            return f"[certs] talk\n{CA}"
        if "apiserver-etcd-client.key)" in text:
            return CLIENT
        if "did 'started etcd'" in text:
            self.running.add(name)
            return "12:00:00 changed: started etcd\n"
        if call.command.startswith("test -e"):
            return Completed(0 if name in self.joined else 1, "", "")
        if call.command.startswith("date -Is"):
            self.joined.add(name)
        if "endpoint status" in text and name in self.running:
            return status(name)
        if "endpoint health" in text or "endpoint status" in text:
            answers = name in self.running and name not in self.silent
            if not answers:
                raise Unreachable(f"{name} is silent")
            return ""
        return self._list(text)

    def _list(self, text: str) -> str:
        if "member remove" in text:
            self.listed = {
                name: votes for name, votes in self.listed.items() if f"{ident(name):x}" not in text
            }
        if "member add" in text:
            self.listed[text.split("member add ")[1].split()[0]] = False
        if "member promote" in text:
            self.listed = {name: votes or f"{ident(name):x}" in text for name, votes in self.listed.items()}
        if "member list" in text:
            return json.dumps({
                "members": [
                    {
                        "ID": ident(name),
                        "name": name,
                        "isLearner": not votes,
                        "peerURLs": [f"https://{LAB.machine(name).address}:2380"],
                    }
                    for name, votes in self.listed.items()
                ]
            })  # fmt: skip
        return ""


def ident(name: str) -> int:
    return 0xA0 + int(name[-1])


def status(name: str) -> str:
    report = {
        "header": {"member_id": ident(name), "revision": 9},
        "leader": ident("etcd1"),
        "raftTerm": 2,
        "raftIndex": 9,
    }
    return json.dumps([{"Status": report}])


def machines(folder: Path, guests: FakeGuests, progress: Recorded | None = None) -> EtcdMachines:
    work = Work(folder / ".halab")
    work.logs.mkdir(parents=True)
    work.write(files.work_files(LAB, HOST))
    return EtcdMachines(LAB, guests, progress or Recorded(), FakeClock(), Scripts(LAB, work, guests))


def delivered(guests: FakeGuests, file: str) -> dict[str, str | None]:
    return {call.machine: call.input for call in guests.calls if f"/run/halab/{file}" in call.command}


def test_all_members_of_a_new_cluster_start_at_once_with_one_ca(tmp_path: Path) -> None:
    guests, progress = Members(), Recorded()
    assert machines(tmp_path, guests, progress).run(is_new_cluster=True) == 3
    assert sorted(guests.started()) == ["etcd1", "etcd2", "etcd3"]
    material = dict.fromkeys(["etcd1", "etcd2", "etcd3"], f"new\n{CA}\n")
    assert delivered(guests, "etcd-material") == material
    assert guests.joined == {"etcd1", "etcd2", "etcd3"}
    assert progress.lines[0] == "begin start etcd on etcd1, etcd2, etcd3"


def test_members_are_marked_only_when_all_of_them_answer(tmp_path: Path) -> None:
    guests = Members(silent=("etcd2",))
    with pytest.raises(TimedOut, match="no answer from etcd2"):
        machines(tmp_path, guests).run(is_new_cluster=True)
    assert guests.joined == set()


def test_the_last_error_of_a_silent_member_is_shown(tmp_path: Path) -> None:
    guests = Members(silent=("etcd2",))
    guests.answers = {r"^etcd2: find /var/log": '{"level":"fatal","msg":"no space"}\n', **guests.answers}
    with pytest.raises(TimedOut, match="no answer from etcd2: .*no space"):
        machines(tmp_path, guests).run(is_new_cluster=True)


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    guests, progress = Members("etcd1", "etcd2", "etcd3"), Recorded()
    assert machines(tmp_path, guests, progress).run(is_new_cluster=False) == 0
    assert guests.started() == []
    assert progress.lines == []


def test_a_lost_member_is_removed_and_an_empty_one_joins_as_a_learner_first(tmp_path: Path) -> None:
    guests = Members("etcd1", "etcd3", listed=("etcd1", "etcd2", "etcd3"))
    assert machines(tmp_path, guests).run(is_new_cluster=False) == 1
    assert guests.started() == ["etcd2"]
    assert delivered(guests, "etcd-material") == {"etcd2": f"existing\n{CA}\n"}
    acts = [
        word
        for command in guests.commands("etcd1")
        for word in ("remove a2", "add etcd2 --learner", "promote a2")
        if f"member {word}" in command
    ]
    assert acts == ["remove a2", "add etcd2 --learner", "promote a2"]
    assert guests.listed == {"etcd1": True, "etcd3": True, "etcd2": True}
    assert "etcd2" in guests.joined


def test_a_member_that_votes_already_is_only_marked(tmp_path: Path) -> None:
    guests = Members("etcd1", "etcd3", listed=("etcd1", "etcd2", "etcd3"))
    guests.running.add("etcd2")
    machines(tmp_path, guests).run(is_new_cluster=False)
    assert guests.started() == []
    assert "etcd2" in guests.joined


def test_a_machine_that_was_created_again_replaces_the_lost_one(tmp_path: Path) -> None:
    guests = Members("etcd1", "etcd2", listed=("etcd1", "etcd2", "etcd3"))
    assert machines(tmp_path, guests).replace(LAB.machine("etcd3")) == 1
    assert machines(tmp_path / "again", guests).replace(LAB.machine("etcd3")) == 0
    assert guests.started() == ["etcd3"]


def test_a_cluster_without_any_member_is_not_founded_again(tmp_path: Path) -> None:
    guests = Members()
    with pytest.raises(LabProblem, match="all etcd machines were lost") as caught:
        machines(tmp_path, guests).run(is_new_cluster=False)
    assert "halab down && halab up" in (caught.value.hint or "")
    assert guests.started() == []


def test_the_first_control_plane_gets_a_client_and_begins_without_data(tmp_path: Path) -> None:
    guests = Members("etcd1", "etcd2", "etcd3")
    machines(tmp_path, guests).prepare("cp1", was_complete=False)
    assert delivered(guests, "etcd-client") == {"cp1": f"{CLIENT}\n"}
    assert any("del --prefix /registry/" in command for command in guests.commands("etcd1"))


def test_the_data_of_a_complete_lab_is_never_deleted(tmp_path: Path) -> None:
    guests = Members("etcd1", "etcd2", "etcd3")
    guests.answers = {"get --prefix /registry/ --keys-only": "/registry/namespaces/mine\n", **guests.answers}
    with pytest.raises(LabProblem, match="all control planes were lost, and with them the CA") as caught:
        machines(tmp_path, guests).prepare("cp1", was_complete=True)
    assert "halab down && halab up" in (caught.value.hint or "")
    assert not any("del --prefix" in command for command in guests.commands("etcd1"))


def test_a_lab_whose_machines_were_all_lost_is_built_again(tmp_path: Path) -> None:
    guests = Members("etcd1", "etcd2", "etcd3")
    machines(tmp_path, guests).prepare("cp1", was_complete=True)
    assert delivered(guests, "etcd-client") == {"cp1": f"{CLIENT}\n"}


def test_secrets_are_never_logged_and_an_error_does_not_show_them(tmp_path: Path) -> None:
    guests = Members()
    guests.answers = {
        r"(?s)^etcd1: bash -s.*certs etcd-ca": Completed(1, CA, f"{CA}\nno kubeadm"),
        **guests.answers,
    }
    with pytest.raises(LabProblem, match="^etcd1 did not print the CA of etcd: no kubeadm$"):
        machines(tmp_path, guests).run(is_new_cluster=True)
    assert all(call.log is None for call in guests.calls)


class Cluster(Members):
    """The same machines with control planes, of which some have joined."""

    def _answer(self, call: Call) -> str | Completed:
        if call.machine == "etcd1" and "healthcheck-client" in call.command:
            return "Y2E=\nY3J0\na2V5\n"
        if "kubeadm token create" in (call.input or ""):
            return "kubeadm join 10.213.7.10:6443 --token abcdef.0123456789abcdef"
        if "\nif ! kubeadm init " in (call.input or "") or "\njoin=(kubeadm join " in (call.input or ""):
            self.joined.add(call.machine)
        return super()._answer(call)

    def order(self, *patterns: str) -> list[tuple[str, str]]:
        texts = [(call.machine, f"{call.command}\n{call.input or ''}") for call in self.calls]
        return [(name, pattern) for name, text in texts for pattern in patterns if pattern in text]


def provisioner(folder: Path, guests: FakeGuests) -> Provisioner:
    work = Work(folder / ".halab")
    work.logs.mkdir(parents=True)
    work.write(files.work_files(LAB, HOST))
    return Provisioner(LAB, work, guests, Recorded(), FakeClock())


def test_etcd_runs_before_the_first_api_server_and_joins_wait_for_no_vote(tmp_path: Path) -> None:
    guests = Cluster()
    provisioner(tmp_path, guests).run()
    steps = guests.order(
        "did 'started etcd'", "del --prefix /registry/", "\nif ! kubeadm init ", "\njoin=(kubeadm"
    )
    assert sorted(name for name, _ in steps[:3]) == ["etcd1", "etcd2", "etcd3"]
    assert steps[3:5] == [("etcd1", "del --prefix /registry/"), ("cp1", "\nif ! kubeadm init ")]
    assert sorted(name for name, _ in steps[5:]) == ["cp2", "cp3"]
    assert not any("member list" in command for command in guests.commands("cp1"))


def test_the_client_of_the_sampler_comes_from_a_machine_of_etcd(tmp_path: Path) -> None:
    assert provisioner(tmp_path, Cluster("etcd1")).etcd_client() == ("ca", "crt", "key")


def test_a_new_control_plane_joins_through_one_that_has_joined(tmp_path: Path) -> None:
    guests = Cluster("etcd1", "etcd2", "etcd3", "cp3")
    provisioner(tmp_path, guests).rejoin(LAB.machine("cp1"), JoinOptions())
    assert guests.order("kubeadm token create") == [("cp3", "kubeadm token create")]
    assert not guests.order("member remove")
    with pytest.raises(
        LabProblem, match="no other control plane is ready, so cp1 can neither join nor leave"
    ):
        provisioner(tmp_path / "alone", Cluster("etcd1", "etcd2", "etcd3")).rejoin(
            LAB.machine("cp1"), JoinOptions()
        )


def test_a_new_machine_of_etcd_joins_no_cluster_of_nodes(tmp_path: Path) -> None:
    guests = Cluster("etcd1", "etcd3", "cp1", listed=("etcd1", "etcd2", "etcd3"))
    provisioner(tmp_path, guests).rejoin(LAB.machine("etcd2"), JoinOptions())
    assert guests.started() == ["etcd2"]
    assert not guests.order("kubeadm token create")
