"""A stage on which scenarios are played without a lab: the test scripts the result of every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from halab.campaign.outcome import CampaignOutcome, CampaignRun
from halab.campaign.plan import PlannedRun
from halab.campaign.play import CampaignDeps, CampaignOptions, play
from halab.config.loading import loads
from halab.config.scenario import Scenario
from halab.config.twin import Verdict
from halab.lifecycle.lab import LabDir, open_file
from halab.progress import Progress
from halab.scenario.record.folder import RunFolder
from halab.scenario.run.library import Script
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus, Result
from halab.topology.lab import Lab
from support.fakes import Recorded, lab_of
from support.run_builder import META, STOP

# A scenario without promises that need a record: results are scripted here.
TEXT = "".join(line for line in STOP.splitlines(keepends=True) if "during: stopped" not in line)
SEED = 42


def script(name: str, text: str = TEXT) -> Script:
    return Script(name, Path(f"{name}.yml"), loads(text, f"{name}.yml", Scenario), text.encode())


def planned_run(name: str, *, twin: bool = False, seed: int = SEED) -> PlannedRun:
    return PlannedRun(script(name), seed, twin)


def result_of(name: str, verdict: str, *, twin: bool = False) -> Result:
    broken = PromiseOutcome(
        PromiseKind.EXPECTATION, "ready-direct on stopped", "ready-direct on stopped fails within 10s", "it answered",
        PromiseStatus.BROKEN,
    )  # fmt: skip
    return Result(
        scenario=name, title="One API server is stopped", lab="ha", verdict=Verdict(verdict),
        reasons=() if verdict == "pass" else (f"because of {name}",), started="2026-11-23T10:15:00+01:00",
        seconds=30.0, patience=1.0, is_twin=twin, is_interrupted=False,
        outcomes=(broken,) if verdict == "fail" else (), lanes=(), recovery_seconds=None,
    )  # fmt: skip


@dataclass(frozen=True)
class FakeSession:
    """A session that holds the lab; `seed` is replaced for every run, as in a real session."""

    stage: Stage
    seed: int

    @property
    def lab(self) -> Lab:
        return lab_of(name="ha")

    def prepare(self, script: Script, *, twin: bool = False) -> RunFolder:
        return self.stage.prepare(script.name)

    def play(self, script: Script, folder: RunFolder, *, twin: bool = False) -> None:
        self.stage.did.append(f"play {script.name}{' twin' if twin else ''} {self.seed}")
        self.stage.raise_if_scripted(f"play {script.name}")


@dataclass
class Stage:
    """`verdicts`, `damages` and `lacking`: by the name of the scenario. `errors`: by the step that raises them."""

    folder: Path
    verdicts: dict[str, str] = field(default_factory=dict)
    damages: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    # the seeds that sessions were opened with
    opened_with: list[int] = field(default_factory=list)
    progress: Recorded = field(default_factory=Recorded)
    is_held: bool = False
    last: str = ""

    def __post_init__(self) -> None:
        (self.folder / "lab.yml").write_text("name: ha\n")
        # where the umask is 002, a folder made without a mode is writable for the group, and halab refuses it
        (self.folder / ".halab").mkdir(mode=0o700, exist_ok=True)

    @property
    def lab_dir(self) -> LabDir:
        return open_file(self.folder / "lab.yml")

    def play(
        self, *planned: PlannedRun, on_run: Callable[[CampaignRun], None] = lambda run: None, **options: Any
    ) -> CampaignOutcome:
        chosen = CampaignOptions(**options)
        return play(self.lab_dir, planned, self.progress, chosen, seed=SEED, on_run=on_run, deps=self.deps)

    @property
    def deps(self) -> CampaignDeps:
        open_session: Callable[..., Any] = self._open_session
        return CampaignDeps(open_session, self._render, self._damage, self._heal, self._mend, self._rebuild)

    def raise_if_scripted(self, step: str) -> None:
        if step in self.errors:
            raise self.errors[step]

    def prepare(self, name: str) -> RunFolder:
        self.raise_if_scripted(f"prepare {name}")
        self.last = name
        folder = RunFolder(self.folder / ".halab" / "runs" / name)
        folder.make()
        folder.scenario.write_text(TEXT)
        folder.meta.write_text(META.to_json())
        folder.timeline.touch()
        return folder

    @contextmanager
    def _open_session(self, lab_dir: LabDir, progress: Progress, seed: int) -> Iterator[FakeSession]:
        self.raise_if_scripted("open")
        self.did.append("open")
        self.opened_with.append(seed)
        self.is_held = True
        try:
            yield FakeSession(self, seed)
        finally:
            self.is_held = False

    def _render(self, folder: RunFolder) -> Result:
        self.raise_if_scripted(f"render {self.last}")
        twin = f"play {self.last} twin" in " ".join(self.did)
        result = result_of(self.last, self.verdicts.get(self.last, "pass"), twin=twin)
        was_interrupted = isinstance(self.errors.get(f"play {self.last}"), KeyboardInterrupt)
        return replace(result, is_interrupted=was_interrupted)

    def _damage(self, folder: RunFolder) -> str:
        return self.damages.get(folder.path.name, "")

    def _heal(self, session: object) -> list[str]:
        self.did.append("heal")
        self.raise_if_scripted("heal")
        return []

    def _mend(self, session: object) -> tuple[list[str], str]:
        self.did.append("mend")
        self.raise_if_scripted("mend")
        return ["started cp2"], self.lacking.get(self.last, "")

    def _rebuild(self, lab_dir: LabDir, progress: Progress) -> str:
        assert not self.is_held, "the lab is held: it could not go down"
        self.did.append("rebuild")
        self.raise_if_scripted("rebuild")
        return "rebuilt the lab"
