"""The runner: it takes the steps of a scenario.

steady → sampler on → steps (inject, expect, wait, heal) → heal all → recover → sampler off → ledger, checks, audit.
It records evidence and judges nothing; it only watches the evidence to know when it may go on.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from halab import process
from halab.clock import Deadline
from halab.cluster.api import Api, Credentials
from halab.cluster.steady import wait_until_steady
from halab.config.fault_facts import EDIT_BALANCER
from halab.config.lab_traits import LabTraits
from halab.config.scenario import LedgerScope, Origin, Scenario
from halab.config.step import Expect, Heal, Inject, Join, Wait, unmet
from halab.errors import HalabError, LabProblem, TimedOut, Unable, afterwards
from halab.faults import audit, injection
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Journal
from halab.faults.site import Site
from halab.faults.targets import Targets
from halab.machines.work import Work
from halab.printable import brief_value
from halab.progress import Progress
from halab.scenario.record import events
from halab.scenario.record.events import SteadyCheckPoint
from halab.scenario.record.folder import RunFolder
from halab.scenario.record.timeline import Timeline
from halab.scenario.run import checks, duration, facts, host, joiner, ledger, linearizability, probe_objects
from halab.scenario.run.injector import Injector
from halab.scenario.run.observer import Observer
from halab.scenario.sampler import launcher
from halab.scenario.sampler.launcher import SamplerConfig
from halab.scenario.sampler.probes import Objects


@dataclass(frozen=True)
class RunContext:
    """What a run needs: `credentials` belong to the sampler's clients, `checks` are files in its folder.

    `texts` are the texts of the files that options of faults name, by path.
    """

    site: Site
    api: Api
    journal: Journal
    credentials: Credentials
    progress: Progress
    seed: int
    work: Work
    checks: Sequence[str] = ()
    texts: Mapping[str, str] = field(default_factory=dict)


class ScenarioRun:
    """One run of one scenario on a lab that is up."""

    def __init__(
        self, scenario: Scenario, setting: LabTraits, folder: RunFolder, context: RunContext
    ) -> None:
        self._scenario = scenario
        self._setting = setting
        self._folder = folder
        self._context = context
        self._site = context.site
        self._lab = context.site.lab
        self._timeline = Timeline(folder.timeline, context.site.clock)
        self._sampled_since = 0.0
        self._injector = Injector(
            context.site, context.api, context.journal, self._timeline, context.progress, context.seed,
            context.texts,
        )  # fmt: skip
        self._observer = Observer(
            scenario, setting, self._lab, context.site.clock, self._timeline, folder,
            facts.Reader(context.site, self._timeline), context.progress,
        )  # fmt: skip

    def play(self, started: events.RunStarted) -> None:
        """Run the scenario and record it in the folder. Raises only errors that end halab."""
        self._timeline.add(started)
        with afterwards(lambda: self._timeline.add(events.RunEnded())):
            try:
                self._play()
            except KeyboardInterrupt as error:
                with suppress(HalabError):
                    self._timeline.add(events.RunInterrupted(str(error) or "SIGINT"))
                raise

    def _play(self) -> None:
        lacking = self._lacking()
        if lacking:
            self._timeline.add(events.Skipped("; ".join(lacking)))
            return
        with ExitStack() as undo:
            self._look_back(self._observe(undo))

    def _lacking(self) -> Sequence[str]:
        """Why this lab cannot run it; empty if it can."""
        return self._scenario.lacking_in(self._setting, FAULTS)

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Record an error and go on, so that the run comes to its end."""
        try:
            yield
        except HalabError as error:
            self._timeline.add(events.Error(error.message, error.hint or ""))

    def _observe(self, undo: ExitStack) -> Sequence[Callable[[], None]]:
        """Run the steps while the sampler runs; return the checks that are possible afterwards."""
        namespace = f"halab-{uuid.uuid4().hex[:10]}"
        with self._recorded():
            if self._scenario.linearizable:
                linearizability.prepare(self._context.progress)
            with self._twin_setting():
                self._await_steady(
                    SteadyCheckPoint.BEFORE, duration.STEADY_BEFORE_SECONDS * self._lab.patience
                )
                with suppress(HalabError):
                    probe_objects.remove_leftovers(self._context.api)
                ledger.open_namespace(self._context.api, namespace)
                undo.callback(self._close, namespace)
                objects = self._make_objects(f"{namespace}-probes", undo)
                if self._scenario.linearizable:
                    linearizability.clear(self._site.guests, self._lab)
                    undo.callback(linearizability.clear_at_the_end, self._site.guests, self._lab)
                try:
                    with (
                        afterwards(partial(self._count_samples, host.Processors())),
                        self._sampling(namespace, objects),
                        self._healing(),
                    ):
                        self._play_steps()
                        self._injector.heal_all()
                        self._recover()
                except Unable:
                    # the timeline says which fault was refused and why; nothing was done
                    return [self._audit]
            return [partial(self._read_back, namespace), self._check_operations, self._check, self._audit]
        return [self._audit]

    def _count_samples(self, processors: host.Processors) -> None:
        self._timeline.add(events.SamplerStopped(self._observer.counts(), processors.busy_share()))

    def _look_back(self, looks: Sequence[Callable[[], None]]) -> None:
        """Run the checks at once: they do not affect each other, and a campaign of fifty runs is faster."""

        def take(look: Callable[[], None]) -> None:
            with self._recorded():
                look()

        with ThreadPoolExecutor(max_workers=len(looks)) as pool, process.ended_at_interrupt():
            for taken in [pool.submit(take, look) for look in looks]:
                taken.result()

    def _play_steps(self) -> None:
        for index, step in enumerate(self._scenario.steps):
            if unmet(step, self._setting):
                continue
            self._timeline.add(events.StepStarted(index))
            match step:
                case Inject():
                    self._injector.inject(
                        step.fault, step.name, step.targets, step.arguments, before=self._look_before
                    )
                case Heal():
                    self._injector.heal(step.name)
                case Wait():
                    self._wait(step.seconds, "wait")
                case Join():
                    joiner.join(
                        self._site, self._timeline, self._context.progress, index, step,
                        self._injector.entries(step.fault),
                    )  # fmt: skip
                case Expect():
                    self._observer.expect(index, step.expectation)
            self._timeline.add(events.StepEnded(index))

    def _look_before(self) -> None:
        """Read facts before a fault; before the first fault, wait for samples that show the steady lab."""
        self._observer.read_before(self._injector.chosen)
        left = self._sampled_since + duration.BASELINE_SECONDS - self._timeline.now()
        if left > 0:
            self._wait(left, "watch the lab before the fault")

    @contextmanager
    def _healing(self) -> Iterator[None]:
        """Heal also after an error, Ctrl-C or a bug. A fault that cannot be healed stays in the journal."""
        try:
            yield
        except BaseException:
            self._injector.heal_what_can_be()
            raise

    @contextmanager
    def _twin_setting(self) -> Iterator[None]:
        """Apply the twin's load balancer setting from before the first steady check until after the last."""
        options = self._scenario.balancer_options
        if not options:
            yield
            return
        shown = ", ".join(f"{name} {brief_value(value)}" for name, value in options.items())
        with ExitStack() as undo:
            for machine in self._lab.balancing_machines:
                undo.enter_context(self._balancer_setting(machine.name, options, shown))
            yield

    @contextmanager
    def _balancer_setting(self, balancer: str, options: Mapping[str, str], shown: str) -> Iterator[None]:
        journal = self._context.journal
        resolver = Targets(
            self._lab, self._site.guests, self._context.api, {}, self._context.seed, self._context.texts
        )
        resolved = resolver.options(FAULTS[EDIT_BALANCER], options, balancer)
        entry = injection.plan(self._site, EDIT_BALANCER, balancer, resolved)

        def restore() -> None:
            with self._context.progress.step("restore the load balancer"):
                injection.heal(self._site, journal, entry)

        with afterwards(restore):
            with self._context.progress.step(f"set the load balancer to {shown}"):
                self._timeline.add(events.LabSet(shown, injection.inject(self._site, journal, entry)))
            yield

    # steady, samples, ledger

    def _await_steady(self, when: SteadyCheckPoint, limit: float) -> None:
        what = (
            "check that the lab is steady"
            if when is SteadyCheckPoint.BEFORE
            else "wait until the lab is steady again"
        )
        begun = self._timeline.now()
        with self._context.progress.step(what, limit_seconds=limit) as shown:
            deadline = Deadline.after(self._site.clock, limit)
            try:
                seen = wait_until_steady(
                    self._site.guests, self._context.api, self._lab, deadline, show=shown.note
                )
            except TimedOut as error:
                self._timeline.add(events.Steady(when, False, self._timeline.now() - begun, error.message))
                raise LabProblem(
                    f"the lab is not steady: {error.message}", hint="see `halab status`"
                ) from error
            self._timeline.add(events.Steady(when, True, self._timeline.now() - begun, str(seen)))

    def _recover(self) -> None:
        bound = self._scenario.recover.steady.within_seconds or 0.0
        bound *= self._lab.patience
        begun = self._injector.first_injected_at
        if self._scenario.recover.origin is Origin.INJECT and begun is not None:
            bound -= self._timeline.now() - begun
        with suppress(LabProblem):
            self._await_steady(SteadyCheckPoint.AFTER, duration.recovery_seconds(bound))

    def _make_objects(self, namespace: str, undo: ExitStack) -> Objects:
        """Make what the probes of the scenario need in the cluster; nothing for most."""
        probes, context = probe_objects.needed(self._scenario.named_probes), self._context
        if not probes:
            return Objects()
        undo.callback(self._close, namespace)
        return probe_objects.make(
            context.api, self._lab, namespace, probes, self._scenario.probes.list_via_lb,
            clock=self._site.clock, progress=context.progress,
        )  # fmt: skip

    def _sampler_config(self, namespace: str, objects: Objects) -> SamplerConfig:
        return launcher.sampler_config(
            self._lab, self._context.credentials, self._scenario.named_probes,
            origin=self._timeline.origin,
            samples=self._folder.samples,
            states=self._folder.states,
            namespace=namespace,
            ssh_config=self._context.work.ssh_config,
            named_states=self._scenario.named_states,
            objects=objects,
            options=self._scenario.probes,
            tunnel=self._context.api.tunnel,
            operations=self._folder.operations if self._scenario.linearizable else None,
        )  # fmt: skip

    @contextmanager
    def _sampling(self, namespace: str, objects: Objects) -> Iterator[None]:
        config = self._sampler_config(namespace, objects)
        with launcher.sampling(config, self._folder.logs / "sampler.log") as still_sampled:
            self._observer.still_sampled = still_sampled
            self._sampled_since = self._timeline.add(events.SamplerStarted()).t
            yield

    def _wait(self, seconds: float, what: str) -> None:
        with self._context.progress.step(what, limit_seconds=seconds):
            self._site.clock.sleep(seconds)

    def _read_back(self, namespace: str) -> None:
        """Read the acknowledged writes back, through every API server and from every etcd member."""
        acknowledged, written = self._observer.history().ledger()
        with self._context.progress.step(f"read back {len(acknowledged)} acknowledged writes") as shown:
            context = self._context
            reading = ledger.read_back(
                self._lab, context.credentials, namespace, acknowledged, tunnel=context.api.tunnel
            )
            self._timeline.add(
                events.Ledger(written, reading.acknowledged, reading.missing, reading.unacknowledged_found)
            )
            self._timeline.add(ledger.members(self._site.guests, self._lab, namespace, acknowledged))
            shown.done(
                f"{len(reading.missing)} lost" if reading.missing else "none lost",
                is_good=not reading.missing or self._scenario.ledger is not LedgerScope.ALL,
            )

    def _check_operations(self) -> None:
        if self._scenario.linearizable:
            with self._context.progress.step("check the reads and writes of etcd's keys") as shown:
                found = linearizability.check(self._folder, self._context.progress)
                self._timeline.add(found)
                shown.done(str(found.result), is_good=found.is_linearizable)

    def _check(self) -> None:
        """Run the testinfra files of the scenario; their results are in the folder."""
        if not self._context.checks:
            return
        with self._context.progress.step(f"run {len(self._context.checks)} check files") as shown:
            outcome = checks.run(
                self._context.work, self._context.checks, folder=self._folder, patience=self._lab.patience
            )
            shown.done(
                outcome.error or f"{outcome.passed} passed, {outcome.failed} failed",
                is_good=not outcome.error and not outcome.failed,
            )
        self._timeline.add(outcome)

    def _audit(self) -> None:
        with self._context.progress.step("check that nothing is left behind") as shown:
            leftovers = audit.audit(self._site)
            shown.done("; ".join(leftovers) or "nothing", is_good=not leftovers)
        self._timeline.add(events.Audit(tuple(leftovers)))

    def _close(self, namespace: str) -> None:
        """Remove a namespace of the run; if the lab does not answer, the next run does it."""
        with suppress(HalabError):
            ledger.close_namespace(self._context.api, namespace)
