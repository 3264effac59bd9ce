"""Run scenarios on a lab that is up; every run has its own folder."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from halab import __version__, process
from halab.cluster import balancer
from halab.cluster.api import Api
from halab.config.lab import ProviderKind
from halab.config.lab_traits import LabTraits
from halab.config.load_balancer_choices import BackendCheck
from halab.config.scenario import Scenario
from halab.errors import HalabError, afterwards
from halab.faults import capabilities
from halab.faults.capabilities import Capabilities
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site
from halab.lifecycle import access, components, logs, machine_info, own_files, source_record
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.progress import Progress
from halab.scenario.record import command, events
from halab.scenario.record.folder import MachineNote, Meta, RunFolder
from halab.scenario.record.host_facts import HostFacts
from halab.scenario.run import by_hand, host, lab_copies
from halab.scenario.run.library import Script
from halab.scenario.run.runner import RunContext, ScenarioRun
from halab.topology import balancer as configurations
from halab.topology import keepalived, kube_vip
from halab.topology.lab import Lab


@dataclass(frozen=True)
class Session:
    """A lab that is locked for scenarios, one after another. `seed` decides among equal targets.

    `reports_backends`: whether the load balancer knows the states of the API servers. `command` is the command line
    that does all of the runs again.
    """

    lab_dir: LabDir
    site: Site
    api: Api
    seed: int
    progress: Progress
    capabilities: Capabilities
    reports_backends: bool = True
    command: tuple[str, ...] = ()
    host: HostFacts | None = None

    @property
    def lab(self) -> Lab:
        return self.site.lab

    def prepare(self, script: Script, *, twin: bool = False) -> RunFolder:
        """Create the folder of a run with all files that the run needs."""
        now = datetime.now().astimezone()
        folder = RunFolder.free(self.lab_dir.work.runs, now, script.name)
        folder.make()
        # the content that was read: the files may have changed since
        folder.scenario.write_bytes(script.content)
        work = self.lab_dir.work
        copies = {folder.check_files / name: content for name, content in script.check_files.items()}
        copies |= {folder.option_file(name): text.encode() for name, text in script.texts.items()}
        copies |= {folder.path / name: content for name, content in own_files.recorded(work).items()}
        copies |= {
            folder.kubeadm_patches / name: text.encode() for name, text in machine_info.patches(work).items()
        }
        copies |= {
            folder.source_patch(name): text
            for name, text in source_record.patches(work).items()
            # after an upgrade, none is built from a checkout any more
            if name in self.lab.sources
        }
        copies |= lab_copies.copies(self.lab_dir, folder)
        for path, content in copies.items():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(content)
        self._copy_balancer_configuration(folder)
        folder.meta.write_text(self._meta(script, now.isoformat(timespec="seconds"), twin).to_json())
        return folder

    def _copy_balancer_configuration(self, folder: RunFolder) -> None:
        """Record what the load balancer runs with. A machine that does not answer is a matter of the steady check.

        Two load balancers have the same configuration, but each has its own of keepalived. All control planes have the
        same manifest of kube-vip.
        """
        if kube_vip.runs_in(self.lab):
            path, first = kube_vip.PATH, self.lab.control_planes[0]
        else:
            path, first = configurations.path_of(self.lab), self.lab.balancing_machines[0]
        wanted = {path.rpartition("/")[2]: (first.name, path)}
        if self.lab.virtual_address:
            of_address = {machine.name: keepalived.PATH for machine in self.lab.balancers}
            wanted |= {f"keepalived-{name}.conf": (name, path) for name, path in of_address.items()}
        for copy, (name, path) in wanted.items():
            with suppress(HalabError):
                text = self.site.guests.run(name, f"cat {path}").output
                if text:
                    folder.configuration.mkdir(mode=0o700, exist_ok=True)
                    (folder.configuration / copy).write_text(text)

    def play(
        self,
        script: Script,
        folder: RunFolder,
        *,
        twin: bool = False,
        run: Callable[[Scenario, LabTraits, RunFolder, RunContext], ScenarioRun] = ScenarioRun,
    ) -> None:
        """Run a scenario and record it in its folder, with logs. Raises only errors that end halab.

        `run` makes the object that takes its steps.
        """
        since = datetime.now().astimezone()
        meta = self._meta(script, since.isoformat(timespec="seconds"), twin)
        scenario = script.scenario.losing() if twin else script.scenario
        context = RunContext(
            site=self.site,
            api=self.api,
            journal=Journal(self.lab_dir.work.journal),
            credentials=access.credentials(self.lab_dir),
            progress=self.progress,
            seed=self.seed,
            work=self.lab_dir.work,
            checks=script.checks,
            texts=script.texts,
        )
        started = events.RunStarted(meta.started, script.name, self.lab.name, meta.versions, self.seed)

        def collect() -> None:
            with self.progress.step("collect the logs"), suppress(HalabError):
                logs.collect(self.site.guests, self.lab, folder.logs, since)
                folder.etcd_status.write_text(logs.members(self.site.guests, self.lab))

        with afterwards(collect):
            run(scenario, self.setting(meta), folder, context).play(started)

    def setting(self, meta: Meta) -> LabTraits:
        """The traits of the lab, with the reasons for missing capabilities."""
        return replace(meta.setting, lacking=self.capabilities.lacking)

    def heal(self) -> list[tuple[Entry, HalabError]]:
        """Heal the faults that a run did not heal; the faults that still cannot be healed, with the errors."""
        journal = Journal(self.lab_dir.work.journal)
        return by_hand.heal_all(self.site, journal, journal.open_faults(), self.progress)

    def _meta(self, script: Script, started: str, twin: bool) -> Meta:
        remote = labs.remote_of(self.lab_dir)
        of_lab = meta_of(self.lab, script.name, started, self.seed)
        return replace(
            of_lab,
            load_balancer_check=_check(script, twin) or of_lab.load_balancer_check,
            reports_backends=self.reports_backends and _check(script, twin) != BackendCheck.NONE,
            is_twin=twin,
            capabilities=tuple(sorted(self.capabilities.has)),
            command=self.command,
            versions={**self.lab.versions, **components.versions(self.lab_dir)},
            sources=source_record.states(self.lab_dir.work) if self.lab.sources else {},
            host=self.host,
            tunnel=str(remote) if remote else None,
            is_game_day=script.is_game_day,
        )


@contextmanager
def opened(
    lab_dir: LabDir, progress: Progress, *, seed: int | None = None, doing: str = "run"
) -> Iterator[Session]:
    """Lock the lab for a session, so that no other command changes it. `doing` tells them what the lab is used for.

    `seed` is that of the command; one is drawn without it. Each run of a campaign has its own.
    """
    seed = secrets.randbelow(10**6) if seed is None else seed
    with labs.locked(lab_dir, f"{doing}, process {os.getpid()}"):
        lab = labs.existing(lab_dir)
        Journal(lab_dir.work.journal).require_no_fault()
        access.kubeconfig(lab_dir)
        site = access.site(lab_dir, lab)
        with access.api(lab_dir, lab) as api:
            has = capabilities.probe(site)
            yield Session(
                lab_dir,
                site,
                api,
                seed,
                progress,
                has,
                balancer.reports_all(site.guests, lab),
                command.repeatable(("halab", *sys.argv[1:]), seed),
                host.facts(lab_dir),
            )


def meta_of(lab: Lab, name: str, started: str, seed: int) -> Meta:
    """The circumstances of a run or a proof of this name, as far as the lab's plan and this halab decide them."""
    return Meta(
        scenario=name,
        lab=lab.name,
        started=started,
        provider=lab.provider,
        acceleration=lab.acceleration if lab.provider is ProviderKind.LIBVIRT else None,
        load_balancer=lab.load_balancer.kind,
        load_balancer_check=str(lab.load_balancer.check),
        load_balancer_config=lab.load_balancer.config or "",
        kubernetes=lab.release.kubernetes,
        machines=tuple(
            MachineNote(machine.name, str(machine.role), str(machine.address)) for machine in lab.machines
        ),
        patience=lab.patience,
        seed=seed,
        versions=lab.versions,
        halab=__version__,
        revision=_revision(),
    )


def _check(script: Script, twin: bool) -> str:
    """The check of backends that a twin gives the load balancer for its run; empty if it leaves that of the lab."""
    return script.scenario.twin.settings.get("check", "") if twin else ""


def _revision() -> str | None:
    """The git revision of the current folder; None if it is not a checkout."""
    with suppress(HalabError):
        return process.run(["git", "describe", "--always", "--dirty"], timeout_seconds=5).output.strip()
    return None
