"""The images of components: built before machines are made, and needed again when a machine is made anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from halab.config.component_settings import SourceState
from halab.config.roles import Role
from halab.errors import BadFile, BadUsage, LabProblem
from halab.images import checkout, component
from halab.images.checkout import Checkout
from halab.images.component import Component
from halab.images.image_archive import ImageArchive
from halab.lifecycle import components, source_record
from halab.lifecycle.lab import LabDir, open_file
from halab.lifecycle.own_images import ComponentImage
from halab.progress import Progress, Quiet

STATE = SourceState("./etcd", "1a2b", is_dirty=True, digest="0" * 64)
IMAGE = ImageArchive("kube-vip-0.9.1.tar", "/cache/kube-vip-0.9.1.tar", "0", 1, ("kube-vip",))
ON_CONTROL_PLANES = ComponentImage(IMAGE, frozenset({Role.CONTROL_PLANE}), "kube-vip")


def lab_dir(folder: Path, settings: str) -> LabDir:
    return dir_of(folder, f"name: ha\nload_balancer:\n  kind: kube-vip\n{settings}")


def dir_of(folder: Path, text: str) -> LabDir:
    path = folder / "lab.yml"
    path.write_text(text)
    return open_file(path)


def test_a_lab_gets_the_images_that_its_control_planes_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ensure(wanted: Component, _progress: Progress, *, force: bool) -> ImageArchive:
        assert (wanted.version, force) == ("0.9.0", False)
        return IMAGE

    monkeypatch.setattr(component, "ensure", ensure)
    place = lab_dir(tmp_path, "  kube_vip: {version: 0.9.0}\n")
    assert components.ensure(place, Quiet()) == (ON_CONTROL_PLANES,)


def test_a_version_that_does_not_exist_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ensure(wanted: Component, _progress: Progress, *, force: bool) -> ImageArchive:
        raise BadUsage(f"no such version in Go's module proxy: {wanted.version}")

    monkeypatch.setattr(component, "ensure", ensure)
    for text, said in (
        (
            "load_balancer:\n  kind: kube-vip\n  kube_vip:\n    version: 0.9.99\n",
            "lab.yml:4: load_balancer.kube_vip.version: no such version in Go's module proxy: 0.9.99",
        ),
        (
            "kubernetes:\n  version: '1.36'\n  etcd: 3.6.99\n",
            "lab.yml:3: kubernetes.etcd: no such version in Go's module proxy: 3.6.99",
        ),
        (
            "kubernetes:\n  version: '1.36'\n  components: {kube-scheduler: 1.36.99}\n",
            "lab.yml:3: kubernetes.components.kube-scheduler: no such version in Go's module proxy: 1.36.99",
        ),
    ):
        with pytest.raises(BadFile) as caught:
            components.ensure(dir_of(tmp_path, text), Quiet())
        assert [str(problem) for problem in caught.value.problems] == [f"{tmp_path}/{said}"]


@pytest.mark.parametrize(
    ("etcd", "roles"), [("", {Role.CONTROL_PLANE}), ("etcd: {topology: external}\n", {Role.ETCD})]
)
def test_etcd_of_another_version_goes_to_the_machines_with_a_member(
    etcd: str, roles: set[Role], tmp_path: Path
) -> None:
    place = dir_of(
        tmp_path, f"{etcd}kubernetes: {{version: '1.36', etcd: 3.6.8, coredns: 1.12.1}}\nworkers: 1\n"
    )
    assert {wanted.name: wanted.roles for wanted in components.needed(place)} == {
        "etcd": roles,
        # its pods run on any node
        "coredns": {Role.CONTROL_PLANE, Role.WORKER},
    }


def test_an_upgraded_lab_runs_the_components_of_its_new_version(tmp_path: Path) -> None:
    place = dir_of(tmp_path, "kubernetes: {version: '1.36', etcd: 3.6.12}\n")
    assert [str(wanted) for wanted in components.needed(place)] == ["etcd 3.6.12"]
    assert components.needed(replace(place, version="1.37.2")) == []


def test_an_image_that_left_the_cache_is_named_with_the_command_that_builds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = lab_dir(tmp_path, "")
    with pytest.raises(
        LabProblem, match=r"the image of kube-vip 0\.9\.1 is no longer in the cache"
    ) as caught:
        components.cached(place)
    assert caught.value.hint == "build it with `halab bundle build --component kube-vip@0.9.1`"
    monkeypatch.setattr(component, "find", lambda _: IMAGE)
    assert components.cached(place) == (ON_CONTROL_PLANES,)


@pytest.mark.parametrize(
    ("settings", "has_ipvs", "is_refused"),
    [
        ("  kube_vip: {balancing: true}\n", False, True),
        ("  kube_vip: {balancing: true}\n", True, False),
        ("", False, False),
    ],
)
def test_balancing_in_containers_needs_a_kernel_with_ipvs(
    settings: str, has_ipvs: bool, is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    ipvs = tmp_path / "ip_vs"
    if has_ipvs:
        ipvs.touch()
    monkeypatch.setattr(components, "_IPVS", ipvs)
    place = lab_dir(tmp_path, settings)
    if not is_refused:
        components.require_kernel(place)
        return
    with pytest.raises(BadFile, match="needs IPVS, and the kernel of this host has not loaded it") as caught:
        components.require_kernel(place)
    assert caught.value.problems[0].line == 4


def test_a_virtual_machine_has_its_own_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "_IPVS", tmp_path / "none")
    components.require_kernel(lab_dir(tmp_path, "  kube_vip: {balancing: true}\nprovider: libvirt\n"))


def test_the_lab_file_names_a_checkout_that_is_wrong_with_its_line(tmp_path: Path) -> None:
    place = dir_of(tmp_path, "name: ha\nsource:\n  etcd: ./none\n")
    with pytest.raises(BadFile) as caught:
        components.ensure(place, Quiet())
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path}/lab.yml:3: source.etcd: no such folder: ./none"
    ]


@pytest.fixture
def from_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabDir:
    """A lab whose etcd comes from a checkout; the cache has its image."""
    (tmp_path / "etcd.tar").write_text("")
    built = replace(IMAGE, path=str(tmp_path / "etcd.tar"))

    def read(path: Path, written: str, wanted: object, go: object) -> Checkout:
        assert (path, written) == (tmp_path / "etcd", "./etcd")
        return Checkout(path, {"go.etcd.io/etcd/server/v3": path, "go.etcd.io/etcd/api/v3": path}, STATE)

    monkeypatch.setattr(checkout, "read", read)
    monkeypatch.setattr(component, "ensure", lambda wanted, progress, force: built)
    place = dir_of(tmp_path, "kubernetes: {version: '1.36', etcd: 3.6.8}\nsource: {etcd: ./etcd}\n")
    place.work.make()
    return place


def test_a_component_from_a_checkout_has_the_version_of_the_lab(from_source: LabDir) -> None:
    (wanted,) = components.needed(from_source)
    assert (wanted.name, wanted.version, wanted.image) == (
        "etcd",
        "3.6.8",
        "registry.k8s.io/etcd:3.6.8-source",
    )
    assert components.versions(from_source) == {"etcd": "3.6.8"}
    # an upgrade brings released versions of all components
    assert components.needed(replace(from_source, version="1.37.2")) == []


def test_a_machine_that_is_made_anew_gets_the_build_of_the_lab(from_source: LabDir) -> None:
    built = components.ensure(from_source, Quiet())
    assert source_record.states(from_source.work) == {}
    from_source.work.write(source_record.record(built))
    assert source_record.states(from_source.work) == {"etcd": STATE}
    assert components.cached(from_source) == built
    with pytest.raises(LabProblem, match="the lab was not built with coredns from source code"):
        source_record.images(from_source.work, ["etcd", "coredns"])
    assert source_record.patches(from_source.work) == {}
    (from_source.file.parent / "source.diff").write_text("--- a\n")
    assert source_record.patches(from_source.work) == {"etcd": b"--- a\n"}
    (from_source.file.parent / "etcd.tar").unlink()
    with pytest.raises(
        LabProblem, match=r"the image of etcd from \./etcd at 1a2b, .* no longer in the cache"
    ):
        components.cached(from_source)


def test_a_checkout_that_changed_is_not_what_the_lab_was_built_from(from_source: LabDir) -> None:
    built = components.ensure(from_source, Quiet())
    source_record.require_same(from_source.work, built)
    from_source.work.write(source_record.record(built))
    source_record.require_same(from_source.work, built)
    changed = [replace(built[0], source=replace(STATE, revision="3c4d", digest="f" * 64, is_dirty=False))]
    with pytest.raises(
        LabProblem, match=r"built from \./etcd at 1a2b, .* source code is now \./etcd at 3c4d$"
    ) as caught:
        source_record.require_same(from_source.work, changed)
    assert caught.value.hint == "rebuild the lab with `halab down && halab up`, or undo the change"
