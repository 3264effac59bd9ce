"""The folder of a run: the names of its files, and reading them back as evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain, count
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from halab import files
from halab.config import loading
from halab.config.component_settings import SourceState
from halab.config.lab import Acceleration, ProviderKind
from halab.config.lab_traits import LabTraits
from halab.config.load_balancer import Balancer
from halab.config.roles import Role
from halab.config.scenario import Scenario
from halab.errors import BadUsage, Corrupted
from halab.scenario.record import check_results, timeline
from halab.scenario.record.check_results import CheckResult
from halab.scenario.record.events import Record
from halab.scenario.record.history import History
from halab.scenario.record.host_facts import HostFacts
from halab.scenario.record.lanes import time_limit_seconds
from halab.scenario.record.lines import first_problem
from halab.scenario.record.outage import Samples
from halab.scenario.record.states import States

SCHEMA = 1
# The name of a folder can have 255 bytes, and a character up to four.
_NAME_CHARACTERS = 50


@dataclass(frozen=True)
class MachineNote:
    name: str
    role: str
    address: str


@dataclass(frozen=True)
class Meta:
    """The conditions of a run. `versions` are the versions of Kubernetes, etcd and other components.

    `sources` are the checkouts from which components were built, by component.
    `tunnel` is the remote host of the lab: every sample went through an SSH connection to it.
    """

    scenario: str
    lab: str
    started: str
    provider: ProviderKind
    load_balancer: Balancer
    kubernetes: str
    machines: tuple[MachineNote, ...]
    patience: float = 1.0
    seed: int = 0
    is_twin: bool = False
    command: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, SourceState] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    load_balancer_check: str = ""
    # the file of the user's own, as the lab file names it
    load_balancer_config: str = ""
    reports_backends: bool = True
    # what runs the processors of virtual machines; None for containers, which use the host's
    acceleration: Acceleration | None = None
    halab: str = ""
    revision: str | None = None
    # missing in runs of earlier versions
    host: HostFacts | None = None
    tunnel: str | None = None
    is_game_day: bool = False
    schema: int = SCHEMA

    @property
    def control_planes(self) -> tuple[str, ...]:
        return tuple(machine.name for machine in self.machines if machine.role == Role.CONTROL_PLANE)

    @property
    def etcd_machines(self) -> tuple[str, ...]:
        return tuple(machine.name for machine in self.machines if machine.role == Role.ETCD)

    @property
    def members(self) -> tuple[str, ...]:
        """The machines with an etcd member."""
        return self.etcd_machines or self.control_planes

    @property
    def is_emulated(self) -> bool:
        return self.acceleration is Acceleration.TCG

    @property
    def provider_in_words(self) -> str:
        """The provider with its acceleration: times under tcg cannot be compared with those under kvm."""
        return f"{self.provider} ({self.acceleration})" if self.acceleration else str(self.provider)

    @property
    def setting(self) -> LabTraits:
        return LabTraits(
            kubernetes=self.kubernetes,
            provider=self.provider,
            load_balancer=self.load_balancer,
            control_planes=len(self.control_planes),
            workers=sum(machine.role == Role.WORKER for machine in self.machines),
            balancers=sum(machine.role == Role.LOAD_BALANCER for machine in self.machines),
            etcd_machines=len(self.etcd_machines),
            capabilities=frozenset(self.capabilities),
            reports_backends=self.reports_backends,
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Evidence:
    """Everything that a verdict is based on. `scenario` is the one that ran, which may be the losing twin."""

    meta: Meta
    scenario: Scenario
    records: Sequence[Record]
    samples: Samples
    checks: Sequence[CheckResult] | None = None
    states: States = field(default_factory=States)

    @cached_property
    def history(self) -> History:
        meta = self.meta
        return History(
            self.scenario,
            meta.setting,
            meta.control_planes,
            meta.members,
            meta.patience,
            self.records,
            self.samples,
            self.states,
        )


@dataclass(frozen=True)
class RunFolder:
    """The paths of the files in the folder of a run."""

    path: Path

    @property
    def scenario(self) -> Path:
        return self.path / "scenario.yml"

    @property
    def game_day(self) -> Path:
        """The file of the game day that was played; there is none for a scenario."""
        return self.path / "game-day.yml"

    @property
    def lab(self) -> Path:
        return self.path / "lab.yml"

    @property
    def configuration(self) -> Path:
        """The configuration of the load balancer that was in use when the run began."""
        return self.path / "configuration"

    @property
    def kubeadm_patches(self) -> Path:
        """The user's patches for kubeadm with which the lab was built; there is no such folder without them."""
        return self.path / "kubeadm-patches"

    @property
    def meta(self) -> Path:
        return self.path / "meta.json"

    @property
    def timeline(self) -> Path:
        return self.path / "timeline.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def states(self) -> Path:
        return self.path / "states.jsonl"

    @property
    def operations(self) -> Path:
        """Reads and writes of keys of etcd; there is no such file unless the scenario says `linearizable: true`."""
        return self.path / "operations.jsonl"

    @property
    def operations_page(self) -> Path:
        """A picture of the operations on a key that were not linearizable."""
        return self.path / "operations.html"

    @property
    def checks(self) -> Path:
        return self.path / "checks.xml"

    @property
    def check_files(self) -> Path:
        """The testinfra files of the scenario, and the Python files beside them."""
        return self.path / "checks"

    def option_file(self, path: str) -> Path:
        """The copy of a file that an option of a fault names, by its path as written."""
        return self._copy("files", path)

    def lab_option(self, path: str) -> Path:
        """The copy of a file that the lab file names, by its path as written."""
        return self._copy("lab", path)

    def _copy(self, folder: str, path: str) -> Path:
        return self.path / folder / files.inside(path)

    def source_patch(self, component: str) -> Path:
        """What was not committed in the checkout from which a component was built."""
        return self.path / "sources" / f"{component}.diff"

    @property
    def etcd_status(self) -> Path:
        """What each etcd member said of itself after the run, by machine."""
        return self.path / "etcd-status.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def proof(self) -> Path:
        """What the attempts at a drill came to; only the folder of a proof has it, which has no scenario."""
        return self.path / "proof.json"

    @property
    def is_proof(self) -> bool:
        return self.proof.is_file()

    @property
    def junit(self) -> Path:
        return self.path / "junit.xml"

    @property
    def log(self) -> Path:
        """The log of a game day: who did what when, and what clients saw."""
        return self.path / "log.json"

    @property
    def page(self) -> Path:
        return self.path / "report.html"

    @classmethod
    def free(cls, runs: Path, started: datetime, name: str) -> RunFolder:
        """A folder for a new run of a scenario or a drill; it does not exist yet."""
        usual = f"{started:%Y%m%d-%H%M%S}-{name[:_NAME_CHARACTERS]}"
        numbered = (runs / f"{usual}-{number}" for number in count(2))
        return cls(next(path for path in chain([runs / usual], numbered) if not path.exists()))

    def make(self) -> None:
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)

    @classmethod
    def existing(cls, path: Path, *, or_proof: bool = False) -> RunFolder:
        """The folder of a run that exists; with `or_proof`, also that of a proof. BadUsage for any other folder."""
        folder = cls(path)
        hint = "name the folder of a run, such as .halab/runs/…"
        if not path.is_dir():
            raise BadUsage(f"no such folder: {path}", hint=hint)
        if or_proof and folder.is_proof:
            return folder
        for needed in (folder.meta, folder.scenario, folder.timeline):
            if not needed.is_file():
                raise BadUsage(f"not the folder of a run: {path} has no {needed.name}", hint=hint)
        return folder

    def read(self) -> Evidence:
        """The evidence of a run; Corrupted if it cannot be read."""
        meta = self.read_meta()
        scenario = loading.load(self.scenario, Scenario)
        limit = time_limit_seconds(meta.is_emulated)
        return Evidence(
            meta=meta,
            scenario=scenario.losing() if meta.is_twin else scenario,
            records=timeline.read(self.timeline),
            samples=Samples(
                timeline.read_samples(self.samples), limit_seconds=limit, limits=scenario.probes.limits
            ),
            checks=check_results.read(self.checks),
            states=States(timeline.read_states(self.states)),
        )

    def read_meta(self) -> Meta:
        try:
            meta = TypeAdapter(Meta).validate_json(files.read(self.meta, files.RECORD_BYTES))
        except ValidationError as error:
            raise Corrupted(f"cannot read {self.meta}: {first_problem(error)}") from error
        if meta.schema != SCHEMA:
            hint = "read it with the version of halab that made it"
            raise Corrupted(f"made by another version of halab: {self.path}", hint=hint)
        return meta
