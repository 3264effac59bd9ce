"""Run the scenario of an archive again, as it was read for the run, on a lab like the lab of the run."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from halab import files
from halab.archive.archive import AGAIN
from halab.config import component_versions, kubernetes, lab_variants, loading, option_files
from halab.config.component_versions import Versioned
from halab.config.lab import LabFile
from halab.config.scenario import Scenario
from halab.errors import BadUsage
from halab.faults.catalogue import FAULTS
from halab.lifecycle import temporary_lab
from halab.lifecycle.lab import LabDir, open_file
from halab.lifecycle.temporary_lab import LabDeps
from halab.progress import Progress
from halab.scenario.record.folder import Meta, RunFolder
from halab.scenario.run.library import Script
from halab.scenario.verdict.result import PromiseOutcome, Result


def script_of(run: RunFolder) -> Script:
    """The scenario of a recorded run with its files, as they were read for the run. BadUsage for a game day."""
    meta = run.read_meta()
    if meta.is_game_day:
        raise BadUsage(
            "the run is a game day, which needs a team",
            hint=f"play it on a lab of your own: `halab gameday {run.game_day} --seed {meta.seed}`",
        )
    written = loading.read(run.scenario, Scenario)
    root = run.check_files
    check_files = {
        path.relative_to(root).as_posix(): loading.content_of(path)
        for path in sorted(root.rglob("*.py"))
        if path.is_file()
    }
    return Script(
        name=meta.scenario,
        path=run.scenario,
        scenario=written.value,
        content=written.content,
        checks=tuple(_copy_of(check, check_files) for check in written.value.checks),
        check_files=check_files,
        texts={
            path: loading.text_of(run.option_file(path))
            for _, path in option_files.named(written.value, FAULTS)
        },
    )


@contextmanager
def lab_of(run: RunFolder, progress: Progress, deps: LabDeps, *, keep: bool) -> Iterator[LabDir]:
    """Bring up a lab like the lab of a recorded run, with a name of its own. When the block ends, take it down."""
    lab_dir = open_file(write_lab(run))
    with temporary_lab.removed_afterwards(lab_dir, progress, deps, keep=keep):
        deps.up(lab_dir, progress)
        yield lab_dir


def write_lab(run: RunFolder) -> Path:
    """Write the lab file of a run, and the files that it names, below the run's folder; the path of the lab file.

    Raises BadUsage if the lab needs files that the run does not have.
    """
    text = loading.text_of(run.lab)
    written = loading.load(run.lab, LabFile)
    folder = run.path / AGAIN
    versions = [
        lab_variants.fixed(".".join(setting), version)
        for setting, version in _versions(written, run.read_meta()).items()
    ]
    # wherever they were on the other host
    sources = {component: f"./{component}" for component in written.source.by_name}
    versions += [lab_variants.fixed(f"source.{component}", path) for component, path in sources.items()]
    copies = {folder / "lab.yml": lab_variants.variants(text, versions)[0].text.encode()}
    for path in lab_variants.own_files(text):
        copies |= _copies(run.lab_option(str(path)), path, folder)
    if written.kubeadm.patches:
        copies |= _copies(run.kubeadm_patches, Path(written.kubeadm.patches), folder)
    with files.writing(folder):
        for copy, content in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
    missing = [image for image in written.images if not (folder / image).exists()]
    if missing:
        raise BadUsage(
            f"the lab of this run imports {', '.join(missing)}, and an archive has no images",
            hint=f"copy the files into {folder}, and run the command again",
        )
    _require_sources(sources, run, folder)
    return folder / "lab.yml"


def _require_sources(sources: Mapping[str, str], run: RunFolder, folder: Path) -> None:
    """Raise BadUsage if the source code of a component is not there: an archive has none."""
    meta = run.read_meta()
    for component, path in sources.items():
        if not (folder / path).is_dir():
            patch = run.source_patch(component)
            apply = f", apply {patch} there" * patch.is_file()
            raise BadUsage(
                f"the lab of this run builds {component} from {meta.sources.get(component, 'a checkout')}, and an "
                f"archive has no source code",
                hint=f"copy the same source code to {folder / path}{apply}, and run the command again",
            )


def other_sources(recorded: Meta, again: Meta) -> list[str]:
    """One line for each component that is built from other source code than in the archive."""
    return [
        f"{component} is built from {now}; in the archive it was {before}"
        for component, now in again.sources.items()
        if (before := recorded.sources.get(component)) and before.digest != now.digest
    ]


def _versions(written: LabFile, meta: Meta) -> dict[tuple[str, ...], str]:
    """The versions of a run, by the setting of the lab file.

    The lab may have been upgraded, and a minor takes another patch in another version of halab.
    """
    release = kubernetes.resolve(meta.kubernetes)
    versions = {component_versions.setting(Versioned.KUBERNETES): meta.kubernetes}
    for component in written.kubernetes.written_versions:
        of_release = component_versions.release_version(release, component)
        versions[component_versions.setting(component)] = meta.versions.get(component, of_release)
    return versions


def differences(recorded: Result, again: Result) -> list[str]:
    """One line for each promise that has another result the second time."""
    before = {_key(outcome): outcome for outcome in recorded.outcomes}
    lines = []
    for outcome in again.outcomes:
        old = before.get(_key(outcome))
        if old and old.standing is not outcome.standing:
            lines.append(
                f"{outcome.name}, {outcome.promised}: {old.standing} in the archive ({old.seen}), "
                f"{outcome.standing} now ({outcome.seen})"
            )
    return lines


def _key(outcome: PromiseOutcome) -> tuple[object, ...]:
    return outcome.kind, outcome.name, outcome.promised, outcome.step


def _copy_of(check: str, check_files: dict[str, bytes]) -> str:
    """The name of the copy of a check file: its path from the folder that all check files have in common."""
    written = posixpath.normpath(check)
    copies = [name for name in check_files if f"/{written}".endswith(f"/{name}")]
    if not copies:
        raise BadUsage(f"the run has no copy of the check file {check}")
    return max(copies, key=len)


def _copies(source: Path, path: Path, folder: Path) -> dict[Path, bytes]:
    """Where the copies of a file or folder of the lab file belong, with their contents; none if the run has none."""
    if not source.exists():
        return {}
    if ".." in path.parts or path.is_absolute():
        raise BadUsage(f"the lab file of this run names a file outside of its folder: {path}")
    if source.is_file():
        return {folder / path: loading.content_of(source)}
    return {
        folder / path / file.relative_to(source): loading.content_of(file)
        for file in sorted(source.rglob("*"))
        if file.is_file()
    }
