"""What came of runs, printed: a table or JSON, and the exit code that they make together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halab.cli.console import echo, echo_as_it_is
from halab.cli.lab import print_json
from halab.errors import ExitCode
from halab.printable import one_line

if TYPE_CHECKING:
    from halab.campaign.outcome import CampaignRun
    from halab.scenario.record.folder import RunFolder
    from halab.scenario.verdict.result import Result

# Of the promises that a twin broke; the rest stands in its report.
_SHOWN_REASONS = 3
_PAST = {"pass": "passed", "fail": "failed", "error": "ended in an error", "skip": "was skipped"}


def print_result(folder: RunFolder, result: Result) -> None:
    from halab.report import table

    echo_as_it_is(table.text(result))
    echo(f"report: {folder.page}\n", err=True)


def print_results(runs: Sequence[tuple[RunFolder, Result]]) -> None:
    """As JSON."""
    print_json([{"folder": str(folder.path), **json.loads(result.to_json())} for folder, result in runs])


def exit_code(verdicts: Sequence[str], *, was_interrupted: bool = False) -> ExitCode:
    """The exit code of several runs: interrupted before an error (or nothing ran) before a failure before a pass."""
    if was_interrupted:
        return ExitCode.INTERRUPTED
    if "error" in verdicts or not set(verdicts) - {"skip"}:
        return ExitCode.ERROR
    return ExitCode.FAILED if "fail" in verdicts else ExitCode.PASSED


@dataclass(frozen=True)
class Proof:
    """What the run of a losing twin says about its scenario."""

    run: CampaignRun

    @property
    def promised(self) -> str:
        return str(self.run.planned.script.scenario.twin.verdict)

    @property
    def verdict(self) -> str:
        """On the scenario: a pass where its twin lost as it must."""
        from halab.report.campaign import against

        return str(against(self.run.result.verdict, self.run.planned.script.scenario.twin.verdict))

    @property
    def holds(self) -> bool | None:
        """Whether the twin lost as it must; None where this lab cannot play it."""
        return None if self.verdict == "skip" else self.verdict == "pass"

    @property
    def reasons(self) -> list[str]:
        """By what it lost: the promises that were broken; where none was, why there was no sound verdict."""
        from halab.scenario.verdict.result import PromiseStatus

        result = self.run.result
        broken = [f"{each.promised}: {one_line(each.seen)}" for each in result.of(PromiseStatus.BROKEN)]
        return broken or list(result.reasons)

    def text(self) -> str:
        """A line for the verdict, and one for each of the first reasons."""
        mark = {True: "✓", False: "✗", None: "-"}[self.holds]
        verdict = _PAST[str(self.run.result.verdict)]
        must = f"its twin must {'fail' if self.promised == 'fail' else 'end in an error'}"
        came = f"and it {'did' if self.holds else verdict}"
        lines = [f"{mark} {self.run.planned.script.name}: {must}, {came}"]
        more = len(self.reasons) - _SHOWN_REASONS
        lines += [f"    {reason}" for reason in self.reasons[:_SHOWN_REASONS]]
        return "\n".join([*lines, f"    and {more} more"] if more > 0 else lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "scenario": self.run.planned.script.name,
            "holds": self.holds,
            "promised": self.promised,
            "verdict": str(self.run.result.verdict),
            "reasons": self.reasons,
            "seed": self.run.planned.seed,
            "folder": str(self.run.folder.path),
        }


def print_proof(proof: Proof, folder: RunFolder) -> None:
    echo(proof.text())
    echo(f"report: {folder.page}\n", err=True)
