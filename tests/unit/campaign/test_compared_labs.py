"""The folders of a comparison: a lab file for each lab, the user's own files, and nothing after an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.campaign.compared_labs import prepare
from halab.config.lab_variants import axis, variants
from halab.errors import BadUsage, HalabError
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
    with pytest.raises(BadUsage, match=r"with load_balancer.kind=apache, the lab file is wrong:\n.*apache"):
        made(original, tmp_path / "comparison", "load_balancer.kind=haproxy,apache")
    assert not (tmp_path / "comparison").exists()


def test_nothing_is_left_if_a_file_is_missing(original: Path, tmp_path: Path) -> None:
    with pytest.raises(HalabError, match="no-such.cfg"):
        made(original, tmp_path / "comparison", "load_balancer.config=./no-such.cfg,./other.cfg")
    assert not (tmp_path / "comparison").exists()


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
