"""The folders of variants: a lab file for each lab, the user's own files, and nothing after an error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from halab.campaign.lab_folders import prepare
from halab.config import lab_variants
from halab.config.lab_variants import axis, variants
from halab.errors import BadUsage, HalabError, HostProblem
from halab.lifecycle import own_files
from halab.lifecycle.lab import open_file

LAB = "name: mine\nsetup: {cp: {after: setup/tools.sh}}\nmanifests: [web]\n"


@pytest.fixture
def original(tmp_path: Path) -> Path:
    (tmp_path / "lab.yml").write_text(LAB)
    (tmp_path / "setup").mkdir()
    (tmp_path / "setup/tools.sh").write_text("#!/bin/sh\ntrue\n")
    (tmp_path / "web").mkdir()
    (tmp_path / "web/map.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: web}}\n")
    (tmp_path / "unrelated").write_text("x")
    return tmp_path / "lab.yml"


def made(original: Path, folder: Path, *settings: str) -> list[Path]:
    return prepare(original, variants(original.read_text(), [axis(setting) for setting in settings]), folder)


def test_each_lab_has_a_folder_with_the_files_that_it_names(original: Path, tmp_path: Path) -> None:
    files = made(original, tmp_path / "comparison", "load_balancer.kind=haproxy,nginx")
    assert files == [tmp_path / "comparison" / name / "lab.yml" for name in ("haproxy", "nginx")]
    own = own_files.read(open_file(files[1]))
    assert own.scripts["setup/tools.sh"].text.startswith("#!/bin/sh")
    assert [manifest.name for manifest in own.manifests["web"]] == ["web/map.yaml"]
    assert not (files[0].parent / "unrelated").exists()
    assert open_file(files[0]).name != open_file(files[1]).name


def test_nothing_is_left_if_a_value_is_wrong(original: Path, tmp_path: Path) -> None:
    with pytest.raises(
        BadUsage, match=r"with load_balancer.kind=apache, the lab file is wrong:\n.*apache"
    ) as caught:
        made(original, tmp_path / "comparison", "load_balancer.kind=haproxy,apache")
    # its lab file does not exist any more
    assert "lab.yml" not in caught.value.message
    assert not (tmp_path / "comparison").exists()


def test_nothing_is_left_if_a_file_is_missing(original: Path, tmp_path: Path) -> None:
    with pytest.raises(HalabError, match="no-such.cfg"):
        made(original, tmp_path / "comparison", "load_balancer.config=./no-such.cfg,./other.cfg")
    assert not (tmp_path / "comparison").exists()


def test_a_checkout_above_the_lab_file_needs_its_whole_path(original: Path, tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text("source: {etcd: ../etcd}\n")
    with pytest.raises(BadUsage) as caught:
        made(original, tmp_path / "comparison", "patience=1,2")
    message = "with patience=1: source.etcd: not below the folder of the lab file: ../etcd"
    assert caught.value.message == message
    assert caught.value.hint == f"write the whole path: {tmp_path.parent / 'etcd'}"
    assert not (tmp_path / "comparison").exists()
    (tmp_path / "lab.yml").write_text("source: {etcd: ./etcd}\n")
    (tmp_path / "etcd").mkdir()
    one, _ = made(original, tmp_path / "comparison", "patience=1,2")
    assert (one.parent / "etcd").readlink() == tmp_path / "etcd"


def test_the_work_folder_of_the_users_lab_is_never_linked(original: Path, tmp_path: Path) -> None:
    work = tmp_path / ".halab"
    work.mkdir()
    (work / "haproxy.cfg").write_text("# rendered\n")
    with pytest.raises(HalabError, match=r"\.halab/haproxy\.cfg"):
        made(original, tmp_path / "comparison", "load_balancer.config=.halab/haproxy.cfg,own.cfg")
    assert (work / "haproxy.cfg").exists()


def test_folders_of_another_comparison_that_begins_at_the_same_time_stay(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "comparison"

    def other_begins(text: str) -> Iterator[Path]:
        (there / "nginx").mkdir()
        (there / "nginx/precious").write_text("x")
        yield from ()

    monkeypatch.setattr(lab_variants, "own_files", other_begins)
    with pytest.raises(HostProblem, match="cannot write .*nginx: file exists"):
        made(original, there, "load_balancer.kind=haproxy,nginx")
    assert (there / "nginx/precious").exists() and not (there / "haproxy").exists()


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_folder_with_files_is_refused(is_folder: bool, original: Path, tmp_path: Path) -> None:
    there = tmp_path / "comparison"
    if is_folder:
        there.mkdir()
    (there / "precious" if is_folder else there).write_text("x")
    with pytest.raises(BadUsage, match="the folder of the comparison is not empty") as raised:
        made(original, there, "load_balancer.kind=haproxy,nginx")
    assert "--in FOLDER" in (raised.value.hint or "")
    assert (there / "precious" if is_folder else there).read_text() == "x"


def test_labs_that_were_copied_with_the_users_files_get_links_to_the_copies(
    original: Path, tmp_path: Path
) -> None:
    both = variants(LAB, [axis("load_balancer.kind=haproxy,nginx")])
    prepare(original, both, tmp_path / "labs")
    copy = tmp_path / "copy"
    for name in ("setup", "web", "labs"):
        shutil.copytree(tmp_path / name, copy / name, symlinks=True)
    shutil.copy(original, copy)
    for _ in range(2):
        files = prepare(copy / "lab.yml", both, copy / "labs", again=True)
        assert {(file.parent / "web").resolve() for file in files} == {copy / "web"}
