"""The work folder: private, written whole, and only where something changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.errors import HostProblem
from halab.machines.work import Work, replace


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_lies_beside_the_lab_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Work.beside(Path("lab.yml")).path == tmp_path / ".halab"


def test_it_is_for_its_user_alone_and_has_a_key(tmp_path: Path) -> None:
    work = Work(tmp_path / "it's a lab" / ".halab")
    work.make()
    assert {mode(path) for path in (work.path, work.logs, work.runs, work.private_key.parent)} == {0o700}
    assert mode(work.private_key) == 0o600
    assert work.public_key.read_text().startswith("ssh-ed25519 ")


def test_keys_are_made_once(tmp_path: Path) -> None:
    work = Work(tmp_path / ".halab")
    work.make()
    before = work.private_key.read_text()
    work.make()
    assert work.private_key.read_text() == before


@pytest.mark.parametrize("lost", ["private_key", "public_key"])
def test_half_a_key_pair_is_made_anew(tmp_path: Path, lost: str) -> None:
    work = Work(tmp_path / ".halab")
    work.make()
    before = work.public_key.read_text()
    getattr(work, lost).unlink()
    work.make()
    assert work.private_key.exists()
    assert work.public_key.read_text() != before


def test_two_labs_have_different_keys(tmp_path: Path) -> None:
    one, other = Work(tmp_path / "one"), Work(tmp_path / "other")
    one.make()
    other.make()
    assert one.public_key.read_text() != other.public_key.read_text()


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    work = Work(tmp_path)
    files = {"Vagrantfile": "one", "provision/cp1/node.sh": "two"}
    assert work.write(files) == list(files)
    assert work.write(files) == []
    assert work.write({**files, "Vagrantfile": "three"}) == ["Vagrantfile"]
    assert (mode(tmp_path / "Vagrantfile"), mode(tmp_path / "provision/cp1/node.sh")) == (0o600, 0o700)


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    replace(path, "one")
    replace(path, "two")
    assert path.read_text() == "two"
    assert mode(path) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["kubeconfig"]


def test_a_file_that_cannot_be_replaced_is_named(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").mkdir()
    with pytest.raises(HostProblem, match=f"cannot write {tmp_path}/kubeconfig"):
        replace(tmp_path / "kubeconfig", "text")
    assert [each.name for each in tmp_path.iterdir()] == ["kubeconfig"]
