"""The run of a game day: breaks by the clock, requests of the team, and conditions that stop it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeApi, FakeClock, FakeGuests, Recorded, lab_of
from support.run_builder import META

from halab.errors import HalabError, Unreachable
from halab.faults.catalogue import FAULTS
from halab.faults.fault import Fault
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site
from halab.gameday import book, library, notice
from halab.gameday.book import Kind
from halab.gameday.library import GameDayScript
from halab.gameday.run import GameDayRun
from halab.gameday.spectator import Spectator
from halab.machines.work import Work
from halab.scenario.record import events, game_day_events
from halab.scenario.record.events import Sample
from halab.scenario.record.folder import RunFolder
from halab.scenario.run.runner import RunContext

TEXT = """\
title: Two breaks
lasts: 2m
needs: {control_planes: 3}
breaks:
  - name: first
    at: 10s
    heal_after: 30s
    steps: [{inject: burn, name: fire, on: cp1}]
  - name: second
    at: 20s
    steps: [{inject: burn, name: other, on: cp2}, {wait: 5s}, {inject: burn, name: more, on: cp3}]
stop: {outage: {write-via-lb: 15s}}
"""


@dataclass
class World:
    """A lab whose clients see what `answers` says, and in which faults only burn."""

    folder: RunFolder
    found: GameDayScript
    work: Work
    clock: FakeClock = field(init=False)
    burning: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    answers: Callable[[float], bool] = lambda t: True
    lost: set[int] = field(default_factory=set)
    at: dict[float, Callable[[], object]] = field(default_factory=dict)
    unburnable: str = ""
    asked: int = 0
    # whether the game day posts its notice, with which others can follow it
    is_watched: bool = False
    progress: Recorded = field(default_factory=Recorded)

    def __post_init__(self) -> None:
        self.clock = FakeClock(self.pass_time)
        self.origin = self.clock.now()
        self.path = "/api/v1/namespaces/ns/configmaps?limit=500"
        self.api = FakeApi({self.path: self.page})

    @property
    def seconds(self) -> float:
        return self.clock.now() - self.origin

    @property
    def page(self) -> dict[str, Any]:
        names = [f"write-{number}" for number in range(1, self.asked + 1) if number not in self.lost]
        return {"items": [{"metadata": {"name": name}} for name in names], "metadata": {}}

    def pass_time(self) -> None:
        """Every sleep brings a sample of the write probe."""
        for due in [t for t in self.at if t <= self.seconds]:
            self.at.pop(due)()
        self.asked += 1
        ok = self.answers(self.seconds)
        sample = Sample(
            round(self.seconds, 3), 0.0, "write-via-lb", None, ok, "200" if ok else "503", self.asked
        )
        with self.folder.samples.open("a") as sink:
            sink.write(sample.to_json() + "\n")
        if self.path in self.api.objects and not isinstance(self.api.objects[self.path], HalabError):
            self.api.objects[self.path] = self.page

    def inject(self, site: Site, entry: Entry) -> str:
        if entry.machine == self.unburnable:
            raise HalabError("too wet")
        self.log.append(f"{self.seconds:.0f} burn {entry.machine}")
        return "burns"

    def heal(self, site: Site, entry: Entry) -> None:
        self.log.append(f"{self.seconds:.0f} heal {entry.machine}")

    def play(self) -> list[events.Event]:
        unused: Any = None
        site = Site(lab_of(), FakeGuests(), self.clock, unused, unused)
        journal: Any = Journal(self.folder.path / "journal.jsonl")
        api: Any = self.api
        context = RunContext(site, api, journal, unused, self.progress, 1, self.work)
        with book.opened(self.work) as reader:
            run = GameDayRun(
                self.found.script.scenario, META.setting, self.folder, context,
                day=self.found.day, plan=self.found.plan, book=reader,
            )  # fmt: skip
            run._namespace = "ns"
            run._timeline.add(events.RunStarted(META.started, "day", "ha"))
            if self.is_watched:
                notice.post(self.work, notice.of(self.found, 1), self.folder)
            run._play_steps()
            run._injector.heal_all()
        self.lines = [json.loads(line) for line in self.folder.timeline.read_text().splitlines()]
        return [record.what for record in run._timeline.records]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    folder, work = RunFolder(tmp_path / "run"), Work(tmp_path / ".halab")
    folder.make()
    work.path.mkdir(mode=0o700)
    made: list[World] = []
    burn = Fault("burn", "Burn.", lambda *seen: made[0].inject(*seen), lambda *seen: made[0].heal(*seen))
    monkeypatch.setitem(FAULTS, "burn", burn)
    (tmp_path / "day.yml").write_text(TEXT)
    made.append(World(folder, library.find(tmp_path / "day.yml", 1), work))
    return made[0]


def of(kind: type[Any], seen: list[events.Event]) -> list[Any]:
    return [event for event in seen if isinstance(event, kind)]


def test_breaks_begin_and_are_healed_at_their_times_and_the_rest_at_the_end(world: World) -> None:
    seen = world.play()
    assert world.log == [
        "12 burn cp1", "22 burn cp2", "27 burn cp3", "42 heal cp1", "122 heal cp3", "122 heal cp2",
    ]  # fmt: skip
    assert not of(game_day_events.Stopped, seen)
    assert len(of(events.ExpectationEnded, seen)) == 1


def test_the_team_has_breaks_healed_writes_notes_and_ends_the_game_day(world: World) -> None:
    world.at = {
        30.0: lambda: book.write(world.work, Kind.NOTE, "it burns", "anna"),
        32.0: lambda: book.write(world.work, Kind.HEAL, "second", "ben"),
        34.0: lambda: book.write(world.work, Kind.HEAL, "third", "ben"),
        36.0: lambda: book.write(world.work, Kind.HEAL, "", "anna"),
        50.0: lambda: book.write(world.work, Kind.END, "", "trainer"),
    }
    notes = [(note.by, note.text) for note in of(game_day_events.Note, world.play())]
    assert world.log == [
        "12 burn cp1", "22 burn cp2", "27 burn cp3", "32 heal cp3", "32 heal cp2", "36 heal cp1",
    ]  # fmt: skip
    assert world.seconds < 52
    assert notes == [
        ("anna", "it burns"),
        ("ben", "asks to heal second"),
        ("ben", "asks to heal third, which is not a break of this game day"),
        ("anna", "asks to heal everything"),
        ("trainer", "ends the game day"),
    ]


def test_an_outage_beyond_its_bound_stops_the_game_day(world: World) -> None:
    world.answers = lambda t: not 30 <= t < 100
    [stopped] = of(game_day_events.Stopped, world.play())
    assert stopped.why.startswith("write-via-lb has been out for more than 15s; the outage began 2")
    assert world.log[-3:] == ["42 heal cp1", "46 heal cp3", "46 heal cp2"]


def test_an_outage_within_its_bound_stops_nothing(world: World) -> None:
    world.answers = lambda t: not 30 <= t < 44
    assert not of(game_day_events.Stopped, world.play())


def test_a_lost_acknowledged_write_stops_the_game_day(world: World) -> None:
    world.at = {40.0: lambda: world.lost.update({3, 4})}
    seen = world.play()
    [stopped] = of(game_day_events.Stopped, seen)
    assert [read.missing for read in of(game_day_events.WritesRead, seen)] == [(), (), (3, 4)]
    assert "2 of" in stopped.why
    assert stopped.why.endswith("acknowledged writes are lost: 3, 4")
    assert 40 < world.seconds < 60


def test_writes_that_nobody_can_read_are_not_lost(world: World) -> None:
    world.api.objects[world.path] = Unreachable("no route")
    seen = world.play()
    assert not of(game_day_events.Stopped, seen)
    assert not of(game_day_events.WritesRead, seen)


def test_a_break_that_cannot_be_made_is_an_error_and_the_others_go_on(world: World) -> None:
    world.unburnable = "cp2"
    [error] = of(events.Error, world.play())
    assert error.what == "break second: too wet"
    assert "27 burn cp3" in world.log


def test_a_lab_that_lacks_what_the_game_day_or_a_scenario_needs_is_named(
    world: World, tmp_path: Path
) -> None:
    text = TEXT.replace("control_planes: 3", "control_planes: 5")
    text = text.replace("breaks:", "breaks:\n  - {scenario: stop-one-of-two-load-balancers, at: 1s}")
    (tmp_path / "big.yml").write_text(text)
    found = library.find(tmp_path / "big.yml", 1)
    unused: Any = None
    site = Site(lab_of(), FakeGuests(), world.clock, unused, unused)
    context = RunContext(site, unused, unused, unused, world.progress, 1, world.work)
    run = GameDayRun(
        found.script.scenario, META.setting, world.folder, context,
        day=found.day, plan=found.plan, book=unused,
    )  # fmt: skip
    own, of_scenario = run._lacking()
    assert "5" in own
    assert of_scenario.startswith("stop-one-of-two-load-balancers: ")


def test_who_watches_sees_what_the_run_does(world: World) -> None:
    world.is_watched = True
    world.folder.meta.write_text(replace(META, is_game_day=True).to_json())
    world.folder.scenario.write_bytes(world.found.script.content)
    spectator, start, seen = Spectator(world.work), datetime.fromisoformat(META.started), {}

    def look() -> None:
        found = spectator.look(start + timedelta(seconds=world.seconds))
        assert found
        seen[round(world.seconds)] = found

    def end() -> None:
        book.write(world.work, Kind.END, "", "trainer")
        look()

    world.answers = lambda t: not 30 <= t < 40
    world.at = {
        15.0: look, 35.0: look, 50.0: look,
        60.0: lambda: book.write(world.work, Kind.HEAL, "second", "ben"),
        70.0: end,
    }  # fmt: skip
    world.play()
    states = [tuple(str(each.state) for each in seen[t].breaks) for t in (15, 35, 50, 70)]
    assert states == [("open", "planned"), ("open", "open"), ("healed", "open"), ("healed", "healed")]
    assert [str(found.phase) for found in seen.values()] == ["on", "on", "on", "ending"]
    [before, out, after, _] = [found.conditions[0] for found in seen.values()]
    assert (before.now, before.longest, after.now) == (0, 0, 0)
    assert 3 < out.now < 6 < after.longest < 12
    assert ("ben", "asks to heal second") in [(row.who, row.what) for row in seen[70].log]
