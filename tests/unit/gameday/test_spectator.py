"""Who watches a game day sees its plan and its record as they grow, and its verdict at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.day_room import BEGIN, HUNG, STOPPED, DayRoom

from halab.errors import Corrupted, HalabError
from halab.gameday import book, notice
from halab.gameday.book import Kind
from halab.gameday.seen import BreakState, DaySeen, Phase
from halab.gameday.spectator import Spectator
from halab.machines.work import Work
from halab.scenario.record import events, game_day_events

NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.fixture
def day(tmp_path: Path) -> Iterator[DayRoom]:
    work = Work(tmp_path / ".halab")
    work.path.mkdir(mode=0o700)
    made = DayRoom(tmp_path, work, NOON)
    yield made
    made.close()


@pytest.fixture
def spectator(day: DayRoom) -> Spectator:
    return Spectator(day.work)


def at(spectator: Spectator, t: float) -> DaySeen:
    """What is seen at second `t` of the run."""
    seen = spectator.look(NOON + timedelta(seconds=t))
    assert seen
    return seen


def states(seen: DaySeen) -> dict[str, BreakState]:
    return {each.planned.name: each.state for each in seen.breaks}


def test_without_a_game_day_there_is_nothing_to_see(day: DayRoom, spectator: Spectator) -> None:
    assert spectator.look(NOON) is None
    day.open()
    # the process runs, and has not made the folder of its run yet
    assert spectator.look(NOON) is None


def test_a_game_day_that_is_prepared_has_its_plan_and_no_time(day: DayRoom, spectator: Spectator) -> None:
    day.open()
    day.prepare()
    seen = at(spectator, 20)
    assert (seen.phase, seen.seconds, seen.notice.title, seen.notice.seed) == (
        Phase.PREPARING, 0, "Two failures", 7,
    )  # fmt: skip
    assert states(seen) == {"first-api": BreakState.PLANNED, "no-kubelet": BreakState.PLANNED}
    assert [(each.now, each.longest) for each in seen.conditions] == [(0, 0), (0, 0)]


def test_a_game_day_whose_record_has_no_line_yet_is_prepared(day: DayRoom, spectator: Spectator) -> None:
    day.open()
    day.prepare()
    day.run.timeline.unlink()
    seen = at(spectator, 1)
    assert (seen.phase, seen.log, seen.seconds) == (Phase.PREPARING, (), 0)


def test_breaks_go_from_planned_to_healed(day: DayRoom, spectator: Spectator) -> None:
    seen: list[tuple[BreakState, BreakState]] = []

    def look(t: float) -> DaySeen:
        found = at(spectator, t)
        seen.append((states(found)["first-api"], states(found)["no-kubelet"]))
        return found

    day.begin()
    assert look(10).phase is Phase.ON
    day.happen(63, events.FaultStarted(**HUNG))
    look(63)
    day.happen(64, events.FaultInjected(**HUNG, effect="it hangs"))
    first = look(65).breaks[0]
    assert (first.begun, first.healed, first.machines) == (60, None, ("cp2",))
    day.happen(243, events.HealStarted(**HUNG))
    look(243)
    day.happen(244, events.Healed(**HUNG))
    day.inject(303, STOPPED)
    assert look(304).breaks[0].healed == 241
    day.happen(400, events.HealStarted(**STOPPED), events.HealFailed(**STOPPED, why="no route"))
    look(401)
    state = BreakState
    assert seen == [
        (state.PLANNED, state.PLANNED), (state.BEGINNING, state.PLANNED), (state.OPEN, state.PLANNED),
        (state.HEALING, state.PLANNED), (state.HEALED, state.OPEN), (state.HEALED, state.NOT_HEALED),
    ]  # fmt: skip


def test_conditions_tell_how_long_clients_are_out_and_the_longest_outage(
    day: DayRoom, spectator: Spectator
) -> None:
    day.begin()
    day.sample(63)
    day.sample(83, fails=True)
    write = at(spectator, 83).conditions[0]
    assert (write.probe, write.bound) == ("write-via-lb", 60)
    assert 19 < write.now <= 20 < 20.5
    day.sample(200)
    write = at(spectator, 200).conditions[0]
    assert write.now == 0
    assert 19.9 < write.longest < 20.5


def test_writes_that_were_read_back_are_told_with_their_age(day: DayRoom, spectator: Spectator) -> None:
    day.begin()
    assert at(spectator, 5).writes is None
    day.happen(20, game_day_events.WritesRead(30, ()))
    day.happen(35, game_day_events.WritesRead(60, (3, 4)))
    writes = at(spectator, 41).writes
    assert writes
    assert (writes.acknowledged, writes.lost, writes.ago) == (60, 2, 6)


def test_the_log_grows(day: DayRoom, spectator: Spectator) -> None:
    day.begin()
    assert [row.what for row in at(spectator, 5).log] == ["the game day begins"]
    day.sample(63)
    day.inject(63, HUNG)
    day.happen(70, game_day_events.Note("anna", "cp2 hangs", (NOON + timedelta(seconds=69)).isoformat()))
    day.sample(70, fails=True)
    assert [(row.who, row.what) for row in at(spectator, 71).log][1:] == [
        ("halab", "injects hung: pause-process on cp2 (any-cp)"),
        ("halab", "hung took effect: it hangs"),
        ("clients", "read-via-lb fails for 6.5s (503)"),
        ("clients", "write-via-lb fails for 6.5s (503)"),
        ("anna", "cp2 hangs"),
    ]
    # an outage that goes on is computed again after some seconds, although nothing else happens
    day.sample(90, fails=True)
    assert "fails for 6.5s" in at(spectator, 73).log[-2].what
    assert "fails for 26" in at(spectator, 90).log[-2].what


@pytest.mark.parametrize("why", ["asked", "stopped", "time"])
def test_a_game_day_ends_when_somebody_asks_when_it_is_stopped_and_when_its_time_is_over(
    why: str, day: DayRoom, spectator: Spectator
) -> None:
    day.begin()
    assert at(spectator, 10).phase is Phase.ON
    if why == "asked":
        book.write(day.work, Kind.END, by="ben")
    elif why == "stopped":
        day.happen(11, game_day_events.Stopped("write-via-lb has been out"))
    seen = at(spectator, BEGIN + 600 if why == "time" else 12)
    assert seen.phase is Phase.ENDING
    assert seen.stopped == ("write-via-lb has been out" if why == "stopped" else "")


def test_a_game_day_that_is_over_has_its_verdict_and_stays_until_the_next(
    day: DayRoom, spectator: Spectator
) -> None:
    day.begin()
    day.sample(400)
    at(spectator, 400)
    assert str(day.end(403).verdict) == "pass"
    seen = at(spectator, 420)
    assert (seen.phase, seen.verdict, seen.seconds, seen.has_report) == (Phase.OVER, "pass", 400, True)
    assert seen.log[-1].what.startswith("the lab is steady again")
    assert at(spectator, 4000) is seen
    other = DayRoom(day.folder, day.work, NOON)
    other.text = other.text.replace("Two failures", "Another one")
    other.open()
    other.prepare()
    assert at(spectator, 4001).notice.title == "Another one"
    other.close()
    spectator.forget()
    assert spectator.look(NOON) is None


def test_a_game_day_that_was_killed_has_no_verdict(day: DayRoom, spectator: Spectator) -> None:
    day.begin()
    day.inject(63, HUNG)
    at(spectator, 64)
    day.close()
    seen = at(spectator, 100)
    assert (seen.phase, seen.verdict, seen.has_report, seen.seconds) == (Phase.OVER, None, False, 60)
    assert states(seen)["first-api"] is BreakState.OPEN


@pytest.mark.parametrize("file", ["notice", "result", "timeline", "folder"])
def test_a_file_that_was_changed_by_hand_is_told(file: str, day: DayRoom, spectator: Spectator) -> None:
    day.begin()
    if file == "folder":
        shutil.rmtree(day.run.path)
    elif file == "timeline":
        day.run.timeline.write_text(day.run.timeline.read_text().replace("2026-11-28T", "yesterday"))
    elif file == "notice":
        at(spectator, 5)
        day.work.game_day_notice.write_text("{}")
    else:
        at(spectator, 5)
        day.run.result.write_text("[]")
        day.close()
    with pytest.raises(Corrupted, match="cannot read"):
        at(spectator, 6)


def test_a_file_that_was_away_is_read_when_it_is_back(day: DayRoom, spectator: Spectator) -> None:
    day.begin()
    away = day.run.scenario.rename(day.folder / "away.yml")
    for _ in range(2):
        with pytest.raises(HalabError, match=r"scenario\.yml"):
            at(spectator, 5)
    away.rename(day.run.scenario)
    assert at(spectator, 6).phase is Phase.ON


def test_the_plan_for_programs_has_no_folder_and_no_aim(day: DayRoom) -> None:
    day.begin()
    posted = notice.read(day.work)
    assert posted
    assert set(posted.as_data()) == {"title", "seed", "lasts", "breaks", "stop"}
