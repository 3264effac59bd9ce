"""The run of a game day: it injects and heals breaks by the clock, reads the book, and checks the stop conditions."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from halab.config.fault_facts import NOTHING
from halab.config.game_day import WHOLE, GameDay
from halab.config.lab_traits import LabTraits
from halab.config.quantities import format_duration
from halab.config.scenario import Scenario
from halab.config.step import Expect, Inject, unmet
from halab.errors import HalabError
from halab.faults.catalogue import FAULTS
from halab.gameday import conditions
from halab.gameday.book import Entry, Kind, Reader
from halab.gameday.plan import Act, Plan
from halab.scenario.record import events, game_day_events
from halab.scenario.record.folder import RunFolder
from halab.scenario.run import ledger
from halab.scenario.run.runner import RunContext, ScenarioRun
from halab.scenario.sampler.launcher import SamplerConfig
from halab.scenario.sampler.probes import Objects

# How often halab reads the clock, the samples and the book.
_POLL_SECONDS = 0.5
# How often the acknowledged writes are read back. 7200 of them, those of an hour, take about a second.
_LEDGER_SECONDS = 15.0
# A fifth of the rate of other runs, because a game day may last an hour and its bounds are seconds or minutes.
_RATE_HERTZ = 2.0
_SHOWN_WRITES = 5


class GameDayRun(ScenarioRun):
    """One game day on a lab that is up."""

    def __init__(
        self,
        scenario: Scenario,
        setting: LabTraits,
        folder: RunFolder,
        context: RunContext,
        *,
        day: GameDay,
        plan: Plan,
        book: Reader,
    ) -> None:
        super().__init__(scenario, setting, folder, context)
        self._day, self._plan, self._book = day, plan, book
        self._namespace = ""
        self._begun = self._ledger_read = 0.0
        self._is_ended = False

    def _lacking(self) -> Sequence[str]:
        steps = [each.step for each in self._plan.injects if not unmet(each.step, self._setting)]
        needed = sorted({need for step in steps for need in FAULTS[step.fault].needs})
        return [
            *self._day.needs.lacking_in(self._setting, needed),
            *(
                f"{planned.name}: {why}"
                for planned in self._plan.breaks
                for scenario in planned.scenarios
                for why in scenario.lacking_in(self._setting, FAULTS)
            ),
        ]

    def _sampler_config(self, namespace: str, objects: Objects) -> SamplerConfig:
        self._namespace = namespace
        config = super()._sampler_config(namespace, objects)
        probes = [replace(probe, rate_hertz=min(_RATE_HERTZ, probe.rate_hertz)) for probe in config.probes]
        return replace(config, probes=probes, state_hertz=min(_RATE_HERTZ, config.state_hertz))

    def _play_steps(self) -> None:
        first = self._lab.control_planes[0].name
        self._injector.inject(NOTHING, WHOLE, [first], {}, before=self._look_before)
        self._timeline.add(events.StepEnded(0))
        for index, step in enumerate(self._scenario.steps):
            if isinstance(step, Expect):
                self._observer.expect(index, step.expectation)
        self._begun = self._ledger_read = self._timeline.now()
        due = deque(self._plan.acts)
        while not self._is_over():
            if due and due[0].at <= self._seconds:
                self._take(due.popleft())
            else:
                self._site.clock.sleep(_POLL_SECONDS)

    @property
    def _seconds(self) -> float:
        """Seconds since the start of the game day."""
        return self._timeline.now() - self._begun

    def _is_over(self) -> bool:
        self._observer.still_sampled()
        for entry in self._book.new():
            self._act_on(entry)
        why = self._outage() or self._loss()
        if why:
            self._timeline.add(game_day_events.Stopped(why))
            self._say(f"stop, and heal everything: {why}")
        return bool(why) or self._is_ended or self._seconds >= self._plan.lasts

    def _say(self, text: str) -> None:
        self._context.progress.say(f"{datetime.now():%H:%M:%S} {text}")

    # what is due

    def _take(self, act: Act) -> None:
        if act.step is None:
            self._heal(act.planned.faults)
        elif not unmet(act.step, self._setting):
            self._inject(act.planned.name, act.step)

    def _inject(self, name: str, step: Inject) -> None:
        self._say(f"break {name}")
        try:
            self._injector.inject(step.fault, step.name, step.targets, step.arguments)
        except HalabError as error:
            # the other breaks go on; the verdict is an error, because a planned break was not injected
            self._failed(f"break {name}: {error.message}")

    def _heal(self, names: Sequence[str]) -> None:
        """Heal those of the faults that are open, the latest first."""
        is_open = dict.fromkeys(injected.name for injected in reversed(self._injector.open))
        for name in is_open:
            if name in names:
                try:
                    self._injector.heal(name)
                except HalabError as error:
                    self._failed(f"heal {name}: {error.message}")

    def _failed(self, what: str) -> None:
        self._timeline.add(events.Error(what))
        self._say(what)

    # what people say

    def _act_on(self, entry: Entry) -> None:
        known = {planned.name: planned.faults for planned in self._plan.breaks}
        if entry.kind is Kind.HEAL and entry.text and entry.text not in known:
            self._note(entry, f"asks to heal {entry.text}, which is not a break of this game day")
        elif entry.kind is Kind.HEAL:
            self._note(entry, f"asks to heal {entry.text or 'everything'}")
            self._heal(
                known[entry.text] if entry.text else [name for each in known.values() for name in each]
            )
        elif entry.kind is Kind.END:
            self._note(entry, "ends the game day")
            self._is_ended = True
        else:
            self._note(entry, entry.text)

    def _note(self, entry: Entry, text: str) -> None:
        self._timeline.add(game_day_events.Note(entry.by, text, entry.wall))
        self._say(f"{entry.by}: {text}")

    # stop conditions

    def _outage(self) -> str:
        """The outage that is longer than its bound; empty if none is."""
        self._observer.read_new()
        now = self._timeline.now()
        for probe, bound in self._day.stop.outage.items():
            for outage in conditions.recent(self._observer.samples, str(probe), bound, self._begun, now):
                if outage.seconds > bound:
                    began = format_duration(math.floor(max(0.0, outage.start - self._begun)))
                    most = format_duration(bound)
                    return f"{probe} has been out for more than {most}; the outage began {began} after the start"
        return ""

    def _loss(self) -> str:
        """Read the acknowledged writes back through the load balancer; what is lost, or empty."""
        if not self._day.stop.lost_write or self._timeline.now() - self._ledger_read < _LEDGER_SECONDS:
            return ""
        self._ledger_read = self._timeline.now()
        acknowledged, _ = self._observer.history().ledger()
        try:
            found = ledger.numbers_found(self._context.api, self._namespace)
        except HalabError:
            # the API does not answer: the next read, or the one at the end, shows what is lost
            return ""
        missing = sorted(set(acknowledged) - found)
        self._timeline.add(game_day_events.WritesRead(len(acknowledged), tuple(missing)))
        if not missing:
            return ""
        shown = ", ".join(map(str, missing[:_SHOWN_WRITES])) + (" …" if len(missing) > _SHOWN_WRITES else "")
        return f"{len(missing)} of {len(acknowledged)} acknowledged writes are lost: {shown}"
