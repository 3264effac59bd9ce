"""The proof of a drill in a folder of its own, beside those of runs: what its attempts came to, result and reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from halab import files, templates
from halab.config.quantities import format_duration
from halab.config.twin import Verdict
from halab.errors import Corrupted
from halab.report import junit
from halab.report.campaign import most_severe
from halab.scenario.record.folder import Meta, RunFolder
from halab.scenario.record.lines import first_problem
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus, Result

SCHEMA = 1
_STATUS = {
    Verdict.PASS: PromiseStatus.KEPT,
    Verdict.FAIL: PromiseStatus.BROKEN,
    Verdict.ERROR: PromiseStatus.UNJUDGED,
    Verdict.SKIP: PromiseStatus.LEFT_OUT,
}


@dataclass(frozen=True)
class Seen:
    """The state of a task or of a violation, and what was seen of it."""

    state: str
    seen: str = ""


@dataclass(frozen=True)
class ProvedAttempt:
    """An attempt of an author. `promised` is what it must come to, `problem` why it did not; empty if it did."""

    name: str
    promised: str
    verdict: Verdict
    problem: str
    score: int
    tasks: Mapping[str, Seen]
    violations: Mapping[str, Seen]


@dataclass(frozen=True)
class ProvedDraw:
    """The attempts at a drill with one seed. `reason` says why not all took place, or what none of them has shown."""

    drill: str
    seed: int
    verdict: Verdict
    reason: str
    attempts: tuple[ProvedAttempt, ...]


@dataclass(frozen=True)
class ProofRecord:
    """A proof: its attempts, with several seeds if the drill has parts.

    `draws` has at least one entry. `digest` is a hash of the drill and its files.
    """

    title: str
    seconds: float
    digest: str
    draws: tuple[ProvedDraw, ...]
    schema: int = SCHEMA

    @property
    def verdict(self) -> Verdict:
        return most_severe([draw.verdict for draw in self.draws])


def read(folder: RunFolder) -> ProofRecord:
    """The proof in a folder. Raises Corrupted if it cannot be read."""
    try:
        record = TypeAdapter(ProofRecord).validate_json(files.read(folder.proof, files.RECORD_BYTES))
    except ValidationError as error:
        raise Corrupted(f"cannot read {folder.proof}: {first_problem(error)}") from error
    if record.schema != SCHEMA or not record.draws:
        hint = "read it with the version of halab that made it"
        raise Corrupted(f"made by another version of halab: {folder.path}", hint=hint)
    return record


def judged(folder: RunFolder) -> Result:
    """The result of a recorded proof, from its folder alone."""
    return result_of(read(folder), folder.read_meta())


def write(folder: RunFolder, meta: Meta, record: ProofRecord) -> Result:
    """Write a proof with its result and its reports into its folder."""
    result = result_of(record, meta)
    files.replace(folder.meta, meta.to_json())
    files.replace(folder.result, result.to_json())
    files.replace(folder.junit, junit.text(result))
    files.replace(folder.page, html(record, meta, result))
    # only with this file, the folder is that of a proof
    files.replace(folder.proof, json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")
    return result


def html(record: ProofRecord, meta: Meta, result: Result) -> str:
    """The page of a proof. It tells what the drill hides."""
    return templates.page(
        "proof.html",
        record=record,
        meta=meta,
        result=result,
        took=format_duration(record.seconds),
        started=meta.started.replace("T", " at ", 1),
    )


def result_of(record: ProofRecord, meta: Meta) -> Result:
    """The result of a proof: each attempt is a promise."""
    outcomes = [outcome for draw in record.draws for outcome in _outcomes(record, draw)]
    return Result(
        scenario=meta.scenario,
        title=record.title,
        lab=meta.lab,
        verdict=record.verdict,
        reasons=tuple(
            dict.fromkeys(
                f"{outcome.name}: {outcome.seen}"
                for outcome in outcomes
                if outcome.standing is not PromiseStatus.KEPT
            )
        ),
        started=meta.started,
        seconds=record.seconds,
        patience=meta.patience,
        is_twin=False,
        is_interrupted=False,
        outcomes=tuple(outcomes),
        lanes=(),
        recovery_seconds=None,
        provider=meta.provider_in_words,
    )


def _outcomes(record: ProofRecord, draw: ProvedDraw) -> Iterator[PromiseOutcome]:
    place = f" (seed {draw.seed})" if len(record.draws) > 1 else ""
    for attempt in draw.attempts:
        yield PromiseOutcome(
            PromiseKind.ATTEMPT,
            f"{attempt.name}{place}",
            attempt.promised,
            attempt.problem or f"{attempt.score} %",
            _STATUS[attempt.verdict],
        )
    if draw.reason:
        yield PromiseOutcome(
            PromiseKind.ATTEMPT,
            f"the proof{place}",
            "all attempts take place and show what the drill promises",
            draw.reason,
            _STATUS[draw.verdict],
        )
