"""Shell completion."""

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


def completions(*words: str) -> list[str]:
    """The completions of the last word."""
    return [
        completion.value
        for completion in ShellComplete(cli, {}, "halab", "_X").get_completions(list(words[:-1]), words[-1])
    ]


def bring_up(folder: Path) -> Work:
    (folder / "lab.yml").write_text("name: ha\n")
    return brought_up(folder)


def test_scenarios_complete_by_name_and_paths_as_files() -> None:
    assert "kill-etcd-member" in completions("run", "kill")
    assert "stop-apiserver" not in completions("prove", "kill")
    [item] = ShellComplete(cli, {}, "halab", "_X").get_completions(["run"], "./mi")
    assert item.type == "file"


def test_tags_complete() -> None:
    assert "etcd" in completions("run", "--tag", "")


def test_faults_and_their_options_complete() -> None:
    assert completions("inject", "") == sorted(FAULTS)
    assert completions("faults", "kill") == ["kill-process"]
    assert completions("inject", "kill-process", "--with", "") == ["process=", "signal="]
    assert completions("inject", "--with", "") == []


def test_targets_complete_with_machines_and_roles(folder: Path) -> None:
    assert completions("inject", "freeze", "--on", "cp") == []
    bring_up(folder)
    assert completions("inject", "freeze", "--on", "cp") == ["cp1", "cp2", "cp3"]
    assert "etcd-leader" in completions("inject", "freeze", "--on", "etcd")
    assert completions("ssh", "c") == ["cp1", "cp2", "cp3"]


def test_heal_completes_open_faults(folder: Path) -> None:
    journal = Journal(bring_up(folder).journal)
    journal.opened(Entry("1", "freeze", "cp1"))
    assert completions("heal", "") == ["freeze"]


def test_a_broken_lab_file_completes_nothing_silently(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "lab.yml").write_text("control_planes: many\n")
    assert completions("heal", "") == []
    assert capsys.readouterr() == ("", "")
