"""Bundles in the cache: made once, used again, verified, resumed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from halab.config.kubernetes import RELEASES, BundleSource, Release, at_least
from halab.errors import Corrupted, HalabError, HostProblem
from halab.images import bundle, cache
from halab.images.bundle_part import Part, Workplace
from halab.images.cache import Architecture
from halab.images.image_names import image_names
from halab.progress import Quiet, Step

RELEASE = RELEASES["1.37"]


@dataclass
class FakeMaker:
    """A maker of two small parts; `breaks` lets one fail."""

    name: str = "fake"
    problem: HalabError | None = None
    breaks: BaseException | None = None
    made: list[str] = field(default_factory=list)
    room_bytes: int = 1000
    meanwhile: threading.Event | None = None

    def recipe(self, release: Release, architecture: Architecture) -> object:
        return self.name

    def obstacle(self, release: Release, *, patience_seconds: float) -> HalabError | None:
        return self.problem

    def space_bytes(self) -> int:
        return self.room_bytes

    def parts(self, release: Release, architecture: Architecture, workplace: Workplace) -> Sequence[Part]:
        return [
            Part("bin/kubeadm", lambda target, step: self._make("kubeadm", target), 10),
            Part("images/etcd.tar", lambda target, step: self._make("etcd", target), 10),
        ]

    def _make(self, name: str, target: Path) -> Sequence[str]:
        target.write_text(f"{self.name} {name}")
        if self.meanwhile:
            self.meanwhile.wait(10)
        if name == "etcd" and self.breaks:
            raise self.breaks
        self.made.append(name)
        return [f"{self.name}@v1 h1:sum"]


class Said(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    @contextmanager
    def step(self, what: str, *, limit_seconds: float | None = None) -> Iterator[Step]:
        self.lines.append(what)
        yield self


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HALAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_bundle_holds_what_its_maker_made() -> None:
    made = bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: FakeMaker()})
    assert made.binary("kubeadm").read_text() == "fake kubeadm"
    assert made.binary("kubeadm").stat().st_mode & 0o777 == 0o755
    assert made.binaries() == [made.path / "bin/kubeadm"]
    assert made.images() == [made.path / "images/etcd.tar"]
    assert made.path.name == f"1.37.2-{cache.architecture()}-modules-{made.key}"
    told = json.loads((made.path / "manifest.json").read_text())
    assert told["files"]["bin/kubeadm"]["origin"] == ["fake@v1 h1:sum"]
    assert told["components"]["etcd"] == RELEASE.etcd


def test_a_cached_bundle_is_used() -> None:
    maker = FakeMaker()
    first = bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: maker})
    second = bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: maker})
    assert (second, maker.made) == (first, ["kubeadm", "etcd"])


def test_a_cached_bundle_of_any_source_is_used_before_a_server_is_asked() -> None:
    bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: FakeMaker("m")})
    silent = FakeMaker("r", problem=HostProblem("asked, though it must not be"))
    makers = {BundleSource.RELEASE: silent, BundleSource.MODULES: FakeMaker("m", problem=silent.problem)}
    assert (
        bundle.ensure(RELEASE, BundleSource.AUTO, Quiet(), makers=makers).manifest.source
        is BundleSource.MODULES
    )


def test_a_changed_byte_is_corrupted() -> None:
    made = bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: FakeMaker()})
    made.binary("kubeadm").write_text("fake kubeadn")
    with pytest.raises(Corrupted, match="kubeadm") as caught:
        bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: FakeMaker()})
    assert caught.value.hint and "halab bundle build --force" in caught.value.hint


def test_a_missing_file_is_corrupted() -> None:
    made = bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: FakeMaker()})
    made.binary("kubeadm").unlink()
    with pytest.raises(Corrupted, match="missing: .*kubeadm"):
        made.verify()


@pytest.mark.parametrize("content", ["", "{", '{"format": 1}'])
def test_a_damaged_manifest_is_corrupted(content: str) -> None:
    made = bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: FakeMaker()})
    (made.path / "manifest.json").write_text(content)
    with pytest.raises(Corrupted, match="manifest"):
        bundle.find(RELEASE, BundleSource.MODULES, makers={BundleSource.MODULES: FakeMaker()})
    assert bundle.installed() == []


def test_force_makes_a_corrupted_bundle_again() -> None:
    makers = {BundleSource.RELEASE: FakeMaker("r"), BundleSource.MODULES: FakeMaker("m")}
    made = bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers=makers)
    (made.path / "manifest.json").write_text("")
    again = bundle.ensure(RELEASE, BundleSource.AUTO, Quiet(), force=True, makers=makers)
    assert again.path == made.path
    again.verify()


def test_an_interrupted_build_leaves_no_bundle_and_continues_where_it_ended() -> None:
    broken = FakeMaker(breaks=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: broken})
    assert bundle.installed() == []
    whole = FakeMaker()
    bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: whole}).verify()
    assert (broken.made, whole.made) == (["kubeadm"], ["etcd"])


def test_a_finished_part_that_changed_is_made_again(cache_folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        bundle.ensure(
            RELEASE,
            BundleSource.MODULES,
            Quiet(),
            makers={BundleSource.MODULES: FakeMaker(breaks=KeyboardInterrupt())},
        )
    next(cache_folder.glob("staging/*/tree/bin/kubeadm")).write_text("half of it")
    whole = FakeMaker()
    bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: whole})
    assert whole.made == ["kubeadm", "etcd"]


def test_a_build_leaves_only_the_bundle(cache_folder: Path) -> None:
    made = bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: FakeMaker()})
    files = [path for path in cache_folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert {path.parent for path in files} == {made.path, made.path / "bin", made.path / "images"}


def test_a_full_disk_is_a_host_problem_and_leaves_no_incomplete_file(cache_folder: Path) -> None:
    full = FakeMaker(breaks=OSError(28, "No space left on device"))
    with pytest.raises(HostProblem, match="disk is full"):
        bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: full})
    assert list(cache_folder.rglob("*etcd*")) == []


def test_too_little_disk_space_is_reported_before_anything_is_made() -> None:
    maker = FakeMaker(room_bytes=1 << 60)
    with pytest.raises(HostProblem, match=r"needs .*, only .* free"):
        bundle.ensure(RELEASE, BundleSource.MODULES, Quiet(), makers={BundleSource.MODULES: maker})
    assert maker.made == []


def test_two_processes_at_once_make_a_bundle_once() -> None:
    go_on = threading.Event()
    first = FakeMaker(meanwhile=go_on)
    second = FakeMaker()
    seen = Said()
    threads = [
        threading.Thread(
            target=bundle.ensure,
            args=(RELEASE, BundleSource.MODULES, progress),
            kwargs={"makers": {BundleSource.MODULES: maker}},
        )
        for maker, progress in ((first, Quiet()), (second, seen))
    ]
    threads[0].start()
    while not first.made and not list((cache.folder() / "staging").glob("*/scratch-*/*")):
        threads[0].join(0.01)
    threads[1].start()
    while not seen.lines:
        threads[1].join(0.01)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert (first.made, second.made) == (["kubeadm", "etcd"], [])
    assert seen.lines[0].startswith("wait for another halab")


def test_auto_prefers_the_official_files() -> None:
    makers = {BundleSource.RELEASE: FakeMaker("r"), BundleSource.MODULES: FakeMaker("m")}
    said = Said()
    assert (
        bundle.ensure(RELEASE, BundleSource.AUTO, said, makers=makers).manifest.source
        is BundleSource.RELEASE
    )
    assert said.lines[0] == "source of Kubernetes 1.37.2: release"


def test_auto_uses_modules_if_the_release_server_is_silent_and_says_why() -> None:
    silent = FakeMaker("r", problem=HostProblem("dl.k8s.io: no answer within 5 s"))
    said = Said()
    made = bundle.ensure(
        RELEASE,
        BundleSource.AUTO,
        said,
        makers={BundleSource.RELEASE: silent, BundleSource.MODULES: FakeMaker()},
    )
    assert made.manifest.source is BundleSource.MODULES
    assert said.lines[0] == "source of Kubernetes 1.37.2: modules (release: dl.k8s.io: no answer within 5 s)"


def test_the_error_without_any_source_gives_both_reasons() -> None:
    makers = {
        BundleSource.RELEASE: FakeMaker(problem=HostProblem("no answer", hint="open the way")),
        BundleSource.MODULES: FakeMaker(problem=HostProblem("no Go", hint="install Go")),
    }
    with pytest.raises(HostProblem, match="release: no answer\nmodules: no Go") as caught:
        bundle.ensure(RELEASE, BundleSource.AUTO, Quiet(), makers=makers)
    assert caught.value.hint == "open the way; or install Go"


def test_the_key_depends_on_pins_source_architecture_and_recipe() -> None:
    keys = {
        bundle.key(release, source, architecture, maker)
        for release in (RELEASE, replace(RELEASE, etcd="3.7.1"))
        for source in (BundleSource.RELEASE, BundleSource.MODULES)
        for architecture in Architecture
        for maker in (FakeMaker("a"), FakeMaker("b"))
    }
    assert len(keys) == 16


def test_bundles_are_listed_oldest_version_first() -> None:
    makers = {BundleSource.MODULES: FakeMaker()}
    for version in ("1.37.10", "1.37.9", "1.34.4"):
        bundle.ensure(replace(RELEASE, kubernetes=version), BundleSource.MODULES, Quiet(), makers=makers)
    assert [each.manifest.kubernetes for each in bundle.installed()] == ["1.34.4", "1.37.9", "1.37.10"]


def test_images_have_the_names_that_kubeadm_expects() -> None:
    names = image_names(RELEASE)
    assert names["kube-apiserver"] == "registry.k8s.io/kube-apiserver:v1.37.2"
    assert names["etcd"] == "registry.k8s.io/etcd:3.7.3-0"
    assert names["coredns"] == "registry.k8s.io/coredns/coredns:v1.14.6"
    assert names["pause"] == "registry.k8s.io/pause:3.10.2"


@pytest.mark.parametrize("release", RELEASES.values(), ids=lambda release: release.minor)
def test_the_pinned_etcd_has_the_fixes_of_its_security_and_stale_read_bugs(release: Release) -> None:
    # GHSA-6vch-q96h-7gc3: fixed in 3.6.14 and 3.7.1; etcd#20418: fixed in 3.6.9
    minimum = {"3.6": "3.6.14", "3.7": "3.7.1"}[release.etcd.rpartition(".")[0]]
    assert at_least(release.etcd, minimum)
