"""Follows the game day that is running from its notice and its record, as they grow. Changes nothing, holds no lock."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from halab import files
from halab.config import loading
from halab.config.game_day import WHOLE
from halab.config.scenario import Scenario
from halab.errors import Corrupted
from halab.gameday import book, conditions, notice
from halab.gameday.book import Kind
from halab.gameday.notice import Notice
from halab.gameday.seen import BreakSeen, BreakState, ConditionSeen, DaySeen, Phase, WritesSeen
from halab.machines.work import Work
from halab.report import game_day
from halab.report.game_day import Row
from halab.scenario.record import events, game_day_events, timeline
from halab.scenario.record.folder import Evidence, Meta, RunFolder
from halab.scenario.record.history import FaultSpan
from halab.scenario.record.lanes import Lane, time_limit_seconds
from halab.scenario.record.outage import Samples, figures
from halab.scenario.record.timeline import SampleReader

# How often all outages are computed again: it takes 10 ms for an hour of a probe.
_OUTAGES_SECONDS = 5.0


class Spectator:
    """Looks at the game days of one lab, one after another. The last one stays until the next begins."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._day: _Following | None = None
        self._seen: DaySeen | None = None

    def look(self, now: datetime) -> DaySeen | None:
        """The game day that runs, or the last one that ran since the first look; None without one.

        Raises HalabError if its record cannot be read.
        """
        posted = notice.read(self._work)
        if posted and (self._day is None or self._day.notice != posted):
            self._day, self._seen = _Following(posted, book.reader(self._work)), None
        if self._day is None:
            return None
        # a game day that is over does not change any more
        if posted or self._seen is None or self._seen.phase is not Phase.OVER:
            try:
                self._seen = self._day.look(now, is_over=posted is None)
            except (OSError, ValueError) as error:
                # somebody removed the folder, or changed a time by hand
                raise Corrupted(f"cannot read the record of the game day: {error}") from error
        return self._seen

    def forget(self) -> None:
        """Leave out a game day that is over."""
        self._day = self._seen = None


class _Following:
    """What was read of one game day so far."""

    def __init__(self, posted: Notice, entries: book.Reader) -> None:
        self.notice = posted
        self._book = entries
        self._folder = RunFolder(Path(posted.folder))
        self._meta: Meta | None = None
        self._scenario: Scenario | None = None
        self._records: Sequence[events.Record] = ()
        self._samples = Samples()
        self._sample_reader = SampleReader(self._folder.samples)
        # the size of the timeline when it was read, and when the outages were computed
        self._size, self._computed = -1, -1.0
        self._is_ended = False
        self._log: tuple[Row, ...] = ()
        self._longest: dict[str, float] = {}

    def look(self, now: datetime, *, is_over: bool) -> DaySeen:
        has_changed = self._read()
        self._is_ended |= any(entry.kind is Kind.END for entry in self._book.new())
        started = events.select(self._records, events.RunStarted)
        t = (now - datetime.fromisoformat(started[0][1].wall)).total_seconds() if started else 0.0
        spans = self._evidence().history.faults if self._records else ()
        whole = next((span for span in spans if span.name == WHOLE), None)
        begun = whole.injected if whole else None
        if has_changed or is_over or t - self._computed >= _OUTAGES_SECONDS:
            self._compute(begun, t)
        # when everything was healed; until then the present, and the last record of a game day that was killed
        latest = self._records[-1].t if is_over and self._records else t
        end = latest if whole is None or whole.healed is None else whole.healed
        seconds = 0.0 if begun is None else max(0.0, end - begun)
        stopped = next((each.why for _, each in events.select(self._records, game_day_events.Stopped)), "")
        verdict, reasons = self._result() if is_over else (None, ())
        return DaySeen(
            notice=self.notice,
            phase=Phase.OVER if is_over else self._phase(begun, seconds, stopped),
            seconds=seconds,
            breaks=tuple(self._breaks(spans, begun or 0.0)),
            conditions=tuple(self._conditions(begun, t, is_over=is_over)),
            writes=self._writes(t),
            stopped=stopped,
            log=self._log,
            verdict=verdict,
            reasons=reasons,
            has_report=is_over and self._folder.page.is_file(),
        )

    def _read(self) -> bool:
        """Read what is new; True if something has happened since."""
        if self._meta is None:
            meta = self._folder.read_meta()
            self._scenario = loading.load(self._folder.scenario, Scenario)
            self._samples = Samples(limit_seconds=time_limit_seconds(meta.is_emulated))
            # last: a file that cannot be read now is read at the next look
            self._meta = meta
        self._samples.add(self._sample_reader.new())
        path = self._folder.timeline
        size = path.stat().st_size if path.exists() else 0
        if size == self._size:
            return False
        self._size, self._records = size, timeline.read(path)
        return True

    def _compute(self, begun: float | None, t: float) -> None:
        """The log with its outages, and the longest outage of each probe."""
        self._computed = t
        if not self._records:
            return
        self._log = tuple(game_day.log(self._evidence()))
        for probe in self.notice.stop.outage if begun is not None else ():
            own = self._samples.of(Lane(probe, None))
            if own and begun is not None:
                self._longest[probe] = figures(own, begun, own[-1].end + 1e-6).longest_outage_seconds

    def _evidence(self) -> Evidence:
        assert self._meta
        assert self._scenario
        return Evidence(self._meta, self._scenario, self._records, self._samples)

    def _phase(self, begun: float | None, seconds: float, stopped: str) -> Phase:
        if begun is None:
            return Phase.PREPARING
        is_ending = stopped or self._is_ended or seconds >= self.notice.lasts
        return Phase.ENDING if is_ending else Phase.ON

    def _breaks(self, spans: Sequence[FaultSpan], begun: float) -> Iterator[BreakSeen]:
        for planned in self.notice.breaks:
            names = {fault.name for fault in planned.faults}
            own = [span for span in spans if span.name in names]
            healed = [span.healed for span in own if span.healed is not None]
            is_healed = bool(own) and len(healed) == len(own)
            yield BreakSeen(
                planned,
                _state(own, is_healed=is_healed),
                begun=own[0].started - begun if own else None,
                healed=max(healed) - begun if is_healed else None,
                machines=tuple(dict.fromkeys(span.machine for span in own)),
            )

    def _conditions(self, begun: float | None, t: float, *, is_over: bool) -> Iterator[ConditionSeen]:
        for probe, bound in self.notice.stop.outage.items():
            now = 0.0
            longest = self._longest.get(probe, 0.0)
            if begun is not None and not is_over:
                recent = conditions.recent(self._samples, probe, bound, begun, t)
                longest = max([longest, *(outage.seconds for outage in recent)])
                now = recent[-1].seconds if recent and recent[-1].is_open else 0.0
            yield ConditionSeen(probe, bound, now, longest)

    def _writes(self, t: float) -> WritesSeen | None:
        found = events.select(self._records, game_day_events.WritesRead)
        if not found:
            return None
        read, writes = found[-1]
        return WritesSeen(writes.acknowledged, len(writes.missing), max(0.0, t - read))

    def _result(self) -> tuple[str | None, tuple[str, ...]]:
        """The verdict and its reasons; None if the game day was killed."""
        path = self._folder.result
        try:
            content = json.loads(files.read(path, files.RECORD_BYTES))
            return str(content["verdict"]), tuple(map(str, content["reasons"]))
        except FileNotFoundError:
            return None, ()
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise Corrupted(
                f"cannot read {path}: {error}", hint="`halab report` writes the report again"
            ) from error


def _state(spans: Sequence[FaultSpan], *, is_healed: bool) -> BreakState:
    """The state of a break with these faults."""
    if not spans:
        return BreakState.PLANNED
    if is_healed:
        return BreakState.HEALED
    left = [span for span in spans if span.healed is None]
    if any(span.heal_failed for span in left):
        return BreakState.NOT_HEALED
    if any(span.heal_started is not None for span in left):
        return BreakState.HEALING
    return BreakState.OPEN if all(span.injected is not None for span in left) else BreakState.BEGINNING
