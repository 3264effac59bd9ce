"""Act on the lab of a drill: inject its break and remove the traces, and run the scripts of a solution."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from halab.cluster.api import Api
from halab.config.drill import Act, Drill, Violation
from halab.config.scenario import Scenario
from halab.config.step import AnyStep, Expect, Inject, Wait
from halab.drill import observer, recording, requirements, violations
from halab.drill.attempt import Identity
from halab.drill.grade import TaskState
from halab.drill.library import DrillScript
from halab.drill.observer import WatchedExpectations
from halab.errors import CommandFailed, HalabError, LabProblem, Unable
from halab.faults import capabilities, manifests, scratch
from halab.faults.journal import Journal
from halab.faults.site import Site
from halab.faults.targets import Targets
from halab.lifecycle.lab import LabDir
from halab.machines.guests import on_all
from halab.progress import Progress, Quiet
from halab.scenario.record import events
from halab.scenario.record.folder import RunFolder
from halab.scenario.run import ledger, probe_objects
from halab.scenario.run.injector import Injector
from halab.scenario.sampler.probes import Objects
from halab.topology.lab import Lab

# What faults keep on a machine to heal it: it would show the learner what was changed. The way back is the snapshot.
_REMOVE_TRACES = f"rm -rf {scratch.KEPT} {manifests.HELD}"
# sudo writes every command of halab to the machine's log. Until the lab is restored, it does not.
_NO_LOG = "/etc/sudoers.d/halab-drill"
_STOP_LOG = f"(umask 337; echo 'Defaults !syslog' >{_NO_LOG})"
_SHOWN_LINES = 5


@dataclass(frozen=True)
class InjectedBreak:
    """`chosen` are the machines of the break's faults, by name. `objects` are what probes ask for.

    `identity` is what the lab is, if the drill fails for another one.
    """

    chosen: Mapping[str, list[str]] = field(default_factory=dict)
    objects: Objects = Objects()
    identity: Identity = Identity()


def inject_break(
    lab_dir: LabDir, site: Site, api: Api, script: DrillScript, progress: Progress
) -> InjectedBreak:
    """Inject the break of a drill, for good: its faults are not in the journal afterwards.

    Raises Unable if the lab lacks something, and LabProblem if the faults had no visible effect.
    """
    drill = script.drill
    _require(site, drill)
    with progress.step("prepare the lab"):
        ledger.open_namespace(api, observer.NAMESPACE)
        objects = _objects(api, site, drill.check_scenario)
        # before the break: afterwards, no API server may answer
        cluster = violations.identify_cluster(api) if Violation.NEW_CLUSTER in drill.fail_if else ""
        _on_all(site, _STOP_LOG)
        nodes = violations.identify_nodes(site) if Violation.RESET_NODE in drill.fail_if else {}
        journal = Journal(lab_dir.work.journal)
        folder = RunFolder(lab_dir.work.drill / "start")
        with observer.watching(lab_dir, site, api, drill.break_scenario, folder, objects) as watch:
            injector = Injector(site, api, journal, watch.timeline, Quiet(), script.seed, script.texts)
            for index, step in enumerate(drill.breaks):
                _take(step, index, site, injector, watch)
            unseen = [seen.seen for seen in watch.findings() if seen.state is not TaskState.DONE]
        if unseen:
            raise LabProblem(
                f"the injected faults had no visible effect: {'; '.join(unseen)}",
                hint="start the drill again",
            )
        writes = recording.acknowledged_in([folder.samples]) if Violation.LOST_WRITE in drill.fail_if else ()
        _on_all(site, _REMOVE_TRACES)
        for entry in journal.open_faults():
            journal.closed(entry)
        shutil.rmtree(folder.path)
        if nodes:
            # the break may have replaced certificates, or have shut a machine down
            nodes |= violations.identify_nodes(site)
    return InjectedBreak(injector.chosen, objects, Identity(cluster, nodes, tuple(sorted(writes))))


def _take(step: AnyStep, index: int, site: Site, injector: Injector, watch: WatchedExpectations) -> None:
    if isinstance(step, Inject):
        injector.inject(step.fault, step.name, step.targets, step.arguments)
    elif isinstance(step, Wait):
        site.clock.sleep(step.seconds)
    elif isinstance(step, Expect):
        watch.expect(index, step.expectation)
    watch.timeline.add(events.StepEnded(index))


def run_scripts(
    site: Site, api: Api, chosen: Mapping[str, list[str]], acts: Sequence[Act], seed: int
) -> None:
    """Run scripts one after another. Raises CommandFailed with the end of the output of one that fails."""
    targets = Targets(site.lab, site.guests, api, {name: list(hit) for name, hit in chosen.items()}, seed)
    for act in acts:
        for machine in targets.machines([act.on]):
            _run(site, machine, targets.filled(act.run, machine), act.limit * site.lab.patience)


def _run(site: Site, machine: str, script: str, limit_seconds: float) -> None:
    done = site.guests.run(
        machine, "cd / && bash -s 2>&1", input=script, timeout_seconds=limit_seconds, check=False
    )
    if done.code:
        output = "\n".join(done.output.strip().splitlines()[-_SHOWN_LINES:])
        raise CommandFailed(f"on {machine}, a script exited with code {done.code}\n{output}", code=done.code)


def require_kind(lab: Lab, drill: Drill) -> None:
    """Raise Unable if the lab lacks something that its file decides. No machine is asked."""
    _require_nothing_lacks(requirements.lacking(lab, drill))


def _require(site: Site, drill: Drill) -> None:
    probed = capabilities.probe(site)
    traits = requirements.traits_of(site.lab, probed.has, probed.lacking)
    _require_nothing_lacks(requirements.lacking_in(traits, drill))


def _require_nothing_lacks(lacking: Sequence[str]) -> None:
    if lacking:
        raise Unable(
            f"this lab cannot run the drill: {'; '.join(lacking)}",
            hint="`halab drill list` marks such drills; a lab with what is missing needs a lab file of its own",
        )


def _objects(api: Api, site: Site, scenario: Scenario) -> Objects:
    probes = probe_objects.needed(scenario.named_probes)
    if not probes:
        return Objects()
    return probe_objects.make(
        api, site.lab, f"{observer.NAMESPACE}-probes", probes, scenario.probes.list_via_lb,
        clock=site.clock, progress=Quiet(),
    )  # fmt: skip


def _on_all(site: Site, command: str) -> None:
    """Run a command on all machines. One that does not answer keeps what it has."""

    def run(machine: str) -> None:
        with suppress(HalabError):
            site.guests.run(machine, command)

    on_all([machine.name for machine in site.lab.machines], run)
