"""What the shell offers at the Tab key."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from support.fakes import brought_up

from halab.cli import cli
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry, Journal
from halab.machines.work import Work


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def offered(*words: str) -> list[str]:
    """For the last of these words."""
    return [
        each.value
        for each in ShellComplete(cli, {}, "halab", "_X").get_completions(list(words[:-1]), words[-1])
    ]


def bring_up(folder: Path) -> Work:
    (folder / "lab.yml").write_text("name: ha\n")
    return brought_up(folder)


def test_scenarios_are_offered_by_name_and_files_once_a_path_is_begun() -> None:
    assert "kill-etcd-member" in offered("run", "kill")
    assert "stop-apiserver" not in offered("prove", "kill")
    [item] = ShellComplete(cli, {}, "halab", "_X").get_completions(["run"], "./mi")
    assert item.type == "file"


def test_tags_of_the_scenarios_are_offered() -> None:
    assert "etcd" in offered("run", "--tag", "")


def test_faults_and_their_options_are_offered() -> None:
    assert offered("inject", "") == sorted(FAULTS)
    assert offered("faults", "kill") == ["kill-process"]
    assert offered("inject", "kill-process", "--with", "") == ["process=", "signal="]
    assert offered("inject", "--with", "") == []


def test_targets_are_the_machines_of_the_lab_and_roles(folder: Path) -> None:
    assert offered("inject", "freeze", "--on", "cp") == []
    bring_up(folder)
    assert offered("inject", "freeze", "--on", "cp") == ["cp1", "cp2", "cp3"]
    assert "etcd-leader" in offered("inject", "freeze", "--on", "etcd")
    assert offered("ssh", "c") == ["cp1", "cp2", "cp3"]


def test_open_faults_are_offered_to_heal(folder: Path) -> None:
    journal = Journal(bring_up(folder).journal)
    journal.opened(Entry("1", "freeze", "cp1"))
    assert offered("heal", "") == ["freeze"]


def test_a_broken_lab_file_offers_nothing_and_says_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "lab.yml").write_text("control_planes: many\n")
    assert offered("heal", "") == []
    assert capsys.readouterr() == ("", "")
