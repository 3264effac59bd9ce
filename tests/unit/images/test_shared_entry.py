"""Parts of the cache that come from another host: kept apart until they are complete and their checksums are right."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.cache_entries import write_box, write_bundle, write_component

from halab.config.lab import LabFile
from halab.errors import Corrupted
from halab.images import cache, shared_entry
from halab.images.shared_entry import Part, SharedFile


@pytest.fixture
def donor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of another host."""
    folder = tmp_path / "donor"
    monkeypatch.setenv("HALAB_CACHE", str(folder))
    return folder


def send(name: str, monkeypatch: pytest.MonkeyPatch, own: Path, *, size: int = 1000) -> None:
    """Send an entry in parts of `size` bytes to the cache in `own`."""
    files = shared_entry.held(name)
    parts = [
        (file, offset, shared_entry.part(name, file.path, offset, size))
        for file in files
        for offset in range(0, max(file.size, 1), size)
    ]
    monkeypatch.setenv("HALAB_CACHE", str(own))
    for file, offset, part in parts:
        shared_entry.receive(name, file, offset, part)


def test_an_entry_arrives_in_parts_and_is_as_it_was(
    donor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle()
    box, image = write_box(bundle), write_component()
    for name in (bundle, box, image):
        monkeypatch.setenv("HALAB_CACHE", str(donor))
        send(name, monkeypatch, tmp_path / "own")
        assert shared_entry.held(name) == []
        shared_entry.accept(name)
        arrived = {
            path: path.read_bytes() for path in (tmp_path / "own" / name).rglob("*") if path.is_file()
        }
        assert {path.relative_to(tmp_path / "own"): content for path, content in arrived.items()} == {
            path.relative_to(donor): path.read_bytes()
            for path in (donor / name).rglob("*")
            if path.is_file()
        }
    assert (tmp_path / "own" / bundle / "bin/kubeadm").stat().st_mode & 0o777 == 0o755
    assert not list((tmp_path / "own").glob("*/.building/*"))
    # and the lab needs nothing more
    assert shared_entry.lacking(LabFile()) == []


def test_what_a_lab_lacks_is_known_before_it_is_built(donor: Path) -> None:
    bundles, boxes = shared_entry.lacking(LabFile())
    # of one of two sources
    assert len(bundles) == len(boxes) == 2 and {name.split("/")[0] for name in (*bundles, *boxes)} == {
        "bundles", "boxes",
    }  # fmt: skip
    bundle = write_bundle()
    assert bundle in bundles
    ((box,),) = shared_entry.lacking(LabFile())
    assert box in boxes and box == write_box(bundle) and shared_entry.lacking(LabFile()) == []
    kube_vip = LabFile.model_validate({"load_balancer": {"kind": "kube-vip"}})
    assert shared_entry.lacking(kube_vip) == [(write_component(),)] or shared_entry.lacking(kube_vip) == []


def test_a_stock_box_is_left_to_vagrant(donor: Path) -> None:
    lab = LabFile.model_validate({"provider": "libvirt", "box": "cloud-image/ubuntu-24.04"})
    assert [names[0].split("/")[0] for names in shared_entry.lacking(lab)] == ["bundles"]


@pytest.mark.parametrize("kind", ["bundles", "boxes", "components"])
def test_an_entry_with_a_wrong_checksum_is_not_kept(
    kind: str, donor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle()
    name = {"bundles": bundle, "boxes": write_box(bundle), "components": write_component()}[kind]
    (file,) = [
        path
        for path in (donor / name).rglob("*")
        if path.name in ("kubeadm", "root.tar", "kube-vip-0.9.1.tar")
    ]
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    send(name, monkeypatch, tmp_path / "own")
    with pytest.raises(Corrupted, match="checksum mismatch"):
        shared_entry.accept(name)
    assert not (tmp_path / "own" / name).exists() and not list((tmp_path / "own").glob("*/.building/*"))


@pytest.mark.parametrize("kind", ["bundles", "boxes", "components"])
def test_an_entry_with_missing_files_is_not_kept(
    kind: str, donor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle()
    name = {"bundles": bundle, "boxes": write_box(bundle), "components": write_component()}[kind]
    for file in (donor / name).rglob("*"):
        if file.name in ("kubeadm", "root.tar", "kube-vip-0.9.1.tar"):
            file.unlink()
    send(name, monkeypatch, tmp_path / "own")
    with pytest.raises(Corrupted):
        shared_entry.accept(name)


def test_another_bundle_under_this_name_is_not_kept(
    donor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = write_bundle()
    (donor / name).rename(donor / f"{name[:-12]}000000000000")
    other = f"{name[:-12]}000000000000"
    send(other, monkeypatch, tmp_path / "own")
    with pytest.raises(Corrupted, match="another bundle has arrived"):
        shared_entry.accept(other)


def test_a_part_that_was_changed_or_is_missing_is_refused(donor: Path) -> None:
    file = SharedFile("bin/kubeadm", 6, 0o755)
    name = "bundles/1.37.2-amd64-modules-0123456789ab"
    with pytest.raises(Corrupted, match="bin/kubeadm was changed on its way"):
        shared_entry.receive(name, file, 0, Part(b"abc", "f0"))
    good = Part(b"abc", hashlib.sha256(b"abc").hexdigest())
    with pytest.raises(Corrupted, match="a part of bin/kubeadm is missing"):
        shared_entry.receive(name, file, 3, good)
    # a file that is sent again begins again
    shared_entry.receive(name, file, 0, good)
    shared_entry.receive(name, file, 0, good)
    shared_entry.receive(name, file, 3, good)
    (arrived,) = (cache.folder() / "bundles/.building").rglob("kubeadm")
    assert arrived.read_bytes() == b"abcabc"
    shared_entry.discard(name)
    assert not arrived.exists()


def test_what_was_built_meanwhile_stays(
    donor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = write_component()
    send(name, monkeypatch, tmp_path / "own")
    write_component()
    before = (tmp_path / "own" / name).stat().st_ino
    shared_entry.accept(name)
    assert (tmp_path / "own" / name).stat().st_ino == before


@pytest.mark.parametrize("name", ["../../etc", "bundles/..", "bundles/../x", "locks/one", "bundles/"])
def test_nothing_else_than_the_cache_is_read(name: str, donor: Path) -> None:
    with pytest.raises(Corrupted, match="not the name of a part of the cache"):
        shared_entry.held(name)
    # and a path never leads out of an entry
    with pytest.raises(OSError):
        shared_entry.part(write_bundle(), "../../secret", 0, 10)
