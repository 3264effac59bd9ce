"""The work folder: private, with files that are replaced in one step and only if they changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from halab.errors import BadUsage, HostProblem, LabProblem
from halab.files import replace
from halab.machines.work import Work


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_is_beside_the_lab_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Work.beside(Path("lab.yml")).path == tmp_path / ".halab"


def test_only_the_user_may_enter_it_and_it_has_a_key(tmp_path: Path) -> None:
    work = Work(tmp_path / "it's a lab" / ".halab")
    work.make()
    assert {mode(path) for path in (work.path, work.logs, work.runs, work.private_key.parent)} == {0o700}
    assert mode(work.private_key) == 0o600
    assert work.public_key.read_text().startswith("ssh-ed25519 ")


def test_a_folder_that_the_user_made_becomes_private(tmp_path: Path) -> None:
    work = Work(tmp_path / ".halab")
    work.path.mkdir()
    work.path.chmod(0o755)
    work.require_own()
    work.make()
    assert mode(work.path) == 0o700


def test_a_missing_folder_is_accepted(tmp_path: Path) -> None:
    Work(tmp_path / ".halab").require_own()


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / ".halab").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LabProblem, match="the work folder is a symbolic link") as caught:
        Work(tmp_path / ".halab").make()
    assert f"rm {tmp_path}/.halab" in (caught.value.hint or "")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_of_its_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".halab").touch()
    with pytest.raises(LabProblem, match="not a folder"):
        Work(tmp_path / ".halab").require_own()


@pytest.mark.parametrize("bits", [0o777, 0o775, 0o722, 0o720, 0o702, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, bits: int) -> None:
    path = tmp_path / ".halab"
    path.mkdir()
    path.chmod(bits)
    with pytest.raises(
        LabProblem, match=f"other users may write to the work folder.*{bits & 0o777:04o}"
    ) as caught:
        Work(path).require_own()
    assert (caught.value.hint or "").endswith(f"chmod 700 {path}")
    assert mode(path) == bits & 0o777


@pytest.mark.parametrize(
    ("me", "caller", "owner", "fine"),
    [
        (1000, "", 1000, True),
        (1000, "", 0, False),
        (1000, "0", 0, False),
        (1000, "1001", 1001, False),
        (0, "", 0, True),
        (0, "", 1000, False),
        (0, "1000", 1000, True),
        (0, "1000", 0, True),
        (0, "1000", 1001, False),
        (0, "many", 1000, False),
    ],
)
def test_only_the_users_own_folder_is_used_and_under_sudo_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, me: int, caller: str, owner: int, fine: bool
) -> None:
    path = tmp_path / ".halab"
    path.mkdir()
    found = os.stat_result((stat.S_IFDIR | 0o700, 1, 1, 1, owner, owner, 0, 0, 0, 0))
    monkeypatch.setattr(os, "geteuid", lambda: me)
    monkeypatch.setattr(Path, "lstat", lambda self: found)
    monkeypatch.setenv("SUDO_UID", caller)
    monkeypatch.setenv("SUDO_GID", "1000")
    if fine:
        Work(path).require_own()
    else:
        with pytest.raises(LabProblem, match="the work folder belongs to .*, not to you") as caught:
            Work(path).require_own()
        takes_over = 'sudo chown -R "$(id -un)"' in (caught.value.hint or "")
        assert takes_over is (owner == 0)


@pytest.mark.parametrize("name", ["a\nMatch exec id", "a\x1b[1m", "a\x7f"])
def test_a_path_that_cannot_be_quoted_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadUsage, match="control character") as caught:
        Work.beside(tmp_path / name / "lab.yml").require_own()
    assert name not in caught.value.message
    with pytest.raises(BadUsage, match=r"must not contain \$\{"):
        Work.beside(tmp_path / "${HOME}" / "lab.yml").require_own()


def test_keys_are_made_once(tmp_path: Path) -> None:
    work = Work(tmp_path / ".halab")
    work.make()
    before = work.private_key.read_text()
    work.make()
    assert work.private_key.read_text() == before


@pytest.mark.parametrize("lost", ["private_key", "public_key"])
def test_an_incomplete_key_pair_is_made_again(tmp_path: Path, lost: str) -> None:
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


def test_only_changed_files_are_written(tmp_path: Path) -> None:
    work = Work(tmp_path)
    files = {"Vagrantfile": "one", "provision/cp1/node.sh": "two"}
    assert work.write(files) == list(files)
    assert work.write(files) == []
    assert work.write({**files, "Vagrantfile": "three"}) == ["Vagrantfile"]
    assert (mode(tmp_path / "Vagrantfile"), mode(tmp_path / "provision/cp1/node.sh")) == (0o600, 0o700)


def test_a_file_is_replaced_in_one_step_and_leaves_no_temporary_file(tmp_path: Path) -> None:
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
