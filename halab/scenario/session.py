"""Playing scenarios on a lab that is up, each into a folder of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from halab import __version__, process
from halab.clock import RealClock
from halab.cluster.api import Api
from halab.errors import HalabError, LabProblem
from halab.faults import injection
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site
from halab.lifecycle import access, logs
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import Place
from halab.progress import Progress
from halab.scenario import events
from halab.scenario.folder import MachineNote, Meta, RunFolder
from halab.scenario.library import Script
from halab.scenario.runner import Means, Run
from halab.topology.lab import Lab


@dataclass(frozen=True)
class Session:
    """A lab that is held for scenarios, one after another. `seed` decides among equal targets."""

    place: Place
    lab: Lab
    api: Api
    seed: int
    progress: Progress

    def prepare(self, script: Script, *, twin: bool = False) -> RunFolder:
        """The folder of a run that is about to be played: with the scenario and the lab as they are now."""
        now = datetime.now().astimezone()
        folder = RunFolder(
            self.place.work.runs / _free_name(self.place, f"{now:%Y%m%d-%H%M%S}-{script.name}")
        )
        folder.make()
        shutil.copyfile(script.path, folder.scenario)
        shutil.copyfile(self.place.file, folder.lab)
        folder.meta.write_text(self._meta(script, now.isoformat(timespec="seconds"), twin).to_json())
        return folder

    def play(self, script: Script, folder: RunFolder, *, twin: bool = False) -> None:
        """Play a scenario into its folder, logs included. Raises only what ends halab as a whole."""
        since = datetime.now()
        meta = self._meta(script, since.astimezone().isoformat(timespec="seconds"), twin)
        scenario = script.scenario.losing() if twin else script.scenario
        site = Site(self.lab, access.guests(self.place), RealClock())
        means = Means(
            site=site,
            api=self.api,
            journal=Journal(self.place.work.journal),
            credentials=access.credentials(self.place),
            progress=self.progress,
            seed=self.seed,
            lab_file=self.place.file,
            checks=script.checks,
        )
        started = events.RunStarted(meta.started, script.name, self.lab.name, meta.versions, self.seed)
        try:
            Run(scenario, meta.setting, folder, means).play(started)
        finally:
            with self.progress.step("collect the logs"), suppress(HalabError):
                logs.collect(site.guests, self.lab, folder.logs, f"{since:%Y-%m-%d %H:%M:%S}")

    def _meta(self, script: Script, started: str, twin: bool) -> Meta:
        release = self.lab.release
        return Meta(
            scenario=script.name,
            lab=self.lab.name,
            started=started,
            provider=self.lab.provider,
            load_balancer=self.lab.load_balancer.kind,
            load_balancer_check=str(self.lab.load_balancer.check),
            kubernetes=release.kubernetes,
            machines=tuple(
                MachineNote(machine.name, str(machine.role), str(machine.address))
                for machine in self.lab.machines
            ),
            patience=self.lab.patience,
            seed=self.seed,
            is_twin=twin,
            command=("halab", *sys.argv[1:]),
            versions={
                "kubernetes": release.kubernetes,
                "etcd": release.etcd,
                "containerd": release.containerd,
            },
            halab=__version__,
            revision=_revision(),
        )


@contextmanager
def opened(place: Place, progress: Progress, *, seed: int | None = None) -> Iterator[Session]:
    """Hold the lab for a session: no other command changes it meanwhile."""
    with labs.locked(place, f"run, process {os.getpid()}"):
        lab = labs.existing(place)
        open_faults = Journal(place.work.journal).open_faults()
        if open_faults:
            raise LabProblem(
                f"a fault of an earlier run is still open: {open_faults[0]}",
                hint="undo it first: `halab heal`",
            )
        access.kubeconfig(place)
        api = access.api(place, lab)
        try:
            yield Session(place, lab, api, secrets.randbelow(10**6) if seed is None else seed, progress)
        finally:
            api.close()


def heal(place: Place, progress: Progress) -> list[tuple[Entry, HalabError]]:
    """Undo what the journal holds, the youngest first; what could not be undone, and why."""
    with labs.locked(place, f"heal, process {os.getpid()}"):
        journal = Journal(place.work.journal)
        if not journal.open_faults():
            progress.say("no fault is open")
            return []
        site = Site(labs.existing(place), access.guests(place), RealClock())
        return injection.heal_all(site, journal, healed=lambda entry: progress.say(f"healed: {entry}"))


def _free_name(place: Place, name: str) -> str:
    taken = {path.name for path in place.work.runs.glob(f"{name}*")}
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 2))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def _revision() -> str | None:
    """The revision of the project that the command was given in, where it is a git checkout."""
    with suppress(HalabError):
        return process.run(["git", "describe", "--always", "--dirty"], timeout_seconds=5).output.strip()
    return None
