"""No acknowledged write is lost: the ledger, the data of the etcd members, and their revisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.run_builder import STOP, MadeRun, ledger, readings, with_values

from halab.config.twin import Verdict
from halab.scenario.record import events
from halab.scenario.record.events import Event, Record, Sample, StateReading
from halab.scenario.record.lanes import Lane
from halab.scenario.record.linearity import Linearity, Operations
from halab.scenario.record.outage import Samples
from halab.scenario.record.states import States
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus
from halab.scenario.verdict.safety import outcomes
from halab.scenario.verdict.verdict import judge

HASHES = {"cp1": 7, "cp2": 7, "cp3": 7}
KEYS = {"cp1": 900, "cp2": 900, "cp3": 900}
ALIKE = events.Members(5000, HASHES, KEYS)


def outcome(run: MadeRun, kind: PromiseKind) -> PromiseOutcome:
    (promise,) = [each for each in outcomes(run.evidence().history) if each.kind is kind]
    return promise


def held(members: events.Members) -> MadeRun:
    return MadeRun(extra=[Record(40.0, members)])


def test_members_that_hold_the_same_data_keep_the_promise() -> None:
    promise = outcome(held(ALIKE), PromiseKind.MEMBERS)
    assert (promise.standing, promise.seen) == (
        PromiseStatus.KEPT,
        "all 3 hold the same 900 keys at revision 5000",
    )


@pytest.mark.parametrize(
    ("members", "standing", "seen"),
    [
        (
            replace(ALIKE, hashes={"cp1": 7, "cp2": 8, "cp3": 7}),
            PromiseStatus.BROKEN,
            "the hash differs at revision 5000: 7 on cp1, 7 on cp3, 8 on cp2",
        ),
        (
            replace(ALIKE, keys={"cp1": 900, "cp2": 900, "cp3": 899}),
            PromiseStatus.BROKEN,
            "the number of keys differs at revision 5000: 900 on cp1, 900 on cp2, 899 on cp3",
        ),
        (
            replace(ALIKE, missing={"cp2": (17, 18)}),
            PromiseStatus.BROKEN,
            "cp2 lacks 2 of the acknowledged writes: 17, 18",
        ),
        (
            replace(ALIKE, missing={"cp2": ()}),
            PromiseStatus.KEPT,
            "all 3 hold the same 900 keys at revision 5000",
        ),
        (events.Members(1, {}, {}), PromiseStatus.UNJUDGED, "no answer from cp1, cp2, cp3"),
        (events.Members(1, {"cp1": 7, "cp2": 7}, KEYS), PromiseStatus.UNJUDGED, "no answer from cp3"),
        # what two of them say is enough to see that they differ
        (
            events.Members(1, {"cp1": 7, "cp2": 8}, {"cp1": 1, "cp2": 1}),
            PromiseStatus.BROKEN,
            "the hash differs at revision 1: 7 on cp1, 8 on cp2",
        ),
    ],
)
def test_what_members_hold(members: events.Members, standing: PromiseStatus, seen: str) -> None:
    promise = outcome(held(members), PromiseKind.MEMBERS)
    assert (promise.standing, promise.seen) == (standing, seen)
    verdicts = {
        PromiseStatus.KEPT: Verdict.PASS,
        PromiseStatus.BROKEN: Verdict.FAIL,
        PromiseStatus.UNJUDGED: Verdict.ERROR,
    }
    assert judge(held(members).evidence()).verdict is verdicts[standing]


def test_a_run_without_members_and_states_is_judged_without_them() -> None:
    assert {each.kind for each in outcomes(MadeRun().evidence().history)} == {PromiseKind.LEDGER}


# revisions


def revision(*values: tuple[float, str | None], machine: str = "cp2") -> list[StateReading]:
    return readings("etcd-revision", machine, dict(values), end=40)


@pytest.mark.parametrize(
    ("states", "standing", "seen"),
    [
        (revision((0, "100"), (10, "250")), PromiseStatus.KEPT, "no revision went back in 200 readings"),
        (
            revision((0, "100"), (10, "250"), (20, "180")),
            PromiseStatus.BROKEN,
            "cp2 went from 250 back to 180 at 20.0s",
        ),
        (
            revision((0, "250"), (10, None), (20, "249")),
            PromiseStatus.BROKEN,
            "cp2 went from 250 back to 249 at 20.0s",
        ),
        (
            revision((0, "250"), (10, None), (20, "250")),
            PromiseStatus.KEPT,
            "no revision went back in 150 readings",
        ),
        (
            revision((0, "100"), (5, "50"), (10, "900")),
            PromiseStatus.BROKEN,
            "cp2 went from 100 back to 50 at 5.0s",
        ),
        (revision((0, None)), PromiseStatus.UNJUDGED, "no member reported its revision"),
        (revision((0, "none")), PromiseStatus.UNJUDGED, "no member reported its revision"),
        # by number, not by letter
        (revision((0, "99"), (10, "100")), PromiseStatus.KEPT, "no revision went back in 200 readings"),
        # a restored snapshot is bumped
        (
            revision((0, "100"), (10, "1000000100")),
            PromiseStatus.KEPT,
            "no revision went back in 200 readings",
        ),
    ],
)
def test_a_revision_never_goes_backwards(
    states: list[StateReading], standing: PromiseStatus, seen: str
) -> None:
    promise = outcome(MadeRun(states=states), PromiseKind.REVISION)
    assert (promise.standing, promise.seen) == (standing, seen)


def test_every_member_that_went_back_is_named_with_its_readings() -> None:
    states = [
        *revision((0, "9"), (10, "8")),
        *revision((0, "9"), (5, "3"), machine="cp1"),
        *revision((0, "9"), machine="cp3"),
    ]
    promise = outcome(MadeRun(states=states), PromiseKind.REVISION)
    assert promise.seen == "cp1 went from 9 back to 3 at 5.0s; cp2 went from 9 back to 8 at 10.0s"
    assert promise.at == 5.0
    assert [str(each.lane) for each in promise.evidence] == ["etcd-revision@cp1", "etcd-revision@cp2"]
    assert judge(MadeRun(states=states).evidence()).verdict is Verdict.FAIL


def test_a_slow_answer_may_be_newer_than_its_question() -> None:
    """Asked at 1.0 and answered at 2.5: a quick one that was asked in between saw less."""
    slow = StateReading(1.0, 1.5, "etcd-revision", "cp1", "105")
    quick = StateReading(1.2, 0.02, "etcd-revision", "cp1", "103")
    later = StateReading(2.6, 0.02, "etcd-revision", "cp1", "104")
    assert outcome(MadeRun(states=[slow, quick]), PromiseKind.REVISION).standing is PromiseStatus.KEPT
    assert (
        outcome(MadeRun(states=[slow, quick, later]), PromiseKind.REVISION).standing is PromiseStatus.BROKEN
    )


def with_fault(fault: str) -> MadeRun:
    return MadeRun(change=lambda event: with_values(event, fault=fault))


@pytest.mark.parametrize(
    ("fault", "machine", "standing"),
    [
        ("lose-etcd-data", "cp2", PromiseStatus.KEPT),
        ("lose-machine", "cp2", PromiseStatus.KEPT),
        ("leave-cluster", "cp2", PromiseStatus.KEPT),
        ("join-without-removing", "cp2", PromiseStatus.KEPT),
        ("join-with-expired-key", "cp2", PromiseStatus.KEPT),
        ("lose-etcd-data", "cp1", PromiseStatus.BROKEN),
        ("lose-etcd-quorum", "cp1", PromiseStatus.KEPT),
        ("kill-process", "cp2", PromiseStatus.BROKEN),
    ],
)
def test_a_member_that_starts_without_data_catches_up(
    fault: str, machine: str, standing: PromiseStatus
) -> None:
    """The fault is on cp2."""
    run = with_fault(fault)
    caught_up = revision((0, "100"), (8, None), (10, "4"), (12, "130"), machine=machine)
    assert outcome(replace(run, states=caught_up), PromiseKind.REVISION).standing is standing
    behind = revision((0, "100"), (8, None), (10, "4"), machine=machine)
    assert outcome(replace(run, states=behind), PromiseKind.REVISION).standing is PromiseStatus.BROKEN


def test_a_scenario_may_let_the_revision_fall() -> None:
    text = STOP.replace("title:", "revision: may-fall\ntitle:")
    promise = outcome(MadeRun(text=text, states=revision((0, "100"), (10, "4"))), PromiseKind.REVISION)
    assert (promise.standing, promise.seen) == (
        PromiseStatus.LEFT_OUT,
        "the scenario says `revision: may-fall`",
    )


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_a_member_is_blamed_only_if_its_numbers_fall(values: list[int], order: object) -> None:
    states = [
        StateReading(number / 5, 0.02, "etcd-revision", "cp1", str(value))
        for number, value in enumerate(values)
    ]
    order.shuffle(states)  # type: ignore[attr-defined]
    evidence = replace(MadeRun().evidence(), states=States(states))
    (promise,) = [each for each in outcomes(evidence.history) if each.kind is PromiseKind.REVISION]
    assert (promise.standing is PromiseStatus.KEPT) is (values == sorted(values))


# the ledger, and the writes that a scenario gives up

SNAPSHOT = STOP.replace("hold-static-pod", "snapshot-etcd").replace(
    "title:", "ledger: until-snapshot\ntitle:"
)


def test_a_scenario_may_give_up_all_writes() -> None:
    members = replace(ALIKE, missing={"cp2": (3, 4)})
    run = MadeRun(
        text=STOP.replace("title:", "ledger: none\ntitle:"),
        change=ledger(missing=(3, 4)),
        extra=[Record(40.0, members)],
    )
    acknowledged, written = run.evidence().history.ledger()
    assert acknowledged == []
    assert written > 100
    promise = outcome(run, PromiseKind.LEDGER)
    assert (promise.standing, promise.seen) == (PromiseStatus.LEFT_OUT, "the scenario says `ledger: none`")
    same = outcome(run, PromiseKind.MEMBERS)
    assert (same.standing, same.promised) == (PromiseStatus.KEPT, "every etcd member holds the same data")
    differing = outcome(
        replace(run, extra=[Record(40.0, replace(members, hashes={**HASHES, "cp2": 8}))]),
        PromiseKind.MEMBERS,
    )
    assert differing.standing is PromiseStatus.BROKEN


def test_only_acknowledged_writes_count() -> None:
    acknowledged, written = MadeRun(out={"write-via-lb": [(7, 8)]}).evidence().history.ledger()
    assert written - len(acknowledged) == 5
    assert 0 in acknowledged


def test_writes_between_the_snapshot_and_the_last_heal_do_not_count() -> None:
    """The snapshot begins at 5.51 s, the heal ends at 19.01 s."""
    history = MadeRun(text=SNAPSHOT).evidence().history
    acknowledged, written = history.ledger()
    gone = set(range(written)) - set(acknowledged)
    assert gone == history.given_up()
    writes = {sample.number: sample for sample in history.samples.of(Lane("write-via-lb"))}
    assert min(writes[number].end for number in gone if number is not None) > 5.51
    assert max(writes[number].t for number in gone if number is not None) < 19.01
    assert len(gone) == pytest.approx(13.5 * 5, abs=2)


def test_every_write_counts_by_default() -> None:
    run = MadeRun(text=SNAPSHOT.replace("ledger: until-snapshot\n", ""))
    assert run.evidence().history.given_up() == frozenset()


def test_while_a_fault_is_open_writes_after_the_snapshot_do_not_count() -> None:
    drop = lambda event: isinstance(event, events.HealStarted | events.Healed)  # noqa: E731
    history = MadeRun(text=SNAPSHOT, drop=drop).evidence().history
    acknowledged, _written = history.ledger()
    assert max(acknowledged) < 26


@pytest.mark.parametrize(("number", "standing"), [(3, PromiseStatus.BROKEN), (60, PromiseStatus.KEPT)])
def test_a_write_that_was_given_up_may_be_lost(number: int, standing: PromiseStatus) -> None:
    run = MadeRun(text=SNAPSHOT, change=ledger(missing=(number,)))
    promise = outcome(run, PromiseKind.LEDGER)
    assert promise.standing is standing
    assert promise.promised.endswith("except those between the snapshot and the last heal")
    members = replace(ALIKE, missing={"cp1": (number,)})
    assert outcome(replace(run, extra=[Record(40.0, members)]), PromiseKind.MEMBERS).standing is standing


def test_a_lost_write_stays_lost_whatever_is_read_later() -> None:
    run = MadeRun(change=ledger(missing=(3,)), extra=[Record(99.0, events.Ledger(400, 390, (), 0))])
    assert outcome(run, PromiseKind.LEDGER).standing is PromiseStatus.BROKEN


@given(st.sets(st.integers(0, 100), max_size=12))
def test_any_acknowledged_write_that_is_missing_is_a_failure(missing: set[int]) -> None:
    run = MadeRun(change=ledger(missing=tuple(sorted(missing))))
    promise = outcome(run, PromiseKind.LEDGER)
    assert (promise.standing is PromiseStatus.BROKEN) is bool(missing)


def test_a_sample_that_is_lost_does_not_excuse_a_write() -> None:
    evidence = MadeRun(text=SNAPSHOT, change=ledger(missing=(60,))).evidence()
    without = replace(evidence, samples=Samples())
    (promise,) = [each for each in outcomes(without.history) if each.kind is PromiseKind.LEDGER]
    assert promise.standing is PromiseStatus.BROKEN


def test_a_ledger_that_was_not_read_back_is_not_judged() -> None:
    promise = outcome(MadeRun(drop=lambda event: isinstance(event, events.Ledger)), PromiseKind.LEDGER)
    assert (promise.standing, promise.seen, promise.at) == (
        PromiseStatus.UNJUDGED,
        "the writes were not read back",
        None,
    )


def test_a_ledger_is_judged_when_it_was_read_back() -> None:
    made = MadeRun().evidence()
    (read,) = [each for each in made.records if isinstance(each.what, events.Ledger)]
    promise = outcome(MadeRun(), PromiseKind.LEDGER)
    assert (promise.standing, promise.at) == (PromiseStatus.KEPT, read.t)


def test_a_ledger_without_an_acknowledged_write_shows_nothing_and_one_write_is_enough() -> None:
    def only(count: int) -> MadeRun:
        def acknowledged(taken: list[Sample]) -> list[Sample]:
            return [each if each.number is None else replace(each, ok=each.number < count) for each in taken]

        return MadeRun(changed_samples=acknowledged)

    promise = outcome(only(0), PromiseKind.LEDGER)
    assert (promise.standing, promise.seen) == (
        PromiseStatus.UNJUDGED,
        "no write was acknowledged, so there is nothing to read back",
    )
    assert outcome(only(1), PromiseKind.LEDGER).standing is PromiseStatus.KEPT


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        (
            {"acknowledged": 143},
            "the ledger has 143 acknowledged writes of 153, but the samples have 153 of 153",
        ),
        ({"written": 160}, "the ledger has 153 acknowledged writes of 160, but the samples have 153 of 153"),
        ({"missing": (999,)}, "the ledger counts writes as lost that were never acknowledged: 999"),
    ],
)
def test_a_ledger_that_contradicts_the_samples_is_not_judged(changes: dict[str, object], seen: str) -> None:
    promise = outcome(MadeRun(change=ledger(**changes)), PromiseKind.LEDGER)
    assert (promise.standing, promise.seen) == (PromiseStatus.UNJUDGED, seen)


def test_ten_of_the_lost_writes_are_named() -> None:
    lost = tuple(range(11))
    assert outcome(MadeRun(change=ledger(missing=lost)), PromiseKind.LEDGER).seen.endswith(
        "lost: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 …"
    )
    assert outcome(MadeRun(change=ledger(missing=lost[:10])), PromiseKind.LEDGER).seen.endswith("8, 9")


# revisions and members, at the edges


def told(
    *values: str, seconds: float = 0.0, machine: str = "cp2", faults: Sequence[Event] = ()
) -> PromiseOutcome:
    """What is said of revisions that were read a second apart, by a run of these faults and nothing else."""
    states = [
        StateReading(float(t), seconds, "etcd-revision", machine, value) for t, value in enumerate(values)
    ]
    records = [Record(0.0, each) for each in faults]
    history = replace(MadeRun().evidence(), states=States(states), records=records).history
    (promise,) = [each for each in outcomes(history) if each.kind is PromiseKind.REVISION]
    return promise


def started(fault: str, machine: str) -> Event:
    return events.FaultStarted(fault, fault, machine, machine)


@pytest.mark.parametrize(
    ("values", "standing"),
    [
        (("9", "3"), PromiseStatus.BROKEN),
        (("1", "0"), PromiseStatus.BROKEN),
        (("0", "0"), PromiseStatus.KEPT),
        (("0", "1", "0"), PromiseStatus.BROKEN),
        # of nineteen digits at most: a longer one is no revision
        (("9" * 19, "1"), PromiseStatus.BROKEN),
        (("9" * 20, "1"), PromiseStatus.KEPT),
    ],
)
def test_a_revision_that_falls(values: tuple[str, ...], standing: PromiseStatus) -> None:
    assert told(*values).standing is standing


def test_a_revision_that_was_asked_for_before_the_higher_one_was_answered_has_not_fallen() -> None:
    assert told("9", "3", seconds=1.0).standing is PromiseStatus.BROKEN
    assert told("9", "3", seconds=1.1).standing is PromiseStatus.KEPT


def test_a_fall_is_shown_by_the_first_of_the_highest_readings_and_the_first_lower_one() -> None:
    (shown,) = told("9", "9", "3", "2").evidence
    assert (shown.start, shown.end, shown.samples) == (0.0, 2.0, 2)


def test_a_member_whose_data_was_taken_may_be_behind_but_not_at_the_end() -> None:
    """Whatever else was broken, on it or on others."""
    faults = [started("freeze", "cp1"), started("lose-etcd-data", "cp2")]
    assert told("9", "3", "9", faults=faults).standing is PromiseStatus.KEPT
    assert told("9", "9", "3", faults=faults).standing is PromiseStatus.BROKEN
    assert told("9", "3", "9", faults=faults, machine="cp1").standing is PromiseStatus.BROKEN
    assert told("9", "3", "9", faults=[started("lose-etcd-quorum", "cp1")]).standing is PromiseStatus.KEPT


def test_members_that_all_differ_are_named_in_their_order() -> None:
    members = events.Members(1, {"cp1": 9, "cp2": 8, "cp3": 7}, KEYS)
    assert (
        outcome(held(members), PromiseKind.MEMBERS).seen
        == "the hash differs at revision 1: 9 on cp1, 8 on cp2, 7 on cp3"
    )


# reads and writes of keys


def checked(*answers: Operations) -> MadeRun:
    records = [Record(90.0 + number, answer) for number, answer in enumerate(answers)]
    return MadeRun(f"{STOP}linearizable: true\n", extra=records)


LEGAL = Operations(20, 10, 1, Linearity.OK)
ILLEGAL = replace(LEGAL, result=Linearity.ILLEGAL, seen='the answer "7" to a read')
COUNTED = "20 reads and 10 writes, 1 of unknown outcome"


@pytest.mark.parametrize(
    ("answers", "standing", "seen"),
    [
        ([LEGAL], PromiseStatus.KEPT, COUNTED),
        (
            [replace(LEGAL, silent=("cp2", "cp3"))],
            PromiseStatus.KEPT,
            f"{COUNTED}; no read was answered by etcd on cp2, cp3",
        ),
        ([ILLEGAL], PromiseStatus.BROKEN, f'the answer "7" to a read ({COUNTED})'),
        ([ILLEGAL, LEGAL], PromiseStatus.BROKEN, f'the answer "7" to a read ({COUNTED})'),
        ([LEGAL, ILLEGAL], PromiseStatus.BROKEN, f'the answer "7" to a read ({COUNTED})'),
        (
            [replace(LEGAL, result=Linearity.UNKNOWN)],
            PromiseStatus.UNJUDGED,
            f"the check ran out of time: {COUNTED}",
        ),
        (
            [replace(LEGAL, reads=0)],
            PromiseStatus.UNJUDGED,
            "0 reads and 10 writes, 1 of unknown outcome",
        ),
        ([replace(LEGAL, writes=0)], PromiseStatus.UNJUDGED, "20 reads and 0 writes, 1 of unknown outcome"),
        ([], PromiseStatus.UNJUDGED, "they were not checked"),
    ],
)
def test_reads_and_writes_of_keys(answers: Sequence[Operations], standing: PromiseStatus, seen: str) -> None:
    promise = outcome(checked(*answers), PromiseKind.LINEARIZABLE)
    assert (promise.standing, promise.seen) == (standing, seen)
    verdicts = {
        PromiseStatus.KEPT: Verdict.PASS,
        PromiseStatus.BROKEN: Verdict.FAIL,
        PromiseStatus.UNJUDGED: Verdict.ERROR,
    }
    assert judge(checked(*answers).evidence()).verdict is verdicts[standing]


def test_reads_are_no_promise_of_a_scenario_that_does_not_ask_for_it() -> None:
    run = MadeRun(extra=[Record(90.0, ILLEGAL)])
    assert PromiseKind.LINEARIZABLE not in {each.kind for each in outcomes(run.evidence().history)}


# a watch that is resumed


def watched(*samples: tuple[bool, str]) -> PromiseOutcome | None:
    found = [
        Sample(float(t), 0.1, "watch-resuming", None, ok, detail) for t, (ok, detail) in enumerate(samples)
    ]
    evidence = MadeRun().evidence()
    history = replace(evidence, samples=Samples([*all_samples(evidence.samples), *found])).history
    promises = [each for each in outcomes(history) if each.kind is PromiseKind.WATCH]
    return promises[0] if promises else None


def all_samples(samples: Samples) -> list[Sample]:
    return [sample for lane in samples.lanes for sample in samples.of(lane)]


@pytest.mark.parametrize(
    ("samples", "standing", "seen", "at"),
    [
        ([(True, "event")], PromiseStatus.KEPT, "no write was missed or reported twice", None),
        # an outage is a matter of other promises
        (
            [(True, "event"), (False, "timed out")],
            PromiseStatus.KEPT,
            "no write was missed or reported twice",
            None,
        ),
        ([(True, "event"), (False, "missed: write-7")], PromiseStatus.BROKEN, "missed: write-7", 1.0),
        ([(False, "reported twice: write-7")], PromiseStatus.BROKEN, "reported twice: write-7", 0.0),
        (
            [(False, f"missed: write-{number}") for number in range(4)],
            PromiseStatus.BROKEN,
            "missed: write-0; missed: write-1; missed: write-2",
            0.0,
        ),
        ([(False, "timed out")], PromiseStatus.UNJUDGED, "it reported nothing", None),
        # a client that was told to list again knows that it missed something
        (
            [(False, "not reported before the watch listed again: write-7")],
            PromiseStatus.UNJUDGED,
            "it reported nothing",
            None,
        ),
    ],
)
def test_a_watch_reports_each_write_once(
    samples: Sequence[tuple[bool, str]], standing: PromiseStatus, seen: str, at: float | None
) -> None:
    promise = watched(*samples)
    assert promise is not None
    assert (promise.standing, promise.seen, promise.at) == (standing, seen, at)


def test_without_a_resumed_watch_there_is_no_such_promise() -> None:
    assert watched() is None
