"""Defects of a run's evidence: a host that stood still, a clock that stepped, a full disk, an edited file.

A defect takes the files of a simulated run, and a number from 0 to 1 that says where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from support.simulated_run import CHECKS, FAULT_AT, PERIOD, TIME_LIMIT, WRITES, Files, checks_xml

Defect = Callable[[Files, float], None]


def in_window(files: Files, where: float, margin: float = 0.3) -> float:
    """A moment during the fault."""
    start, end = FAULT_AT + margin, files.truth.healed_from - margin
    return start + where * (end - start)


def recounted(files: Files) -> None:
    """Update the counts to the samples: the sampler counts what it wrote, so only later losses contradict it."""
    counts: dict[str, int] = {}
    for each in files.samples:
        lane = f"{each['probe']}@{each['machine']}" if each["machine"] else each["probe"]
        counts[lane] = counts.get(lane, 0) + 1
    files.event("sampler-stopped")["samples"] = counts
    written = [each for each in files.samples if each["number"] is not None]
    ledger = files.event("ledger")
    ledger["written"] = len(written)
    ledger["acknowledged"] = sum(each["ok"] for each in written)


def nobody_asked(files: Files, where: float) -> None:
    """No questions for 2.5 s during the fault, on any lane."""
    start = in_window(files, where) - 1.25
    files.samples = [each for each in files.samples if not start <= each["t"] < start + 2.5]
    recounted(files)


def sampler_stood_still(files: Files, where: float, length: float = 3.0) -> None:
    """Stopped and continued by the host: questions of that time look as if they had timed out."""
    start = in_window(files, where)
    under_way = [each for each in files.samples if start - PERIOD <= each["t"] < start]
    for each in under_way:
        seconds = max(TIME_LIMIT, start + length - each["t"])
        each.update(seconds=round(seconds, 4), ok=False, detail="timed out", stalled=length)
    files.samples = [each for each in files.samples if not start <= each["t"] < start + length]
    files.samples.sort(key=lambda each: each["t"] + each["seconds"])
    recounted(files)


def sampler_stood_still_for_no_longer_than_its_limit(files: Files, where: float) -> None:
    """Only `stalled` shows it, because no sample took longer than its limit."""
    sampler_stood_still(files, where, TIME_LIMIT - 0.01)


def sampler_stood_still_without_recording_it(files: Files, where: float) -> None:
    """As in runs of earlier versions."""
    sampler_stood_still(files, where)
    for each in files.samples:
        each.pop("stalled", None)


def only_one_sample(files: Files, where: float) -> None:
    """Every lane has only one question during the fault."""
    moment = in_window(files, where)
    kept: set[tuple[str, str | None]] = set()
    left = []
    for each in files.samples:
        lane = each["probe"], each["machine"]
        if FAULT_AT <= each["t"] < files.truth.healed_from:
            if each["t"] < moment or lane in kept:
                continue
            kept.add(lane)
        left.append(each)
    files.samples = left
    recounted(files)


def samples_cut_off(files: Files, where: float) -> None:
    del files.samples[int(where * 0.98 * len(files.samples)) :]


def timeline_cut_off(files: Files, where: float) -> None:
    del files.timeline[max(1, int(where * len(files.timeline))) :]


def timeline_steps_back(files: Files, where: float) -> None:
    """The clock was set back by more than the time between two records."""
    first = 3 + int(where * (len(files.timeline) - 4))
    files.timeline[first:] = [{**each, "t": round(each["t"] - 3.0, 4)} for each in files.timeline[first:]]
    while files.timeline[first]["t"] >= files.timeline[first - 1]["t"]:
        files.timeline[first:] = [
            {**each, "t": round(each["t"] - 3.0, 4)} for each in files.timeline[first:]
        ]


def samples_step_forward(files: Files, where: float) -> None:
    moment = in_window(files, where)
    files.samples = [
        {**each, "t": each["t"] + 3.0} if each["t"] >= moment else each for each in files.samples
    ]


def samples_step_back(files: Files, where: float) -> None:
    moment = in_window(files, where)
    files.samples = [
        {**each, "t": each["t"] - 3.0} if each["t"] >= moment else each for each in files.samples
    ]


def dropped(event: str) -> Defect:
    def drop(files: Files, _where: float) -> None:
        files.timeline = [each for each in files.timeline if each["event"] != event]

    return drop


def steady_before_is_missing(files: Files, _where: float) -> None:
    files.timeline = [each for each in files.timeline if each.get("when") != "before"]


def not_steady_before(files: Files, _where: float) -> None:
    next(each for each in files.timeline if each.get("when") == "before")["ok"] = False


def steady_after_is_missing(files: Files, _where: float) -> None:
    files.timeline = [each for each in files.timeline if each.get("when") != "after"]


def an_expectation_is_missing(files: Files, where: float) -> None:
    index = (1, 4, 5)[int(where * 2.99)]
    files.timeline = [
        each
        for each in files.timeline
        if not (each["event"] == "expectation-ended" and each["index"] == index)
    ]


def lanes_miscounted(files: Files, _where: float) -> None:
    """As many samples as were counted, but of other lanes."""
    counts = files.event("sampler-stopped")["samples"]
    counts[WRITES] += 5
    counts["ready-direct@cp1"] -= 5


def changed(event: str, **values: object) -> Defect:
    def change(files: Files, _where: float) -> None:
        files.event(event).update(values)

    return change


def ledger_read_back_too_little(files: Files, _where: float) -> None:
    files.event("ledger")["acknowledged"] -= 10


def ledger_misses_what_was_never_written(files: Files, _where: float) -> None:
    files.event("ledger")["missing"] = [*files.event("ledger")["missing"], 99_999]


def member_that_said_nothing(files: Files, _where: float) -> None:
    del files.event("members")["hashes"]["cp3"]


def checks_counted_as_failed(files: Files, _where: float) -> None:
    files.event("checks").update(passed=0, failed=files.truth.failed_checks + 3)


def no_results_of_checks(files: Files, _where: float) -> None:
    files.checks = None


def results_of_checks_cut_off(files: Files, where: float) -> None:
    assert files.checks is not None
    files.checks = files.checks[: int(where * (len(files.checks) - 1))]


def a_check_file_without_tests(files: Files, _where: float) -> None:
    """Its tests were not collected, and the count agrees."""
    files.checks = checks_xml(files.truth.failed_checks, CHECKS[:1])
    files.event("checks").update(passed=1 - files.truth.failed_checks)


def wrong_type(field: str, value: object) -> Defect:
    def change(files: Files, where: float) -> None:
        moment = in_window(files, where)
        chosen = next(each for each in files.samples if each["t"] >= moment and each["probe"] == WRITES)
        chosen[field] = value

    return change


DEFECTS: Mapping[str, Defect] = {
    "nobody asked": nobody_asked,
    "the sampler stood still": sampler_stood_still,
    "the sampler stood still for no longer than its limit": sampler_stood_still_for_no_longer_than_its_limit,
    "the sampler stood still and noted nothing": sampler_stood_still_without_recording_it,
    "one sample of each lane": only_one_sample,
    "samples cut off": samples_cut_off,
    "timeline cut off": timeline_cut_off,
    "the clock of the timeline stepped back": timeline_steps_back,
    "the clock of the samples stepped forward": samples_step_forward,
    "the clock of the samples stepped back": samples_step_back,
    "no end of the run": dropped("run-ended"),
    "no end of the sampler": dropped("sampler-stopped"),
    "no steady state before": steady_before_is_missing,
    "not steady before": not_steady_before,
    "no steady state after": steady_after_is_missing,
    "no fault": dropped("fault-started"),
    "no start of the heal": dropped("heal-started"),
    "no end of the heal": dropped("healed"),
    "an expectation that did not end": an_expectation_is_missing,
    "lanes miscounted": lanes_miscounted,
    "no ledger": dropped("ledger"),
    "an empty ledger": changed("ledger", written=0, acknowledged=0, missing=[]),
    "a ledger that was read back in part": ledger_read_back_too_little,
    "a ledger that misses what was never written": ledger_misses_what_was_never_written,
    "a member that said nothing": member_that_said_nothing,
    "no event of the checks": dropped("checks"),
    "checks that could not run": changed("checks", error="they took too long"),
    "checks counted as failed": checks_counted_as_failed,
    "no results of checks": no_results_of_checks,
    "results of checks cut off": results_of_checks_cut_off,
    "a check file without tests": a_check_file_without_tests,
    "a fault left something behind": changed("audit", leftovers=["a rule on cp1"]),
    "ok is a word": wrong_type("ok", "x"),
    "ok is a number": wrong_type("ok", 1),
    "a time is a word": wrong_type("t", "7"),
    "a duration is missing": wrong_type("seconds", None),
    "a duration is negative": wrong_type("seconds", -1.0),
    "a duration is no number": wrong_type("seconds", float("nan")),
    "a probe is a number": wrong_type("probe", 5),
    "a machine is a number": wrong_type("machine", 5),
    "a detail is a list": wrong_type("detail", []),
    "the number of a write is a word": wrong_type("number", "x"),
}
