"""What `halab shrink` begins with, its runs on the lab, and the file that it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from halab import files
from halab.archive import replay
from halab.campaign import play as campaigns
from halab.campaign.outcome import CampaignRun
from halab.campaign.plan import PlannedRun
from halab.campaign.play import CampaignOptions
from halab.config import yaml_source
from halab.errors import BadUsage
from halab.lifecycle.lab import LabDir
from halab.printable import counted, one_line
from halab.progress import Progress
from halab.scenario.record.folder import RunFolder
from halab.scenario.run import library
from halab.scenario.run.library import Script
from halab.scenario.verdict.result import PromiseKind
from halab.scenario.verdict.verdict import judge
from halab.shrink.candidate import Candidate
from halab.shrink.session import Shrinking, broken_in

# The folder of check files beside the result.
_CHECKS = "checks"


@dataclass(frozen=True)
class Start:
    """A scenario that fails. `promises` are those that its run broke; none for a scenario without a run.

    `seed` is that of the run.
    """

    script: Script
    promises: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def candidate(self) -> Candidate:
        """Without its check files, unless one of them failed: each run is faster, and the result is one file.

        Otherwise, they are where `write` copies them to.
        """
        content = dict(
            yaml_source.parse(self.script.content.decode("utf-8-sig"), str(self.script.path)).value
        )
        if any(promise.startswith(f"{PromiseKind.CHECK}:") for promise in self.promises):
            content["checks"] = [f"{_CHECKS}/{name}" for name in self.script.checks]
        else:
            content.pop("checks", None)
        return Candidate(content)


def start_of(what: str) -> Start:
    """The folder of a failed run, or a scenario by its name or path. BadUsage if the run did not fail."""
    if not Path(what).is_dir():
        return Start(library.find(what))
    run = RunFolder.existing(Path(what))
    evidence = run.read()
    if evidence.meta.is_twin:
        raise BadUsage(f"the run of a losing twin fails by design: {what}", hint="name a run of a scenario")
    promises = broken_in(judge(evidence))
    if not promises:
        raise BadUsage(
            f"the run did not fail: {what}", hint="name the folder of a run with the verdict fail"
        )
    return Start(replay.script_of(run), promises, evidence.meta.seed)


def test(
    shrinking: Shrinking,
    candidate: Candidate,
    script: Script,
    lab_dir: LabDir,
    progress: Progress,
    is_enough: Callable[[], bool],
) -> None:
    """Run a candidate until its runs say enough. The lab is repaired between two runs, if one leaves it broken.

    One that halab would refuse is not run. Raises KeyboardInterrupt after Ctrl-C, and HalabError if the lab is not up.
    """
    scenario = candidate.scenario(script.texts)
    if scenario is None:
        return

    def are_enough(runs: Sequence[CampaignRun]) -> bool:
        # asked once after each run, but not after one that was interrupted, which is no answer
        shrinking.record(candidate, runs[-1].result, str(runs[-1].folder.path))
        return is_enough()

    checks = script.checks if scenario.checks else ()
    smaller = replace(script, scenario=scenario, content=candidate.text.encode(), checks=checks)
    # the same targets in every run
    planned = [PlannedRun(smaller, shrinking.seed)] * shrinking.rule.most_runs
    options = CampaignOptions(ends_hanging=True, is_enough=are_enough)
    outcome = campaigns.play(lab_dir, planned, progress, options, seed=shrinking.seed)
    if outcome.was_interrupted:
        raise KeyboardInterrupt
    if outcome.error:
        raise outcome.error


def write(shrinking: Shrinking, smallest: Candidate, script: Script, source: str, target: Path) -> None:
    """Write the result with its seed and its figures in a comment, and the files that it needs beside it."""
    start = shrinking.start
    lines = [
        f"Made by `halab shrink {one_line(source)}`; play it with --seed {shrinking.seed}.",
        f"{len(smallest.faults)} of {counted(len(start.faults), 'fault')}, "
        f"{len(smallest.steps)} of {counted(len(start.steps), 'step')}: {shrinking.in_words(smallest)}.",
        f"It was found with {counted(len(shrinking.runs), 'run')} of {counted(shrinking.tried, 'scenario')}. "
        "A run counts as failed if it breaks one of these promises:",
        *(f"  {one_line(promise)}" for promise in shrinking.promises),
    ]
    if shrinking.unanswered:
        gave_up = f"{counted(shrinking.unanswered, 'smaller scenario')} ended in errors and may fail, too"
        lines.insert(2, f"{gave_up}: see {one_line(str(shrinking.path))}.")
    text = "".join(f"# {line}\n" for line in lines) + smallest.text
    copies = {Path(path): text.encode() for path, text in script.texts.items()}
    if "checks" in smallest.content:
        copies |= {Path(_CHECKS, name): content for name, content in script.check_files.items()}
    with files.writing(target):
        for path, content in copies.items():
            # a file elsewhere stays where it is
            if not path.is_absolute() and ".." not in path.parts:
                (target.parent / path).parent.mkdir(parents=True, exist_ok=True)
                files.replace(target.parent / path, content, mode=0o644)
        files.replace(target, text, mode=0o644)
