"""Ask the lab about the tasks of a drill: with the sampler, and with check files. grade.py decides what it means."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from halab import process
from halab.cluster.api import Api
from halab.config.drill import CHECK, Drill
from halab.config.expectation import Expectation
from halab.config.scenario import Scenario
from halab.config.step import Expect
from halab.drill import library
from halab.drill.attempt import Attempt
from halab.drill.grade import Finding, TaskState, of_checks, of_judgement
from halab.drill.requirements import traits_of
from halab.errors import HalabError
from halab.faults.site import Site
from halab.lifecycle import access
from halab.lifecycle.lab import LabDir
from halab.progress import Progress, Quiet
from halab.scenario.record import check_results, events
from halab.scenario.record.folder import RunFolder
from halab.scenario.record.timeline import Timeline
from halab.scenario.run import checks, facts, lab_copies
from halab.scenario.run.observer import Observer
from halab.scenario.sampler import launcher
from halab.scenario.sampler.probes import Objects
from halab.scenario.verdict.evaluation import evaluate
from halab.topology.lab import Lab

# The namespace of the write probes. It goes when the lab is restored.
NAMESPACE = "halab-drill"
# A check file asks a few machines; a command on one that hangs ends after 5 s or more.
_CHECK_SECONDS = 60.0
# After the window, answers to the last questions still arrive.
_EVIDENCE_SECONDS = 3.0


def observe(
    lab_dir: LabDir, site: Site, api: Api, drill: Drill, attempt: Attempt, progress: Progress
) -> dict[str, Finding]:
    """What is found of every task that is no question. Never raises for a lab that does not answer."""
    folder = lab_dir.work.drill / "last-check"
    shutil.rmtree(folder, ignore_errors=True)
    with (
        progress.step("check the tasks") as shown,
        ThreadPoolExecutor(max_workers=1) as pool,
        process.ended_at_interrupt(),
    ):
        checked = pool.submit(_checked, lab_dir, site.lab, drill, attempt, folder)
        # in this thread: Ctrl-C ends its waits at once, and the commands of the other thread
        sampled = _sampled(lab_dir, site, api, drill, attempt, RunFolder(folder / "sampled"))
        found = {**sampled, **checked.result()}
        done = sum(finding.state is TaskState.DONE for finding in found.values())
        shown.done(f"{done} of {len(found)} tasks without a question are done")
    return found


@dataclass
class WatchedExpectations:
    """The expectations of a scenario while the sampler runs."""

    scenario: Scenario
    timeline: Timeline
    observer: Observer

    def expect(self, index: int, expectation: Expectation) -> None:
        """Wait until the expectation of a step is met, or until its limit."""
        self.observer.expect(index, expectation)

    def await_expected(self) -> None:
        """Wait for every expectation that has a limit."""
        for index, expectation in self._expected():
            self.expect(index, expectation)

    def findings(self) -> list[Finding]:
        """What the evidence says of every expectation, in their order."""
        history, now = self.observer.history(), self.timeline.now()
        return [of_judgement(evaluate(history, index, now)) for index, _ in self._expected()]

    def _expected(self) -> Iterator[tuple[int, Expectation]]:
        for index, step in enumerate(self.scenario.steps):
            if isinstance(step, Expect):
                yield index, step.expectation


@contextmanager
def watching(
    lab_dir: LabDir, site: Site, api: Api, scenario: Scenario, folder: RunFolder, objects: Objects
) -> Iterator[WatchedExpectations]:
    """Sample during the block. Raises HalabError if the sampler dies."""
    folder.make()
    timeline = Timeline(folder.timeline, site.clock)
    observer = Observer(
        scenario,
        traits_of(site.lab),
        site.lab,
        site.clock,
        timeline,
        folder,
        facts.Reader(site, timeline),
        Quiet(),
    )
    config = launcher.sampler_config(
        site.lab, access.credentials(lab_dir), scenario.named_probes,
        origin=timeline.origin,
        samples=folder.samples,
        states=folder.states,
        namespace=NAMESPACE,
        ssh_config=lab_dir.work.ssh_config,
        named_states=scenario.named_states,
        objects=objects,
        options=scenario.probes,
        tunnel=api.tunnel,
        # all checks write into one namespace: with the API out of reach, none can be made
        first_write=int(time.time() * 1000),
    )  # fmt: skip
    with launcher.sampling(config, folder.logs / "sampler.log") as observer.still_sampled:
        yield WatchedExpectations(scenario, timeline, observer)


def _sampled(
    lab_dir: LabDir, site: Site, api: Api, drill: Drill, attempt: Attempt, folder: RunFolder
) -> dict[str, Finding]:
    names, scenario = list(drill.expected), drill.check_scenario
    if not names:
        return {}
    try:
        with watching(lab_dir, site, api, scenario, folder, attempt.objects) as watch:
            _open_window(watch.timeline, attempt)
            opened = watch.timeline.now()
            watch.await_expected()
            if any(expected.during for expected in drill.expected.values()):
                site.clock.sleep(max(0.0, opened + drill.observe - watch.timeline.now()))
                _close_window(watch.timeline)
                site.clock.sleep(_EVIDENCE_SECONDS)
            return dict(zip(names, watch.findings(), strict=True))
    except HalabError as error:
        return dict.fromkeys(names, Finding(TaskState.UNCHECKED, error.message))


def _open_window(timeline: Timeline, attempt: Attempt) -> None:
    """Record the faults of the break, so that expectations can name their machines, and the beginning of the check."""
    hit = {**attempt.chosen, CHECK: ["lb1"]}
    for name, machines in hit.items():
        for machine in machines:
            timeline.add(events.FaultStarted(name, name, name, machine))
            timeline.add(events.FaultInjected(name, name, name, machine, ""))
    timeline.add(events.StepEnded(0))


def _close_window(timeline: Timeline) -> None:
    timeline.add(events.HealStarted(CHECK, CHECK, CHECK, "lb1"))
    timeline.add(events.Healed(CHECK, CHECK, CHECK, "lb1"))


def _checked(lab_dir: LabDir, lab: Lab, drill: Drill, attempt: Attempt, folder: Path) -> dict[str, Finding]:
    """Run every check file on its own: one that hangs must not take the others with it."""
    found: dict[str, Finding] = {}
    for number, written in enumerate(drill.check_files):
        finding = _run_file(
            lab_dir, lab, attempt.check_files[written], RunFolder(folder / f"checks-{number}")
        )
        found |= {name: finding for name, task in drill.tasks.items() if task.check == written}
    return found


def _run_file(lab_dir: LabDir, lab: Lab, name: str, folder: RunFolder) -> Finding:
    try:
        folder.make()
        # the fixtures read the lab file from the folder
        for path, content in lab_copies.copies(lab_dir, folder).items():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(content)
        shutil.copytree(library.checks_in(lab_dir.work), folder.check_files)
        outcome = checks.run(
            lab_dir.work, [name], folder=folder, patience=lab.patience, limit_seconds=_CHECK_SECONDS
        )
        return of_checks(check_results.read(folder.checks), outcome.error)
    except HalabError as error:
        return Finding(TaskState.UNCHECKED, error.message)
