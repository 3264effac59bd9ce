"""A lab gets another size: the order of the steps, what they leave behind, and how they continue."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.fakes import Call, FakeClock, FakeGuests, Recorded, brought_up

from halab.cluster.steady import Observation
from halab.config.lab import ProviderKind
from halab.config.lab_size import LabSize
from halab.errors import BadUsage, CommandFailed, HalabError, HostProblem, LabProblem, TimedOut, Unreachable
from halab.faults.journal import Entry, Journal
from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info, providers, rescale, scale, sizes, snapshot, workfiles
from halab.lifecycle.lab import LabDir, open_file
from halab.machines.host import allocation
from halab.machines.host.allocation import Scaled
from halab.machines.power import PowerState
from halab.machines.snapshots import Saved
from halab.process import Completed
from halab.topology import files
from halab.topology.files import HostValues
from halab.topology.lab import Lab

THREE, FIVE = LabSize(3, 0), LabSize(5, 0)


@dataclass
class World:
    """A lab of containers or virtual machines: its cluster, its machines, and what was done, in order."""

    lab_dir: LabDir
    joined: set[str]
    guests: FakeGuests = field(default_factory=FakeGuests)
    leader: str = "cp1"
    dead: set[str] = field(default_factory=set)
    there: set[str] = field(default_factory=set)
    did: list[str] = field(default_factory=list)
    kind: ProviderKind = ProviderKind.DOCKER
    saved: list[Saved] = field(default_factory=list)
    fails_at: str = ""
    # the machines of an etcd of its own
    etcd: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.guests.answers = {"": self._answer}
        self.there = {"lb1", *self.etcd, *self.joined}

    def _answer(self, call: Call) -> str | Completed:
        text = f"{call.command}\n{call.input or ''}"
        if call.machine in self.dead or call.machine not in self.there:
            raise Unreachable(f"{call.machine} does not answer")
        for pattern, what in _ACTS.items():
            if re.search(pattern, text):
                self.did.append(f"{what} on {call.machine}")
                if what == self.fails_at:
                    raise CommandFailed("no", code=1, output="no budget")
        if "test -e /etc/kubernetes/halab-joined" in text:
            return Completed(0 if call.machine in {*self.joined, *self.etcd} else 1, "", "")
        if "member list" in text:
            listed = sorted(self.etcd or self.joined)
            return json.dumps({"members": [self._member(name) for name in listed]})
        if moved := re.search("move-leader ([0-9a-f]+)", text):
            self.leader = f"cp{int(moved[1], 16) - 10}"
        if removed := re.search("member remove ([0-9a-f]+)", text):
            self.joined.discard(f"cp{int(removed[1], 16) - 10}")
        if "endpoint status" in text:
            return json.dumps([{"Status": self._status(call.machine)}])
        if "kubeadm token create" in text:
            return "kubeadm join 10.213.7.10:6443 --token abcdef.0123456789abcdef"
        if "\njoin=(kubeadm join " in text:
            self.joined.add(call.machine)
        if "kubeadm reset --force" in call.command:
            self.joined.discard(call.machine)
        return ""

    def _member(self, name: str) -> dict[str, Any]:
        number = _number(name)
        network = labs.allocated(self.lab_dir).network.network_address
        return {"ID": number, "name": name, "peerURLs": [f"https://{network + number}:2380"]}

    def _status(self, name: str) -> dict[str, Any]:
        number, leads = _number(name), _number(self.leader)
        header = {"member_id": number, "revision": 5}
        return {"header": header, "leader": leads, "raftTerm": 2, "raftIndex": 100 - number}

    # what `providers.machines` returns
    def of(self, lab: Lab) -> FakeLabMachines:
        return FakeLabMachines(self, lab)


def _number(name: str) -> int:
    """The last byte of the address of a machine with a member."""
    first = {"cp": 10, "etcd": 40}.get(name.rstrip("0123456789"), 0)
    return first + int(name.lstrip("abcdefghijklmnopqrstuvwxyz")) if first else 0


_ACTS = {
    "halab/hosts": "set up",
    "# The load balancer of ": "balance",
    r"\njoin=\(kubeadm join ": "join",
    "kubectl --kubeconfig.* drain": "drain",
    "kubeadm reset --force --cri-socket=": "reset",
    "move-leader": "move the leadership",
    "member remove": "remove a member",
    "kubectl delete node": "delete a node",
    " taint node": "taint",
}


@dataclass
class FakeLabMachines:
    world: World
    lab: Lab

    def infos(self) -> list[Any]:
        return []

    def state(self, machine: str) -> PowerState:
        self.lab.machine(machine)
        return PowerState.RUNNING if machine in self.world.there else PowerState.GONE

    def power(self) -> FakeLabMachines:
        return self

    def remove(self, machine: str) -> None:
        self.world.there.discard(machine)
        self.world.did.append(f"destroy {machine}")

    def require_free_names(self) -> None:
        if self.world.fails_at == "names":
            raise HostProblem("the name is taken")

    def saved(self) -> list[Saved]:
        return self.world.saved

    def delete_snapshot(self, name: str) -> None:
        self.world.saved = [saved for saved in self.world.saved if saved.snapshot != name]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(size: LabSize = THREE, kind: str = "docker", text: str = "", **options: Any) -> World:
        (tmp_path / "lab.yml").write_text(text or f"name: ha\nprovider: {kind}\n")
        brought_up(tmp_path, provider=kind)
        lab_dir = open_file(tmp_path / "lab.yml")
        lab = labs.allocated(replace(lab_dir, size=size))
        lab_dir.work.write(machine_info.record(lab_dir.work, lab))
        if size != LabSize.of_file(lab_dir.written):
            allocation.rescale(lab_dir.work.path, Scaled(size, LabSize.of_file(lab_dir.written)))
        (lab_dir.work.path / "kubeconfig").write_text("x")
        joined, etcd = (
            {machine.name for machine in lab.nodes},
            tuple(machine.name for machine in lab.etcd_machines),
        )
        world = World(lab_dir, joined, kind=ProviderKind(kind), etcd=etcd, **options)
        world.leader = etcd[0] if etcd else world.leader
        monkeypatch.setattr(rescale, "SshGuests", lambda config: world.guests)
        monkeypatch.setattr(rescale, "RealClock", FakeClock)
        monkeypatch.setattr(rescale, "boot", lambda here, machines, progress: _boot(world, machines.lab))
        monkeypatch.setattr(providers, "machines", lambda here, lab: world.of(lab))
        monkeypatch.setattr(providers, "base", lambda here, lab, progress: "box")
        monkeypatch.setattr(providers, "payload", lambda here, lab: None)
        monkeypatch.setattr("halab.machines.addresses.note", lambda machines: [])
        monkeypatch.setattr(workfiles, "rendered", _rendered)
        return world

    return made


def _boot(world: World, lab: Lab) -> int:
    new = [machine.name for machine in lab.machines if machine.name not in world.there]
    world.there.update(new)
    world.did += [f"boot {name}" for name in new]
    return len(new)


def _rendered(lab_dir: LabDir, lab: Lab, patches: Any, own: Any, *, base: str) -> dict[str, str]:
    values = HostValues(str(lab_dir.work.path), "here", base, "key", "pub", {})
    return files.work_files(lab, values)


def size_of(world: World) -> LabSize:
    return labs.size_of(world.lab_dir)


def only(world: World, *words: str) -> list[str]:
    return [line for line in world.did if line.startswith(words)]


def test_new_control_planes_join_in_turn_and_get_clients_after_that(make: Any) -> None:
    world = make()
    done = rescale.rescale(world.lab_dir, FIVE, Recorded())
    assert (done.added, done.removed, str(done)) == (("cp4", "cp5"), (), "added cp4, cp5")
    assert only(world, "boot", "join") == ["boot cp4", "boot cp5", "join on cp4", "join on cp5"]
    assert world.did.index("set up on lb1") > world.did.index("join on cp5")
    assert size_of(world) == FIVE and sizes.target(allocation.of(world.lab_dir.work.path)) is None
    assert machine_info.size(world.lab_dir.work) == FIVE
    # the routes and names of the new machines reach the old ones
    assert "set up on cp1" in world.did


def test_a_machine_leaves_in_the_order_of_the_manual(make: Any) -> None:
    world = make(FIVE, leader="cp5")
    done = rescale.rescale(world.lab_dir, LabSize(4, 0), Recorded())
    assert done.removed == ("cp5",)
    order = [line for line in world.did if "set up on cp" not in line]
    assert order[:5] == [
        "set up on lb1",
        "move the leadership on cp5",
        "drain on cp1",
        "reset on cp5",
        "delete a node on cp1",
    ]
    assert order[5] == "destroy cp5"
    assert world.leader == "cp1"
    work = world.lab_dir.work
    assert not (work.path / "provision/cp5").exists()
    assert "cp5" not in (work.path / "Vagrantfile").read_text()
    assert machine_info.size(work) == LabSize(4, 0) == size_of(world)


def test_a_lab_with_the_size_of_its_file_has_no_record_of_a_size(make: Any) -> None:
    world = make(FIVE)
    rescale.rescale(world.lab_dir, THREE, Recorded())
    held = allocation.of(world.lab_dir.work.path)
    assert held is not None and held.scaled is None


def test_a_dead_machine_is_removed_by_another(make: Any) -> None:
    world = make(FIVE, dead={"cp5"})
    rescale.rescale(world.lab_dir, LabSize(4, 0), Recorded())
    assert only(world, "drain", "reset") == []
    assert only(world, "remove a member", "delete a node", "destroy") == [
        "remove a member on cp1", "delete a node on cp1", "destroy cp5",
    ]  # fmt: skip


def test_a_machine_whose_reset_fails_is_removed_by_another(make: Any) -> None:
    world = make(FIVE, fails_at="reset")
    progress = Recorded()
    rescale.rescale(world.lab_dir, LabSize(4, 0), progress)
    assert "remove a member on cp1" in world.did and "destroy cp5" in world.did
    assert any("kubeadm reset failed" in line for line in progress.lines)


def test_pods_that_cannot_be_evicted_stop_the_scale_and_the_next_call_continues(make: Any) -> None:
    world = make(FIVE, fails_at="drain")
    with pytest.raises(LabProblem, match="the pods on cp5 cannot be evicted: no budget") as caught:
        rescale.rescale(world.lab_dir, THREE, Recorded())
    assert "get pdb" in (caught.value.hint or "")
    assert "destroy cp5" not in world.did
    with pytest.raises(LabProblem, match="was interrupted"), labs.locked(world.lab_dir, "up"):
        pass
    assert scale.wanted(world.lab_dir, []) == THREE
    world.fails_at = ""
    world.guests.calls.clear()
    rescale.rescale(world.lab_dir, scale.wanted(world.lab_dir, []), Recorded())
    assert size_of(world) == THREE and world.there == {"lb1", "cp1", "cp2", "cp3"}
    # the load balancer had lost these servers, and never gets them back
    scripts = [call.input or "" for call in world.guests.calls if call.machine == "lb1"]
    assert any("server cp3" in script for script in scripts)
    assert not any("server cp5" in script for script in scripts)


def test_a_growth_that_was_interrupted_continues(make: Any) -> None:
    world = make(fails_at="join")
    with pytest.raises(Exception, match=r"join\.sh"):
        rescale.rescale(world.lab_dir, FIVE, Recorded())
    # machines that may exist belong to the lab: all commands see them
    assert size_of(world) == FIVE
    world.fails_at = ""
    done = rescale.rescale(world.lab_dir, scale.wanted(world.lab_dir, []), Recorded())
    assert done.changed and str(done) == "an interrupted scale is complete"
    assert world.joined == {"cp1", "cp2", "cp3", "cp4", "cp5"}
    assert sizes.target(allocation.of(world.lab_dir.work.path)) is None


def test_after_an_interruption_the_lab_can_go_back(make: Any) -> None:
    world = make(fails_at="join")
    with pytest.raises(Exception, match=r"join\.sh"):
        rescale.rescale(world.lab_dir, FIVE, Recorded())
    world.fails_at = ""
    rescale.rescale(world.lab_dir, scale.wanted(world.lab_dir, ["control_planes=3"]), Recorded())
    assert world.there == {"lb1", "cp1", "cp2", "cp3"} and size_of(world) == THREE


def test_workers_and_control_planes_change_at_once(make: Any) -> None:
    world = make()
    done = rescale.rescale(world.lab_dir, LabSize(1, 2), Recorded())
    assert (done.added, done.removed) == (("w1", "w2"), ("cp3", "cp2"))
    # pods have a place before machines leave
    assert world.did.index("join on w2") < world.did.index("drain on cp1")
    assert only(world, "taint") == ["taint on cp1"]
    assert size_of(world) == LabSize(1, 2)


def test_control_planes_are_free_for_pods_before_the_last_worker_leaves(make: Any) -> None:
    world = make(LabSize(3, 1))
    rescale.rescale(world.lab_dir, THREE, Recorded())
    assert world.did.index("taint on cp1") < world.did.index("drain on cp1")
    assert only(world, "remove a member", "move the leadership") == []
    # no control plane leaves: the load balancer is not touched before
    assert world.did.index("set up on lb1") > world.did.index("destroy w1")


def test_a_control_plane_without_a_member_leaves_etcd_alone(make: Any) -> None:
    text = "name: ha\nprovider: docker\netcd: {topology: external}\n"
    world = make(text=text)
    done = rescale.rescale(world.lab_dir, LabSize(2, 0), Recorded())
    assert done.removed == ("cp3",)
    assert only(world, "drain", "reset", "delete a node", "destroy") == [
        "drain on cp1", "reset on cp3", "delete a node on cp1", "destroy cp3",
    ]  # fmt: skip
    assert only(world, "remove a member", "move the leadership") == []


@pytest.mark.parametrize(
    ("ttl", "waited", "said"),
    [("30s", "30s", []), ("5m", "2m", ["clients may use the removed records for 3m more"])],
)
def test_a_control_plane_stays_until_clients_have_forgotten_its_record(
    ttl: str, waited: str, said: list[str], make: Any
) -> None:
    world, progress = make(text=f"name: ha\nload_balancer: {{kind: dns, ttl: {ttl}}}\n"), Recorded()
    rescale.rescale(world.lab_dir, LabSize(2, 0), progress)
    lines = [line for line in progress.lines if not line.startswith("end ")]
    waits, leaves = (
        lines.index(f"begin wait {waited} for the time to live of the removed records"),
        lines.index("begin remove cp3"),
    )
    assert lines[waits + 1 : leaves] == said


def test_without_dns_nothing_waits_for_a_record(make: Any) -> None:
    world, progress = make(), Recorded()
    rescale.rescale(world.lab_dir, LabSize(2, 0), progress)
    assert not any("time to live" in line for line in progress.lines)


def test_nothing_is_recorded_or_made_if_the_box_is_gone(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> str:
        raise HostProblem("no box")

    world = make()
    monkeypatch.setattr(providers, "base", gone)
    with pytest.raises(HostProblem, match="no box"):
        rescale.rescale(world.lab_dir, FIVE, Recorded())
    held = allocation.of(world.lab_dir.work.path)
    assert world.did == [] and held is not None and held.scaled is None


def test_a_lab_whose_api_servers_are_dead_loses_no_machine(make: Any) -> None:
    world = make(text="name: ha\nprovider: docker\netcd: {topology: external}\n", dead={"cp1", "cp2"})
    with pytest.raises(LabProblem, match="no control plane is ready"):
        rescale.rescale(world.lab_dir, LabSize(2, 0), Recorded())
    assert only(world, "destroy") == []


def test_taints_of_the_user_are_left_alone(make: Any) -> None:
    text = "name: ha\nprovider: docker\nkubeadm: {join: {nodeRegistration: {taints: []}}}\n"
    world = make(text=text)
    rescale.rescale(world.lab_dir, LabSize(3, 1), Recorded())
    assert only(world, "taint") == []


def test_the_same_size_changes_nothing(make: Any) -> None:
    world = make()
    done = rescale.rescale(world.lab_dir, THREE, Recorded())
    assert not done.changed and str(done) == "nothing to change" and world.did == []


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (FIVE, {"dead": {"cp2"}}, "while an etcd member does not work: cp2"),
        (LabSize(2, 0), {"dead": {"cp2"}}, "without cp3, etcd needs 2 of cp1, cp2, but only cp1 works"),
        (FIVE, {"fails_at": "names"}, "the name is taken"),
    ],
)
def test_a_refused_size_leaves_no_trace(
    make: Any, size: LabSize, options: dict[str, Any], message: str
) -> None:
    world = make(**options)
    with pytest.raises((LabProblem, HostProblem), match=message):
        rescale.rescale(world.lab_dir, size, Recorded())
    assert world.did == []
    held = allocation.of(world.lab_dir.work.path)
    assert held is not None and held.scaled is None


def test_snapshots_on_the_disk_of_a_machine_that_leaves_are_deleted(make: Any) -> None:
    def saved(name: str, machine: str) -> Saved:
        return Saved(name, machine, datetime(2026, 11, 26, tzinfo=UTC))

    world = make(
        FIVE, kind="libvirt", saved=[saved("all", "cp1"), saved("all", "cp5"), saved("small", "cp1")]
    )
    progress = Recorded()
    rescale.rescale(world.lab_dir, LabSize(4, 0), progress)
    assert {each.snapshot for each in world.saved} == {"small"}
    assert any("the snapshot all is deleted" in line for line in progress.lines)


# the command


def test_a_size_must_be_given(make: Any) -> None:
    world = make()
    with pytest.raises(
        BadUsage, match="no size was given, and no scale was interrupted: the lab has control_planes=3"
    ):
        scale.wanted(world.lab_dir, [])
    assert scale.wanted(world.lab_dir, ["workers=1"]) == LabSize(3, 1)


def test_a_size_that_the_file_forbids_is_refused(make: Any) -> None:
    text = "name: ha\nprovider: docker\nnetwork: 10.213.0.0/24\nmachines: {cp1: {address: 10.213.0.14}}\n"
    world = make(text=text)
    with pytest.raises(BadUsage, match="machines.cp1.address is the address of cp4 too"):
        scale.wanted(world.lab_dir, ["control_planes=5"])


def test_a_lab_that_is_not_complete_is_not_scaled(make: Any) -> None:
    world = make()
    world.lab_dir.work.kubeconfig.unlink()
    with pytest.raises(LabProblem, match="the lab ha is not complete yet"):
        scale.wanted(world.lab_dir, ["workers=1"])


def scaled(world: World, monkeypatch: pytest.MonkeyPatch, size: LabSize = FIVE) -> list[str]:
    did: list[str] = []

    def save(lab_dir: LabDir, machines: Any, progress: Any, *, changed: bool) -> None:
        did.append(f"save, changed {changed}")

    monkeypatch.setattr(scale, "wait_steady", lambda lab_dir, lab, progress, **options: Observation())
    monkeypatch.setattr("halab.lifecycle.kubeadm_check.require", lambda lab_dir: True)
    monkeypatch.setattr(snapshot, "save_after_up", save)
    scale.scale(world.lab_dir, size, Recorded())
    return did


def test_the_snapshot_of_up_is_saved_again(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make()
    assert scaled(world, monkeypatch) == ["save, changed True"]
    assert scaled(world, monkeypatch) == ["save, changed False"]


def test_an_error_on_the_way_says_how_to_continue(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HalabError) as caught:
        scaled(make(fails_at="join"), monkeypatch)
    assert "continue with `halab scale`" in (caught.value.hint or "")


def test_a_refusal_does_not_say_how_to_continue(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabProblem) as caught:
        scaled(make(dead={"cp2"}), monkeypatch)
    assert "continue" not in (caught.value.hint or "")


def test_a_lab_that_does_not_become_steady_has_its_new_size(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make()

    def never(lab_dir: LabDir, lab: Lab, progress: Any, hint: str) -> Observation:
        raise TimedOut("gave up", hint=hint)

    monkeypatch.setattr("halab.lifecycle.kubeadm_check.require", lambda lab_dir: True)
    monkeypatch.setattr(scale, "wait_steady", never)
    with pytest.raises(TimedOut) as caught:
        scale.scale(world.lab_dir, FIVE, Recorded())
    assert "the lab has its new size, control_planes=5 workers=0" in (caught.value.hint or "")
    assert size_of(world) == FIVE and sizes.target(allocation.of(world.lab_dir.work.path)) is None


def test_a_lab_with_an_open_fault_is_not_scaled(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make()
    Journal(world.lab_dir.work.journal).opened(Entry("1", "cut-link", "cp1"))
    with pytest.raises(LabProblem, match="a fault is open: cut-link on cp1"):
        scaled(world, monkeypatch)
    assert world.did == []


def test_a_kept_lab_is_not_scaled(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make()
    world.lab_dir.work.kept.write_text("x")
    with pytest.raises(LabProblem, match="the lab ha is down and was kept"):
        scaled(world, monkeypatch)


def test_the_load_balancers_of_the_nodes_get_new_servers_after_the_joins(make: Any) -> None:
    world = make(text="name: ha\nprovider: docker\nload_balancer: {kind: local}\n")
    rescale.rescale(world.lab_dir, FIVE, Recorded())
    # the new ones need their own before they join
    first = world.did.index("join on cp4")
    assert sorted(only(world, "balance")) == sorted(
        [f"balance on cp{number}" for number in (1, 2, 3, 4, 4, 5, 5)]
    )
    assert {line for line in world.did[:first] if line.startswith("balance")} == {
        "balance on cp4",
        "balance on cp5",
    }


def test_the_load_balancers_of_the_nodes_lose_a_server_before_it_leaves(make: Any) -> None:
    world = make(FIVE, text="name: ha\nprovider: docker\nload_balancer: {kind: local}\n")
    rescale.rescale(world.lab_dir, LabSize(4, 0), Recorded())
    before = world.did[: world.did.index("reset on cp5")]
    assert {line for line in before if line.startswith("balance")} == {
        f"balance on cp{number}" for number in (1, 2, 3, 4)
    }
