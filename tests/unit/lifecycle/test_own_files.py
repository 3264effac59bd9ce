"""The files that a lab file names are read and checked before any machine is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.errors import BadFile
from halab.lifecycle import lab as labs
from halab.lifecycle import own_files, workfiles
from halab.lifecycle.lab import LabDir, open_file

LAB = """\
name: own
manifests: [all.yaml]
images:
  - none.tar
setup:
  cp: {before: before.sh}
  worker:
    after: ../after.sh.j2
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "all.yaml").write_text(NAMESPACE)
    (folder / "before.sh").write_text("echo {{ this is not a template }}\r\n")
    (tmp_path / "after.sh.j2").write_text("echo {{ machine.name }}")
    return folder


def opened(folder: Path, text: str = LAB) -> LabDir:
    (folder / "lab.yml").write_text(text)
    return labs.open_file(folder / "lab.yml")


def problems(lab_dir: LabDir) -> list[str]:
    with pytest.raises(BadFile) as caught:
        own_files.read(lab_dir)
    return [str(problem) for problem in caught.value.problems]


def test_problems_of_all_files_are_reported_with_their_lines(folder: Path) -> None:
    (folder / "all.yaml").write_text("kind: [\n")
    (folder / "before.sh").unlink()
    lab_file = folder / "lab.yml"
    one, two, three = problems(opened(folder))
    assert one == f"{lab_file}:6: setup.cp.before: no such file: {folder / 'before.sh'}"
    assert two.startswith(f"{folder / 'all.yaml'}:2: malformed YAML: ")
    assert three == f"{lab_file}:4: images[1]: no such file: {folder / 'none.tar'}"


def test_a_script_that_is_not_text_is_refused_with_its_line(folder: Path) -> None:
    (folder / "before.sh").write_text("echo\n\0\n")
    assert f"{folder / 'before.sh'}:2: a control character: \\x00" in problems(opened(folder))


@pytest.mark.parametrize("content", ["manifests: [a.yaml, a.yaml]\n", "setup: {cp: {befor: a.sh}}\n"])
def test_wrong_names_in_the_lab_file_are_refused(folder: Path, content: str) -> None:
    with pytest.raises(BadFile, match=r"lab\.yml:1: "):
        opened(folder, content)


def test_the_work_folder_has_copies_of_what_the_lab_file_names_and_of_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    text = LAB.replace("images:\n  - none.tar\n", "workers: 1\n")
    workfiles.preview(opened(folder, text))
    work = folder / ".halab"
    copies = {path.relative_to(work).as_posix() for path in (work / "lab").rglob("*") if path.is_file()}
    assert copies == {"lab/all.yaml", "lab/before.sh", "lab/up/after.sh.j2"}
    script = (work / "provision/cp1/setup-before.sh").read_text()
    assert "\necho {{ this is not a template }}\n" in script
    assert "\necho w1\n" in (work / "provision/w1/setup-after.sh").read_text()
    workfiles.preview(opened(folder, "name: own\nmanifests: [all.yaml]\n"))
    assert not (work / "provision/cp1/setup-before.sh").exists()
    assert not (work / "lab/before.sh").exists()
    assert (work / "lab/all.yaml").exists()


def test_the_rendered_configuration_goes_with_its_setting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    (folder / "own.cfg").write_text("global\n")
    rendered = folder / ".halab/provision/lb1/haproxy.cfg"
    workfiles.preview(opened(folder, "load_balancer: {config: own.cfg}\n"))
    assert rendered.read_text().startswith("global\n")
    workfiles.preview(opened(folder, ""))
    assert not rendered.exists()
    assert rendered.with_name("load-balancer.sh").exists()


GONE = "name: ha\nload_balancer:\n  config: ./gone.cfg\n"


def test_a_file_that_is_gone_is_named_with_the_line_of_the_lab_file(tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text(GONE)
    with pytest.raises(BadFile) as caught:
        open_file(tmp_path / "lab.yml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.field) == (3, "load_balancer.config")
    assert "no such file" in problem.what


def test_a_lab_whose_file_is_gone_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text(GONE)
    assert open_file(tmp_path / "lab.yml", reads_own_files=False).balancer_file is None
