"""Bundles: the Kubernetes payload of one version, made once and then cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from halab.config.kubernetes import BundleSource, Release
from halab.errors import Corrupted, HalabError, HostProblem
from halab.images import cache, manifest
from halab.images.bundle_part import BundleMaker
from halab.images.manifest import REBUILD_HINT, BundleManifest
from halab.images.modules import Modules
from halab.images.release import Official
from halab.images.staging import Staging
from halab.progress import Progress

# How long a server may take to answer: where there is another source, and where the user asked for this one.
_AUTO_SECONDS = 5.0
_PATIENCE_SECONDS = 30.0

# In the order in which `auto` prefers them.
MAKERS: Mapping[BundleSource, BundleMaker] = {
    BundleSource.RELEASE: Official(),
    BundleSource.MODULES: Modules(),
}


def space_bytes(source: BundleSource) -> int:
    """The disk space that it takes to make a bundle; for `auto`, the space of the source that takes most."""
    return max(maker.space_bytes() for name, maker in MAKERS.items() if source in (name, BundleSource.AUTO))


@dataclass(frozen=True)
class Bundle:
    path: Path
    manifest: BundleManifest

    @property
    def key(self) -> str:
        """A short hash of everything that the bundle is made of. Keys of boxes depend on it."""
        return self.manifest.key

    @property
    def size_bytes(self) -> int:
        return sum(record.size for record in self.manifest.files.values())

    def binary(self, name: str) -> Path:
        return self.path / "bin" / name

    def binaries(self) -> list[Path]:
        return self._files("bin")

    def images(self) -> list[Path]:
        return self._files("images")

    def verify(self) -> None:
        """Compare every file with its checksum."""
        for name, record in self.manifest.files.items():
            path = self.path / name
            if not path.is_file():
                raise Corrupted(f"a file of the bundle is missing: {path}", hint=REBUILD_HINT)
            if path.stat().st_size != record.size or cache.sha256(path) != record.sha256:
                raise Corrupted(f"checksum mismatch of a file of the bundle: {path}", hint=REBUILD_HINT)

    def _files(self, folder: str) -> list[Path]:
        return [self.path / name for name in sorted(self.manifest.files) if name.startswith(f"{folder}/")]


def key(release: Release, source: BundleSource, architecture: cache.Architecture, maker: BundleMaker) -> str:
    """A short hash of everything that a bundle is made of: known before it is made."""
    inputs = [manifest.FORMAT, asdict(release), source, architecture, maker.recipe(release, architecture)]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]


def find(
    release: Release, source: BundleSource, *, makers: Mapping[BundleSource, BundleMaker] = MAKERS
) -> Bundle | None:
    """The bundle in the cache, for `auto` of any source; not verified."""
    cached = _cached_source(release, source, makers)
    if cached is None:
        return None
    path = _folder() / _name(release, cached, makers[cached])
    return Bundle(path, manifest.read(path))


def names(
    release: Release, source: BundleSource, *, makers: Mapping[BundleSource, BundleMaker] = MAKERS
) -> dict[str, str]:
    """The names that the folder of a bundle may have, for `auto` that of each source, with the keys of the bundles."""
    architecture = cache.architecture()
    return {
        _name(release, name, makers[name]): key(release, name, architecture, makers[name])
        for name in (makers if source is BundleSource.AUTO else [source])
    }


def installed() -> list[Bundle]:
    """The bundles in the cache, oldest version first, without those that cannot be read."""
    bundles = []
    for path in _folder().glob(f"*/{manifest.FILE}"):
        with suppress(Corrupted):
            bundles.append(Bundle(path.parent, manifest.read(path.parent)))
    return sorted(bundles, key=lambda bundle: (_numbers(bundle.manifest.kubernetes), bundle.path.name))


def ensure(
    release: Release,
    source: BundleSource,
    progress: Progress,
    *,
    force: bool = False,
    makers: Mapping[BundleSource, BundleMaker] = MAKERS,
) -> Bundle:
    """The bundle, verified: from the cache, which needs no network, or made."""
    cached = None if force else find(release, source, makers=makers)
    if cached:
        cached.verify()
        return cached
    # `force` makes the cached bundle again, also when a better source can be reached now
    source = (_cached_source(release, source, makers) if force else None) or source
    if source is BundleSource.AUTO:
        source = _reachable_source(release, progress, makers)
    elif problem := makers[source].obstacle(release, patience_seconds=_PATIENCE_SECONDS):
        raise problem
    name = _name(release, source, makers[source])
    with cache.locked(f"bundle-{name}", progress):
        # another halab process may have made it while this one waited for the lock
        if not force and (cached := find(release, source, makers=makers)):
            cached.verify()
            return cached
        return _make(release, source, name, makers[source], progress, afresh=force)


def _cached_source(
    release: Release, source: BundleSource, makers: Mapping[BundleSource, BundleMaker]
) -> BundleSource | None:
    for candidate in makers if source is BundleSource.AUTO else [source]:
        if (_folder() / _name(release, candidate, makers[candidate]) / manifest.FILE).is_file():
            return candidate
    return None


def _reachable_source(
    release: Release, progress: Progress, makers: Mapping[BundleSource, BundleMaker]
) -> BundleSource:
    problems: dict[BundleSource, HalabError] = {}
    for source, maker in makers.items():
        problem = maker.obstacle(release, patience_seconds=_AUTO_SECONDS)
        if problem is None:
            why = "".join(f" ({other}: {reason.message})" for other, reason in problems.items())
            progress.say(f"source of Kubernetes {release.kubernetes}: {source}{why}")
            return source
        problems[source] = problem
    reasons = [f"{source}: {problem.message}" for source, problem in problems.items()]
    raise HostProblem(
        "\n".join([f"no source for Kubernetes {release.kubernetes}", *reasons]),
        hint="; or ".join(problem.hint for problem in problems.values() if problem.hint),
    )


def _make(
    release: Release,
    source: BundleSource,
    name: str,
    maker: BundleMaker,
    progress: Progress,
    *,
    afresh: bool,
) -> Bundle:
    architecture = cache.architecture()
    staging = Staging(cache.folder() / "staging" / name)
    if afresh:
        staging.remove()
    cache.need_space(cache.folder(), maker.space_bytes())
    path = _folder() / name
    with staging.open() as workplace, cache.named_failures(path):
        parts = maker.parts(release, architecture, workplace)
        records = {part.path: staging.ensure(part, workplace, progress) for part in parts}
        contents = BundleManifest(
            format=manifest.FORMAT,
            key=key(release, source, architecture, maker),
            kubernetes=release.kubernetes,
            source=source,
            architecture=architecture,
            components={component: str(version) for component, version in asdict(release).items()},
            created=datetime.now(UTC).replace(microsecond=0),
            files=records,
        )
        manifest.write(staging.tree, contents)
        cache.put(staging.tree, path)
    staging.remove()
    return Bundle(path, contents)


def _folder() -> Path:
    return cache.folder() / "bundles"


def _name(release: Release, source: BundleSource, maker: BundleMaker) -> str:
    architecture = cache.architecture()
    return f"{release.kubernetes}-{architecture}-{source}-{key(release, source, architecture, maker)}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
