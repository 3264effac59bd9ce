"""What clients saw during an attempt: recorded in the background, summed up at its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.drill_room import DRILL, DrillRoom
from support.fakes import Recorded

from halab.cli import drill_view, main
from halab.cluster.api import Credentials
from halab.drill import attempt as attempts
from halab.drill import briefing, play, recording
from halab.drill.attempt import Attempt, ClientsSaw
from halab.errors import LabProblem
from halab.lifecycle import access
from halab.machines.work import Work
from halab.scenario.record.events import Sample
from halab.scenario.sampler import launcher
from halab.scenario.sampler.launcher import SamplerConfig

READ, WRITE = "read-via-lb", "write-via-lb"


@pytest.fixture
def room(tmp_path: Path) -> DrillRoom:
    return DrillRoom(tmp_path)


def write(work: Work, *samples: Sample, part: int = 0) -> None:
    folder = work.drill / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(sample.to_json() + "\n" for sample in samples)
    (folder / f"samples-{part}.jsonl").write_text(lines)


def asked(probe: str, start: int, end: int, *, ok: bool = True) -> list[Sample]:
    """A question each second, answered at once."""
    return [
        Sample(second, 0.01, probe, None, ok, "200" if ok else "timed out") for second in range(start, end)
    ]


def test_failures_are_told_with_their_times(room: DrillRoom) -> None:
    write(room.work, *asked(READ, 0, 40, ok=False), *asked(READ, 40, 60), *asked(WRITE, 0, 60))
    saw = recording.seen(room.work, 60)
    assert saw == {READ: ClientsSaw(60, 40, ((0.0, 40.0),)), WRITE: ClientsSaw(60, 0)}
    assert briefing.clients_in_words(saw[READ]) == "40 of 60 requests failed, from 0s to 40s"
    assert briefing.clients_in_words(saw[WRITE]) == "all 60 requests were answered"


def test_failures_near_each_other_are_one_trouble_and_distant_ones_are_two(room: DrillRoom) -> None:
    write(
        room.work, *(replace(sample, ok=second % 3 != 0) for second, sample in enumerate(asked(READ, 0, 30))),
        *asked(READ, 30, 60), *asked(READ, 60, 62, ok=False), *asked(READ, 62, 70),
    )  # fmt: skip
    [saw] = recording.seen(room.work, 70).values()
    assert [(round(start), round(end)) for start, end in saw.outages] == [(0, 28), (60, 62)]


def test_what_nobody_recorded_is_told_as_such(room: DrillRoom) -> None:
    write(room.work, *asked(READ, 0, 10))
    write(room.work, *asked(READ, 70, 100), part=1)
    [saw] = recording.seen(room.work, 100).values()
    assert (saw.asked, saw.unknown) == (40, ((9.0, 70.0),))
    assert briefing.clients_in_words(saw) == "all 40 requests were answered; nothing was recorded for 61s"


def test_a_damaged_part_and_what_came_after_the_end_do_not_count(room: DrillRoom) -> None:
    write(room.work, *asked(READ, 0, 30), *asked(READ, 30, 60, ok=False))
    write(room.work, part=1)
    (room.work.drill / "clients/samples-1.jsonl").write_text("broken\n")
    assert recording.seen(room.work, 30) == {READ: ClientsSaw(30, 0)}


def test_nothing_recorded_is_nothing_told(room: DrillRoom) -> None:
    assert recording.seen(room.work, 30) == {}


def test_what_was_not_recorded_is_no_evidence(room: DrillRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabProblem, match="what clients wrote during the drill was not recorded"):
        recording.require(room.lab_dir)
    # on another host, nothing is ever recorded
    with monkeypatch.context() as patched:
        patched.setattr(access, "tunnel_of", lambda lab_dir: object())
        recording.require(room.lab_dir)
    write(room.work, *asked(WRITE, 0, 1, ok=False))
    recording.require(room.lab_dir)


def started(room: DrillRoom) -> Attempt:
    play.start(room.lab_dir, room.name, Recorded(), seed=7, deps=room.deps)
    return attempts.load(room.work)


def test_the_sampler_starts_with_the_attempt_asks_as_clients_do_and_lives_as_long_as_its_permit(
    room: DrillRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[SamplerConfig] = []
    monkeypatch.setattr(launcher, "start_in_background", lambda config, log: begun.append(config))
    monkeypatch.setattr(access, "credentials", lambda lab_dir: Credentials.in_folder(room.folder))
    attempt = started(room)
    room.wait(30)
    recording.ensure(room.lab_dir, attempt, room.at)
    [config] = begun
    assert {probe.name for probe in config.probes} == {"ready-via-lb", READ, WRITE}
    assert {probe.rate_hertz for probe in config.probes} == {2.0}
    assert not config.reads_states
    assert config.permit is not None
    assert Path(config.permit).exists()
    recording.stop(room.work)
    assert not Path(config.permit).exists()


def test_a_sampler_that_runs_is_left_alone(room: DrillRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[SamplerConfig] = []
    monkeypatch.setattr(launcher, "start_in_background", lambda config, log: begun.append(config))
    attempt = started(room)
    (room.work.drill / "clients").mkdir()
    permit = recording.permit_of(room.work)
    permit.grant()
    assert permit.take()
    recording.ensure(room.lab_dir, attempt, room.at)
    assert begun == []


def test_the_start_and_every_check_ask_for_the_sampler_and_a_proof_does_not(room: DrillRoom) -> None:
    started(room)
    room.wait(20)
    play.check(room.lab_dir, Recorded(), deps=room.deps)
    assert room.recorded == [0.0, 20.0]
    play.reset(room.lab_dir, Recorded(), deps=room.deps)
    play.start(room.lab_dir, room.name, Recorded(), is_proof=True, deps=room.deps)
    assert len(room.recorded) == 2


def test_a_proof_has_the_sampler_if_a_lost_write_fails_the_drill(room: DrillRoom) -> None:
    room.write(DRILL + "fail_if: [lost-write]\n")
    play.start(room.lab_dir, room.name, Recorded(), is_proof=True, deps=room.deps)
    assert room.recorded == [0.0]


def test_the_next_attempt_of_a_proof_does_not_miss_the_writes_of_the_one_before(room: DrillRoom) -> None:
    room.write(DRILL + "fail_if: [lost-write]\n")
    view = play.start(room.lab_dir, room.name, Recorded(), is_proof=True, deps=room.deps)
    write(room.work, replace(asked(WRITE, 0, 1)[0], number=1))
    recording.permit_of(room.work).grant()
    room.during["restore-lab"] = lambda: gone.append(not recording.permit_of(room.work).is_valid)
    gone: list[bool] = []
    play.start(room.lab_dir, room.name, Recorded(), is_proof=True, after=view.attempt, deps=room.deps)
    assert gone == [True], "its sampler ends before the lab is restored"
    assert recording.acknowledged(room.work) == frozenset()


def test_the_acknowledged_writes_are_those_of_all_parts_that_can_be_read(room: DrillRoom) -> None:
    written = [replace(sample, number=number) for number, sample in enumerate(asked(WRITE, 0, 4), 1)]
    write(room.work, *written[:2], replace(written[2], ok=False), *asked(READ, 2, 3))
    write(room.work, written[3], part=1)
    write(room.work, part=2)
    (room.work.drill / "clients/samples-2.jsonl").write_text("broken\n")
    assert recording.acknowledged(room.work) == {1, 2, 4}


def test_a_drill_goes_on_without_the_record(room: DrillRoom) -> None:
    room.errors["record"] = LabProblem("the lab is on another host")
    progress = Recorded()
    view = play.start(room.lab_dir, room.name, progress, seed=7, deps=room.deps)
    assert view.outcome is None
    assert "what clients see during the drill is not recorded: the lab is on another host" in progress.lines


def test_the_outcome_the_debrief_and_the_history_have_what_clients_saw(
    room: DrillRoom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started(room)
    write(room.work, *asked(READ, 0, 40, ok=False), *asked(READ, 40, 60))
    room.wait(60)
    view = play.give_up(room.lab_dir, deps=room.deps)
    told = list(drill_view.ending(view, lambda text: text))
    assert "What clients saw" in told
    assert "  read-via-lb  40 of 60 requests failed, from 0s to 40s" in told
    assert briefing.as_data(view, lambda text: text)["clients"][READ]["failed"] == 40
    monkeypatch.chdir(room.folder)
    assert main(["drill", "history", "--json"]) == 0
    assert '"failed": 40' in capsys.readouterr().out
