"""A lost machine is set up and joined again, through a control plane that is left."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from support.fake_provisioning import Machines, kind_of
from support.fakes import Call, FakeClock, Recorded, lab_of

from halab.cluster.join import JoinAttempt, JoinOptions
from halab.errors import CommandFailed, HalabError, LabProblem, ScriptFailed, TimedOut, Unreachable
from halab.lifecycle.provision import Provisioner
from halab.machines.work import Work
from halab.process import Completed
from halab.topology import files
from halab.topology.files import HostValues

LAB = lab_of()


class Cluster(Machines):
    """A lab that is up; `led` are the machines whose etcd has a leader."""

    def __init__(self, *joined: str, led: tuple[str, ...], stale: str | None = None) -> None:
        super().__init__(*joined, stale=stale)
        self._led = led

    def _answer(self, call: Call) -> str | Completed:
        if "endpoint status" in call.command:
            header = {"member_id": 1, "revision": 5}
            status = {
                "header": header,
                "leader": 1 if call.machine in self._led else 0,
                "raftTerm": 2,
                "raftIndex": 9,
            }
            return json.dumps([{"Status": status}])
        return super()._answer(call)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path / ".halab")
    work.logs.mkdir(parents=True)
    host = HostValues(
        work=str(work.path), identity="here", base="box", private_key="key", public_key="pub", proxies={}
    )
    work.write(files.work_files(LAB, host))
    return work


def rejoin(guests: Machines, work: Work, machine: str, options: JoinOptions | None = None) -> Recorded:
    progress = Recorded()
    provisioner = Provisioner(LAB, work, guests, progress, FakeClock())
    provisioner.rejoin(LAB.machine(machine), options or JoinOptions())
    return progress


def test_a_lost_machine_is_removed_and_joins_through_another(work: Work) -> None:
    guests = Cluster("cp2", "cp3", led=("cp1", "cp3"), stale="10.213.7.11")
    rejoin(guests, work, "cp1")
    assert guests.happened("set-up", "forget", "material", "join") == [
        ("cp1", "set-up"), ("cp3", "forget"), ("cp3", "material"), ("cp1", "join"),
    ]  # fmt: skip


def test_a_machine_that_has_joined_is_not_joined_again(work: Work) -> None:
    guests = Cluster("cp1", "cp2", "cp3", led=("cp1",))
    rejoin(guests, work, "cp2")
    assert guests.happened("forget", "join") == []


def test_a_load_balancer_joins_nothing(work: Work) -> None:
    guests = Cluster("cp1", "cp2", "cp3", led=("cp1",))
    rejoin(guests, work, "lb1")
    assert guests.happened("set-up", "joined?", "join") == [("lb1", "set-up")]


def test_no_machine_can_rejoin_without_a_leader(work: Work) -> None:
    guests = Cluster("cp3", led=())
    with pytest.raises(LabProblem, match="no other etcd member has a leader, so cp1 cannot rejoin"):
        rejoin(guests, work, "cp1")
    assert guests.happened("forget", "join") == []


def test_a_join_beside_a_stale_member_ends_at_its_own_limit(work: Work) -> None:
    guests = Cluster("cp1", "cp3", led=("cp1", "cp3"), stale="10.213.7.12")

    def gives_up() -> Completed:
        (work.logs / "cp2.log").write_text("dial tcp 10.213.7.12:2379\n")
        raise TimedOut("gave up after 60 s")

    guests.special["cp2_join"] = gives_up
    with pytest.raises(ScriptFailed) as caught:
        rejoin(guests, work, "cp2", JoinOptions(forget_lost=False, limit_seconds=60))
    assert guests.happened("forget") == []
    assert caught.value.script == "join.sh"
    assert "10.213.7.12:2379" in caught.value.output
    (call,) = (call for call in guests.calls if kind_of(call) == "join")
    assert call.timeout_seconds == 60


def test_before_join_runs_when_the_join_command_is_ready_and_unused(work: Work) -> None:
    guests = Cluster("cp1", "cp3", led=("cp1", "cp3"), stale="10.213.7.12")

    def before_join(issuer: str) -> None:
        guests.run(issuer, "delete secret kubeadm-certs")

    rejoin(guests, work, "cp2", JoinOptions(before_join=before_join))
    assert guests.happened("forget", "material", "expire", "deliver", "join") == [
        ("cp1", "forget"), ("cp1", "material"), ("cp1", "expire"), ("cp2", "deliver"), ("cp2", "join"),
    ]  # fmt: skip
    rejoin(guests, work, "cp2")
    assert len(guests.happened("expire")) == 1


def test_a_first_control_plane_that_was_lost_joins_the_others(work: Work) -> None:
    guests = Cluster("cp2", "cp3", led=("cp2", "cp3"))
    Provisioner(LAB, work, guests, Recorded(), FakeClock()).run()
    assert guests.happened("init", "material", "join") == [("cp2", "material"), ("cp1", "join")]


# how a join ended

EARLIER = "11:00:00 runs: kubeadm join --old\n11:00:01 old\n"
RUNS = (
    "12:00:00 removed\n12:00:01 runs: kubeadm join --config x\n12:00:02 [preflight] a\n12:00:03 error: no\n"
)


def ended(work: Work, code: Completed | HalabError, printed: str = RUNS) -> list[JoinAttempt]:
    guests = Cluster("cp1", "cp3", led=("cp1", "cp3"))
    log = work.logs / "cp2.log"
    attempts: list[JoinAttempt] = []
    log.write_text(EARLIER)
    clock = FakeClock()

    def joins() -> Completed:
        with log.open("a") as stream:
            stream.write(printed)
        clock.sleep(25)
        if isinstance(code, HalabError):
            raise code
        return code

    guests.special["cp2_join"] = joins
    provisioner = Provisioner(LAB, work, guests, Recorded(), clock)
    with suppress(ScriptFailed):
        provisioner.rejoin(LAB.machine("cp2"), JoinOptions(after_join=attempts.append))
    return attempts


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (Completed(0, "", ""), 0),
        (CommandFailed("no", code=3), 3),
        (TimedOut("gave up after 480 s"), None),
    ],
)
def test_after_join_gets_the_end_of_kubeadm_whatever_it_was(
    end: Completed | HalabError, code: int | None, work: Work
) -> None:
    output = ("[preflight] a", "error: no")
    assert ended(work, end) == [JoinAttempt("kubeadm join --config x", code, 25.0, output)]


def test_a_script_that_fails_before_kubeadm_runs_is_no_join(work: Work) -> None:
    assert ended(work, CommandFailed("no", code=1), "12:00:00 error: no key\n") == []


def test_of_a_long_output_the_last_lines_are_left(work: Work) -> None:
    printed = RUNS + "".join(f"12:00:04 {number}\n" for number in range(50))
    (attempt,) = ended(work, Completed(0, "", ""), printed)
    assert (len(attempt.output), attempt.output[0], attempt.output[-1]) == (40, "10", "49")


def test_a_machine_that_vanishes_while_it_joins_has_no_end(work: Work) -> None:
    with pytest.raises(Unreachable):
        ended(work, Unreachable("cp2 does not answer over SSH"))
