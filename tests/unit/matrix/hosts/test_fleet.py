"""A matrix on several hosts: who plays what, and what happens when a host dies, errs, comes back or does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_fleet import (
    BUILT,
    FACTS,
    FakeCluster,
    FakeHost,
    Heard,
    arrives_by_verdict,
    lines_about,
    sent,
)
from support.fakes import FakeClock, Recorded
from support.matrix_builder import plan_of

from halab.campaign import lab_folders
from halab.config.lab import ProviderKind
from halab.errors import BadUsage, Corrupted, HalabError, HostProblem
from halab.matrix.hosts import agent, place
from halab.matrix.hosts.cluster import HostGone
from halab.matrix.hosts.fleet import Fleet
from halab.matrix.hosts.place import SentRun
from halab.matrix.lab_process import EndedLab
from halab.matrix.places import LabOrders

TWO_LABS = "axes:\n  load_balancer.kind: [haproxy, nginx]\nscenarios: [stop-apiserver, kill-etcd-member]\n"
RUNS = {(lab, cell, 7) for lab in ("haproxy", "nginx") for cell in ("stop-apiserver", "kill-etcd-member")}


@pytest.fixture(autouse=True)
def simple_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    arrives_by_verdict(monkeypatch)


class Room:
    """A matrix of two labs with two runs each, and what was said about it."""

    def __init__(self, folder: Path, *, text: str = TWO_LABS, lab: str = "") -> None:
        plan = plan_of(folder, text, lab)
        made = lab_folders.prepare(plan.lab_file, plan.labs, folder / "labs", again=True)
        self.orders = [
            LabOrders(
                lab.name,
                file,
                tuple(run.planned for run in plan.runs(7)[lab.name]),
                7,
                {name: value for (of, name), value in plan.fingerprints.items() if of == lab.name},
            )
            for lab, file in zip(plan.labs, made, strict=True)
        ]
        self.heard = Heard()
        self.shown = Recorded()
        self.clock = FakeClock()

    def play(self, cluster: FakeCluster) -> bool:
        self.clock = FakeClock(cluster.tick)
        self.fleet = Fleet(cluster, "matrix", self.clock, self.shown, lambda label: self.shown, FACTS)
        return self.fleet.play_all(self.orders, self.heard)

    def fingerprint(self, lab: str, cell: str) -> str:
        return next(each.fingerprints[cell] for each in self.orders if each.lab == lab)

    def said(self, word: str) -> list[str]:
        return lines_about(self.shown.lines, word)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def require_all_once(room: Room) -> None:
    assert {(lab, cell, seed) for lab, cell, seed, _ in room.heard.runs} == RUNS
    assert len(room.heard.runs) == len(RUNS)


def test_each_host_plays_a_lab_and_nothing_is_left_there(room: Room) -> None:
    a, b = FakeHost("a"), FakeHost("b")
    assert not room.play(FakeCluster(a, b))
    require_all_once(room)
    assert room.heard.begun == ["haproxy", "nginx"]
    assert room.heard.ends == {"haproxy": BUILT, "nginx": BUILT}
    assert a.did == ["play haproxy: 2", "clean haproxy"] and b.did == ["play nginx: 2", "clean nginx"]
    assert "… up of haproxy" in room.shown.lines


def test_one_host_plays_all_labs(room: Room) -> None:
    a = FakeHost("a")
    assert not room.play(FakeCluster(a))
    require_all_once(room)
    assert a.did == ["play haproxy: 2", "clean haproxy", "play nginx: 2", "clean nginx"]


@pytest.mark.parametrize(("repeat", "parts"), [(4, [4, 4]), (3, [6])])
def test_more_hosts_than_labs_play_parts_of_a_lab_if_that_saves_time(
    repeat: int, parts: list[int], tmp_path: Path
) -> None:
    room = Room(tmp_path, text=TWO_LABS.replace("[haproxy, nginx]", "[haproxy]") + f"repeat: {repeat}\n")
    room.heard.most_ends = len(parts)
    hosts = [FakeHost(name) for name in "abc"]
    room.play(FakeCluster(*hosts))
    assert [host.did[0] for host in hosts if host.did] == [f"play haproxy: {count}" for count in parts]
    assert len(set(room.heard.runs)) == len(room.heard.runs) == 2 * repeat
    assert room.heard.begun == ["haproxy"] and len(room.said("of its runs")) == (2 if len(parts) > 1 else 0)


def test_a_host_that_comes_later_plays_what_waits(room: Room) -> None:
    a, b = FakeHost("a"), FakeHost("b")
    cluster = FakeCluster(a)
    cluster = FakeCluster(a, acts={1: lambda: cluster.add(b)})
    room.play(cluster)
    require_all_once(room)
    assert b.did[0] == "play nginx: 2"


def test_another_host_plays_only_what_a_dead_one_did_not_send(room: Room) -> None:
    a, b = FakeHost("a"), FakeHost("b")
    cluster = FakeCluster(a, b)
    cluster = FakeCluster(a, b, acts={2: lambda: cluster.lose("a")})
    room.play(cluster)
    require_all_once(room)
    assert b.did == ["play nginx: 2", "clean nginx", "play haproxy: 1", "clean haproxy"]
    assert room.said("is gone") == ["host a is gone; it was playing the lab haproxy"]
    assert room.heard.begun == ["haproxy", "nginx"] and room.heard.ends["haproxy"] == BUILT


def test_what_a_dead_host_has_counts_when_it_comes_back_and_never_twice(room: Room) -> None:
    a, b = FakeHost("a"), FakeHost("b", verdicts={"kill-etcd-member": "fail"})
    fingerprint = room.fingerprint("haproxy", "kill-etcd-member")
    kept = sent("kill-etcd-member", 7, fingerprint), sent("stop-apiserver", 7, "of another lab file")
    back = FakeHost("a", left={"haproxy": list(kept), "of-yesterday": []}, is_stuck=True)
    cluster = FakeCluster(a, b)
    acts: Mapping[int, Callable[[], object]] = {
        1: lambda: cluster.lose("a"),
        3: lambda: cluster.add(back, "tcp://a:2"),
    }
    cluster = FakeCluster(a, b, acts=acts)
    room.play(cluster)
    require_all_once(room)
    assert {"clean haproxy", "clean of-yesterday"} <= set(back.did)
    # the first that arrives counts
    assert ("haproxy", "kill-etcd-member", 7, "pass") in room.heard.runs
    assert room.said("had a run of") == [
        "host a still had a run of kill-etcd-member on haproxy, which now counts"
    ]


def test_a_lab_that_an_earlier_halab_began_is_ended_first(room: Room) -> None:
    a = FakeHost("a", left={"nginx": []}, runs_on={"nginx"})
    room.play(FakeCluster(a))
    assert a.did[:2] == ["stop nginx", "clean nginx"]
    require_all_once(room)


def test_a_host_with_errors_in_two_cells_in_a_row_is_set_aside(room: Room) -> None:
    a, b = FakeHost("a", verdicts={"stop-apiserver": "error", "kill-etcd-member": "error"}), FakeHost("b")
    room.heard.most_ends = 2
    room.play(FakeCluster(a, b))
    why = "errors in a row: stop-apiserver on haproxy and kill-etcd-member on haproxy"
    assert room.fleet.set_aside == {"a": why}
    assert room.said("set aside") == [f"host a is set aside: {why}"]
    assert "play nginx: 2" not in a.did and "clean haproxy" in a.did


def verdicts(room: Room) -> dict[tuple[str, str, int], str]:
    """The verdict of each run that counts: the last one that was told."""
    return {(lab, cell, seed): verdict for lab, cell, seed, verdict in room.heard.runs}


def test_another_host_plays_again_what_was_an_error_on_a_host_that_is_set_aside(room: Room) -> None:
    room.heard.most_ends = 2
    a, b = FakeHost("a", verdicts={"stop-apiserver": "error", "kill-etcd-member": "error"}), FakeHost("b")
    room.play(FakeCluster(a, b))
    assert verdicts(room) == dict.fromkeys(RUNS, "pass")
    # the error was told twice, and not a third time when what the host has left is taken
    assert [verdict for *_, verdict in room.heard.runs].count("error") == 2
    assert "play haproxy: 2" in b.did and "clean haproxy" in a.did
    assert room.said("played again") == [
        "stop-apiserver on haproxy is played again on another host",
        "kill-etcd-member on haproxy is played again on another host",
    ]


def test_errors_of_two_labs_are_played_again(room: Room) -> None:
    """The last cell of one lab and the first of the next: the first lab has ended already."""
    room.heard.most_ends = 2
    room.orders = [replace(each, runs=each.runs[:1]) for each in room.orders]
    a = FakeHost("a", verdicts={"stop-apiserver": "error"})
    b = FakeHost("b")
    cluster = FakeCluster(a)
    cluster._acts = {4: lambda: cluster.add(b)}
    room.play(cluster)
    assert set(verdicts(room).values()) == {"pass"} and len(verdicts(room)) == 2
    assert {act for act in b.did if act.startswith("play")} == {"play haproxy: 1", "play nginx: 1"}


def test_errors_stay_if_no_other_host_can_play_the_lab(room: Room) -> None:
    a = FakeHost("a", verdicts={"stop-apiserver": "error", "kill-etcd-member": "error"})
    room.play(FakeCluster(a))
    assert [verdict for *_, verdict in room.heard.runs] == ["error", "error"]
    assert room.said("played again") == []


def test_the_rest_of_a_lab_goes_from_a_host_that_is_set_aside_to_another(tmp_path: Path) -> None:
    room = Room(tmp_path, text=TWO_LABS.replace("[haproxy, nginx]", "[haproxy]") + "repeat: 2\n")
    a = FakeHost("a", verdicts={"stop-apiserver": "error", "kill-etcd-member": "error"})
    b = FakeHost("b", facts=HostProblem("later"))
    cluster = FakeCluster(a, b)
    cluster = FakeCluster(a, b, acts={2: lambda: cluster.add(FakeHost("c"))})
    room.play(cluster)
    assert "stop haproxy" in a.did
    assert [verdict for *_, verdict in room.heard.runs] == ["error", "error", *["pass"] * 4]
    assert set(verdicts(room).values()) == {"pass"}
    assert room.heard.ends == {"haproxy": BUILT}
    assert room.said("not used") == ["host b is not used: later"]


def test_a_host_that_fails_its_doctor_is_set_aside_at_once(room: Room) -> None:
    unfit = EndedLab("the engine does not answer", is_unfit=True)
    a, b = FakeHost("a", ends={"haproxy": unfit}), FakeHost("b")
    room.play(FakeCluster(a, b))
    require_all_once(room)
    assert room.fleet.set_aside == {"a": "the engine does not answer"}
    assert room.heard.ends == {"haproxy": BUILT, "nginx": BUILT}


def test_a_lab_that_does_not_come_up_is_tried_on_another_host(room: Room) -> None:
    broken = EndedLab("kubeadm init took longer than 4 min")
    a, b = FakeHost("a", ends={"haproxy": broken}), FakeHost("b")
    room.play(FakeCluster(a, b))
    require_all_once(room)
    assert "play haproxy: 2" in b.did and room.fleet.set_aside == {}


def test_a_lab_that_comes_up_nowhere_has_its_reason(room: Room) -> None:
    broken = EndedLab("kubeadm init took longer than 4 min")
    hosts = [FakeHost(name, ends={"haproxy": broken}) for name in "ab"]
    room.play(FakeCluster(*hosts))
    assert room.heard.ends == {"haproxy": broken, "nginx": BUILT}
    assert [host.did.count("play haproxy: 2") for host in hosts] == [1, 1]


def test_a_defect_on_a_host_is_said(room: Room) -> None:
    a = FakeHost("a", ends={"haproxy": ZeroDivisionError("division by zero")})
    room.play(FakeCluster(a))
    assert room.heard.ends["haproxy"].why == "internal error: ZeroDivisionError: division by zero"


def test_what_a_host_cannot_do_is_no_internal_error(room: Room) -> None:
    a = FakeHost("a", ends={"haproxy": HostProblem("no space left on device: /var/lib")})
    room.play(FakeCluster(a))
    assert room.heard.ends["haproxy"].why == "no space left on device: /var/lib"


def test_a_worker_that_is_lost_with_its_result_is_tried_again(room: Room) -> None:
    a = FakeHost("a", ends={"haproxy": HostGone("the worker")})
    room.play(FakeCluster(a))
    assert a.did.count("play haproxy: 2") == 3
    assert room.heard.ends["haproxy"] == EndedLab("the host a is gone")


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (replace(FACTS, halab="0.9"), "it has halab 0.9, and this is halab 1.0"),
        (
            replace(FACTS, code="f00"),
            "the files of its halab 1.0 differ from those here; install the same halab on both",
        ),
        (
            ModuleNotFoundError("No module named 'halab'"),
            "its halab is not compatible: ModuleNotFoundError: No module",
        ),
        (HostProblem("cannot read /proc/meminfo"), "cannot read /proc/meminfo"),
    ],
)
def test_a_host_with_another_halab_is_refused_by_name(
    facts: object, why: str, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = FakeHost("a"), FakeHost("b")
    b.facts = facts  # type: ignore[assignment]
    room.play(FakeCluster(a, b))
    require_all_once(room)
    (said,) = room.said("not used")
    assert said.startswith(f"host b is not used: {why}") and b.did == []


def test_two_workers_of_one_name_are_one_host(room: Room) -> None:
    a, other = FakeHost("a"), FakeHost("a")
    cluster = FakeCluster(a)
    cluster.add(other, "tcp://a:2")
    room.play(cluster)
    assert other.did == [] and room.said("not used") == [
        "host a is not used: another host has the same name"
    ]


def test_two_workers_on_one_host_are_one_host(room: Room) -> None:
    a, b = (
        FakeHost("a", facts=replace(FACTS, state="rack-1")),
        FakeHost("b", facts=replace(FACTS, state="rack-1")),
    )
    room.play(FakeCluster(a, b))
    assert b.did == [] and room.said("not used") == [
        "host b is not used: it is a second worker on the host a"
    ]


def test_a_second_worker_on_a_host_is_used_when_the_first_one_is_gone(room: Room) -> None:
    facts = replace(FACTS, state="one host")
    cluster = FakeCluster(FakeHost("a", facts, is_stuck=True), FakeHost("b", facts))
    cluster._acts = {2: lambda: cluster.lose("a")}
    room.play(cluster)
    require_all_once(room)
    assert room.said("not used") == ["host b is not used: it is a second worker on the host a"]


def test_a_host_that_is_gone_when_it_is_asked_first_is_asked_again(room: Room) -> None:
    a, b = FakeHost("a"), FakeHost("b", facts=HostGone("tcp://b"))
    assert not room.play(FakeCluster(a, b))
    assert room.said("host b") == []


def test_without_a_host_that_fits_the_reasons_are_said_after_a_minute(room: Room) -> None:
    a = FakeHost("a", facts=replace(FACTS, free_mebibytes=1024))
    assert not room.play(FakeCluster(a))
    why = "no host can play it: a: the lab needs 6.5 GiB, and 1.0 GiB are free"
    assert room.heard.ends == {"haproxy": EndedLab(why), "nginx": EndedLab(why)}
    assert room.heard.runs == [] and 60 <= len(room.clock.slept) < 70


def test_a_host_needs_the_provider_of_the_lab(tmp_path: Path) -> None:
    room = Room(tmp_path, lab="provider: libvirt\n")
    a = FakeHost("a")
    b = FakeHost("b", facts=replace(FACTS, providers=frozenset({ProviderKind.LIBVIRT}), free_mebibytes=None))
    room.play(FakeCluster(a, b))
    require_all_once(room)
    assert a.did == []


def test_no_host_at_all_is_said(room: Room) -> None:
    room.play(FakeCluster())
    assert room.heard.ends["haproxy"].why == "no host can play it: no host is connected"


def test_an_interrupt_ends_all_labs_and_what_they_have_sent_counts(room: Room) -> None:
    a, b = FakeHost("a"), FakeHost("b", is_stuck=True)

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert room.play(FakeCluster(a, b, acts={2: interrupt}))
    assert a.did == ["play haproxy: 2", "stop haproxy", "forget haproxy"]
    # it had not begun
    assert b.did == ["play nginx: 2", "forget nginx"]
    assert {name: end.was_interrupted for name, end in room.heard.ends.items()} == {
        "haproxy": True,
        "nginx": True,
    }
    assert [(lab, cell) for lab, cell, *_ in room.heard.runs][:1] == [("haproxy", "stop-apiserver")]


def test_an_interrupt_leaves_no_run_on_a_host_that_has_several(room: Room) -> None:
    cells = ("stop-apiserver", "kill-etcd-member")
    # an earlier command has left them, and they are large: one comes at a time
    kept = [sent(cell, 7, room.fingerprint("haproxy", cell)) for cell in cells]
    kept.insert(1, sent("of-another-plan", 7, "f0"))

    def interrupt() -> None:
        raise KeyboardInterrupt

    a = FakeHost("a", left={"haproxy": kept})
    assert room.play(FakeCluster(a, acts={1: interrupt}))
    assert {cell for _, cell, *_ in room.heard.runs} == set(cells)
    assert a.did[-1] == "forget haproxy"


def test_machines_that_an_interrupt_leaves_are_said(room: Room) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    room.play(FakeCluster(FakeHost("a", ends={"forget haproxy": EndedLab()}), acts={2: interrupt}))
    assert room.said("still has") == [
        "host a still has machines of the lab haproxy; the next command removes them"
    ]


def test_an_interrupt_ends_what_is_taken_from_an_earlier_command(room: Room) -> None:
    a = FakeHost("a", left={"nginx": []}, runs_on={"nginx"})

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert room.play(FakeCluster(a, acts={1: interrupt}))
    assert a.did == ["stop nginx", "forget nginx"] and room.heard.ends == {}


def test_a_lab_waits_until_its_runs_were_taken_from_another_host(room: Room) -> None:
    kept = [
        sent(cell, 7, room.fingerprint("haproxy", cell)) for cell in ("stop-apiserver", "kill-etcd-member")
    ]
    a, b = FakeHost("a", left={"haproxy": kept}), FakeHost("b")
    room.play(FakeCluster(a, b))
    require_all_once(room)
    assert a.did == ["clean haproxy"] and b.did[0] == "play nginx: 2" and room.heard.begun == ["nginx"]


def test_machines_that_a_host_cannot_remove_are_said(room: Room) -> None:
    why = "the lab was not removed; the log is /var/log"
    room.play(FakeCluster(FakeHost("a", ends={"clean haproxy": EndedLab(why)})))
    require_all_once(room)
    assert f"host a, lab haproxy: {why}" in room.shown.lines


def test_a_host_that_does_not_answer_once_is_asked_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, failures = FakeHost("a"), iter([HostGone("a")])
    answer = a.answer

    def answer_later(act: Callable[..., object], *args: object) -> object:
        if act is agent.news and (failure := next(failures, None)):
            raise failure
        return answer(act, *args)

    monkeypatch.setattr(a, "answer", answer_later)
    room.play(FakeCluster(a))
    require_all_once(room)
    assert a.did.count("play haproxy: 2") == 1


def test_an_error_ends_all_labs_and_is_raised(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(lab: str, run: object) -> None:
        raise HostProblem("no space left on device")

    monkeypatch.setattr(room.heard, "on_run", fail)
    a = FakeHost("a")
    b = FakeHost("b")
    with pytest.raises(HostProblem, match="no space left"):
        room.play(FakeCluster(a, b))
    # what they have stays there until there is room
    assert "stop haproxy" in a.did and "stop nginx" in b.did
    assert a.left["haproxy"] and "forget haproxy" not in a.did


def test_a_run_that_cannot_be_read_does_not_count_and_ends_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive = place.unpacked

    def unpacked(run: SentRun, content: bytes, runs: Path) -> Path:
        if run.cell == "stop-apiserver" and "haproxy" in runs.parts:
            raise Corrupted("the run has changed on its way from the host")
        return arrive(run, content, runs)

    monkeypatch.setattr(place, "unpacked", unpacked)
    a = FakeHost("a")
    assert not room.play(FakeCluster(a))
    assert {(lab, cell, seed) for lab, cell, seed, _ in room.heard.runs} == RUNS - {
        ("haproxy", "stop-apiserver", 7)
    }
    why = "the run stop-apiserver-7 does not count: the run has changed on its way from the host"
    assert set(room.said("does not count")) == {f"host a, lab haproxy: {why}"}
    # and the cell says it, too
    assert room.heard.ends == {"haproxy": replace(BUILT, why=why), "nginx": BUILT}


def test_an_interrupt_does_not_wait_for_a_host_that_hangs(room: Room) -> None:
    a, b = FakeHost("a"), FakeHost("b")

    def interrupt() -> None:
        b.answer = gone  # type: ignore[method-assign]
        raise KeyboardInterrupt

    def gone(act: object, *args: object) -> object:
        raise HostGone("b")

    assert room.play(FakeCluster(a, b, acts={1: interrupt}))
    assert "forget haproxy" in a.did
    assert room.said("does not answer") == ["host b does not answer; the next command removes its labs"]
    assert len(room.clock.slept) < 70


def test_components_from_a_checkout_stay_on_this_host(tmp_path: Path) -> None:
    (tmp_path / "etcd").mkdir()
    text = TWO_LABS.replace("[haproxy, nginx]", "[haproxy]")
    try:
        room = Room(tmp_path, text=text, lab=f"source: {{etcd: {tmp_path / 'etcd'}}}\n")
    except HalabError:
        pytest.skip("the folder is no checkout")
    with pytest.raises(BadUsage, match="components from a checkout on this host: etcd"):
        room.play(FakeCluster(FakeHost("a")))


def test_a_host_fetches_what_it_lacks_from_another_before_it_plays(room: Room) -> None:
    a, b = (
        FakeHost("a", lacks=[("bundles/one", "bundles/two"), ("boxes/three",)]),
        FakeHost("b", has={"bundles/two": 5}),
    )
    room.play(FakeCluster(a, b))
    require_all_once(room)
    # nobody has the box
    assert a.did[:3] == ["receive bundles/two 0", "accept bundles/two", "play haproxy: 2"]
    assert room.said("fetch") == ["host a: fetch bundles/two (0 kB) from b"]


def test_a_host_of_another_architecture_has_nothing_to_give(room: Room) -> None:
    a = FakeHost("a", lacks=[("bundles/one",)])
    b = FakeHost("b", facts=replace(FACTS, architecture="arm64", state="b"), has={"bundles/one": 5})
    room.play(FakeCluster(a, b))
    require_all_once(room)
    assert a.did[0] == "play haproxy: 2"


def test_a_host_that_dies_while_it_fetches_is_no_loss(room: Room) -> None:
    a, b = FakeHost("a", lacks=[("boxes/one",)]), FakeHost("b", has={"boxes/one": 10**12})
    cluster = FakeCluster(a, b)
    cluster._acts = {2: lambda: cluster.lose("a")}
    room.play(cluster)
    require_all_once(room)
    assert room.said("is gone") == ["host a is gone; it was playing the lab haproxy"]


def test_an_interrupt_while_a_host_fetches_removes_what_has_arrived(room: Room) -> None:
    a, b = FakeHost("a", lacks=[("boxes/one",)]), FakeHost("b", has={"boxes/one": 10**12})

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert room.play(FakeCluster(a, b, acts={2: interrupt}))
    assert a.did[-1] == "discard boxes/one" and not any(act.startswith("play") for act in a.did)


def test_hosts_that_can_play_are_counted(room: Room) -> None:
    cluster = FakeCluster(FakeHost("a"), FakeHost("b", facts=replace(FACTS, halab="0.9")))
    fleet = Fleet(cluster, "matrix", room.clock, room.shown, lambda label: room.shown, FACTS)
    assert fleet.size == 1
