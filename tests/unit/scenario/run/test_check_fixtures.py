"""Checks on machines: a failure is reported in one plain line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from halab.errors import Unreachable
from halab.lifecycle.lab import open_file
from halab.machines.work import Work
from halab.scenario.record import check_results
from halab.scenario.record.folder import RunFolder
from halab.scenario.run import checks
from halab.scenario.run.check_fixtures import MachineHost, lab_dir_of

LONG = "for each in a b c; do\n" + "  echo a long command of many lines;\n" * 10 + "done"


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ssh whose answer is written by each test: what it prints, and how it ends."""
    path = tmp_path / "bin" / "ssh"
    path.parent.mkdir()
    path.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    MachineHost._host_cache.clear()
    return path


def answer(ssh: Path, script: str) -> MachineHost:
    ssh.write_text(f"#!/bin/sh\n{script}\n")
    host: MachineHost = MachineHost.get_host("ssh://cp2", ssh_config="/dev/null", sudo=True)
    return host


GONE = "echo 'Warning: added' >&2; echo 'connect to host cp2: No route to host' >&2; exit 255"


def test_a_machine_that_is_gone_does_not_answer(ssh: Path) -> None:
    host = answer(ssh, GONE)
    with pytest.raises(Unreachable) as caught:
        host.run(LONG)
    assert str(caught.value) == ("cp2 does not answer over SSH: connect to host cp2: No route to host")


@pytest.mark.parametrize(
    "ask", [lambda host: host.check_output(LONG), lambda host: host.run_expect([0], LONG)]
)
def test_a_failed_command_is_quoted_with_its_output(ask: Callable[[MachineHost], object], ssh: Path) -> None:
    host = answer(ssh, "echo 'no such unit' >&2; exit 4")
    with pytest.raises(AssertionError) as caught:
        ask(host)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("on cp2, a command exited with code 4: for each in a b c; do")
    assert line.endswith("characters): no such unit")
    assert len(line) < 200


def test_the_output_of_a_command_is_returned(ssh: Path) -> None:
    host = answer(ssh, "echo one; echo two")
    assert host.check_output("x") == "one\ntwo"
    assert host.run_test("x").rc == 0


def test_a_failed_check_has_a_reason_of_one_line(ssh: Path, tmp_path: Path) -> None:
    answer(ssh, GONE)
    folder = RunFolder(tmp_path / "run")
    folder.make()
    folder.check_files.mkdir()
    (folder.check_files / "test_gone.py").write_text(
        "import pytest\n"
        "from halab.scenario.run.check_fixtures import MachineHost\n\n"
        "@pytest.fixture\ndef cp2():\n    return MachineHost.get_host('ssh://cp2', ssh_config='/dev/null')\n\n"
        f"@pytest.fixture\ndef answers(cp2):\n    return cp2.check_output({LONG!r})\n\n"
        f"def test_in_a_check(cp2):\n    cp2.check_output({LONG!r})\n\n"
        "def test_in_a_fixture(answers):\n    pass\n\n"
        "def test_of_a_service(cp2):\n    assert cp2.service('kubelet').is_running\n\n"
        "def test_that_says_why():\n    assert 1 == 2, 'one is not two'\n\n"
        "def test_that_says_much():\n    assert False, 'x' * 100_000\n"
    )
    outcome = checks.run(Work(tmp_path), ["test_gone.py"], folder=folder, patience=1.0)
    assert outcome.error is None
    said = {each.name: each.text for each in check_results.read(folder.checks) or ()}
    gone = "cp2 does not answer over SSH: connect to host cp2: No route to host"
    assert said["test_in_a_check"] == gone
    assert said["test_in_a_fixture"].removeprefix('failed on setup with "').startswith(gone)
    assert said["test_of_a_service"] == gone
    assert said["test_that_says_why"] == "one is not two"
    assert said["test_that_says_much"].endswith(" characters)")
    assert all("CommandResult" not in text for text in said.values())


def test_a_check_that_hangs_is_ended_after_its_limit(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.make()
    folder.check_files.mkdir()
    (folder.check_files / "test_hangs.py").write_text(
        "import signal\n\ndef test_it():\n    signal.pause()\n"
    )
    outcome = checks.run(Work(tmp_path), ["test_hangs.py"], folder=folder, patience=2.0, limit_seconds=0.5)
    assert outcome.error == "the checks did not end within 1 s (see logs/checks.log)"


def test_checks_know_the_name_of_a_lab_that_halab_has_named(tmp_path: Path) -> None:
    """`name: auto` depends on the folder of the lab file, and the copy in the run's folder is in another one."""
    (tmp_path / "lab.yml").write_text("name: auto\n")
    original = open_file(tmp_path / "lab.yml")
    folder = RunFolder(original.work.runs / "20261129-101500-stop-apiserver")
    folder.make()
    folder.lab.write_text("name: auto\n")
    assert lab_dir_of(folder, original.work).name == original.name
    assert lab_dir_of(folder, original.work).work == original.work
