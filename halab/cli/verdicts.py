"""Prints the results of runs as tables or JSON, and computes their common exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halab.cli.console import echo, echo_raw
from halab.cli.options import print_json
from halab.errors import ExitCode
from halab.printable import one_line

if TYPE_CHECKING:
    from halab.campaign.outcome import CampaignRun
    from halab.scenario.record.folder import RunFolder
    from halab.scenario.verdict.result import Result

# How many of the broken promises of a twin are printed. Its report has all of them.
_SHOWN_REASONS = 3
_PAST = {"pass": "passed", "fail": "failed", "error": "ended in an error", "skip": "was skipped"}


def print_result(folder: RunFolder, result: Result) -> None:
    from halab.report import table

    echo_raw(table.text(result))
    echo(f"report: {folder.page}\n", err=True)


def print_results(runs: Sequence[tuple[RunFolder, Result]]) -> None:
    """Print the results as JSON."""
    print_json([as_data(folder, result) for folder, result in runs])


def as_data(folder: RunFolder, result: Result) -> dict[str, Any]:
    """The result of a run for programs."""
    return {"folder": str(folder.path), **json.loads(result.to_json())}


def exit_code(verdicts: Sequence[str], *, was_interrupted: bool = False) -> ExitCode:
    """The exit code of several runs. INTERRUPTED wins over ERROR (also if nothing ran), and ERROR over FAILED."""
    if was_interrupted:
        return ExitCode.INTERRUPTED
    if "error" in verdicts or not set(verdicts) - {"skip"}:
        return ExitCode.ERROR
    return ExitCode.FAILED if "fail" in verdicts else ExitCode.PASSED


@dataclass(frozen=True)
class Proof:
    """Tells from the run of a losing twin whether its scenario can fail."""

    run: CampaignRun

    @property
    def promised(self) -> str:
        return str(self.run.planned.script.scenario.twin.verdict)

    @property
    def verdict(self) -> str:
        """The verdict on the scenario: `pass` if its twin got the verdict that it declares."""
        from halab.report.campaign import compare_with_expected

        return str(
            compare_with_expected(self.run.result.verdict, self.run.planned.script.scenario.twin.verdict)
        )

    @property
    def holds(self) -> bool | None:
        """True if the twin got the verdict that it declares; None if this lab cannot run it."""
        return None if self.verdict == "skip" else self.verdict == "pass"

    @property
    def reasons(self) -> list[str]:
        """The promises that the twin broke, or the reasons of its verdict if it broke none."""
        from halab.scenario.verdict.result import PromiseStatus

        result = self.run.result
        broken = [
            f"{outcome.promised}: {one_line(outcome.seen)}" for outcome in result.of(PromiseStatus.BROKEN)
        ]
        return broken or list(result.reasons)

    def text(self) -> str:
        """One line for the verdict and one line for each of the first reasons."""
        mark = {True: "✓", False: "✗", None: "-"}[self.holds]
        verdict = _PAST[str(self.run.result.verdict)]
        expected = f"its twin must {'fail' if self.promised == 'fail' else 'end in an error'}"
        actual = f"and it {'did' if self.holds else verdict}"
        lines = [f"{mark} {self.run.planned.script.name}: {expected}, {actual}"]
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
