"""Commands on machines: a script instead of ssh runs them here, with real quoting and exit codes."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from support.fakes import FakeClock, FakeGuests

from halab.errors import CommandFailed, TimedOut, Unreachable
from halab.machines.guests import SshGuests, clock_offset, correct_clock, on_all, once_it_answers
from halab.process import Completed

SSH = """#!/bin/bash
printf '%s\\n' "$@" >>{record}
[ "$3" != dead ] || {{ echo 'ssh: connect to host dead port 22: No route to host' >&2; exit 255; }}
exec bash -c "${{*:5}}"
"""
SUDO = '#!/bin/bash\nexec "$@"\n'


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record"


@pytest.fixture
def guests(tmp_path: Path, record: Path, monkeypatch: pytest.MonkeyPatch) -> SshGuests:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("ssh", SSH.format(record=record)), ("sudo", SUDO)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return SshGuests(Path("/labs/it's/ssh_config"))


def test_a_command_is_run_by_a_shell_on_the_machine(guests: SshGuests, record: Path) -> None:
    done = guests.run("cp1", "printf '%s' \"it's $((6*7))\" | cat; exit 0")
    assert done.output == "it's 42"
    assert record.read_text().splitlines()[:4] == ["-F", "/labs/it's/ssh_config", "cp1", "--"]


def test_input_reaches_the_command(guests: SshGuests) -> None:
    assert guests.run("cp1", "bash -s", input="echo from input").output == "from input\n"


def test_a_failure_names_machine_command_code_and_output(guests: SshGuests) -> None:
    with pytest.raises(CommandFailed) as caught:
        guests.run("cp2", "echo why >&2; exit 4")
    assert caught.value.message == "on cp2, a command exited with code 4: echo why >&2; exit 4\nwhy"
    assert caught.value.code == 4


def test_a_failure_may_be_returned(guests: SshGuests) -> None:
    assert guests.run("cp2", "exit 4", check=False).code == 4


def test_a_machine_that_does_not_answer_is_unreachable(guests: SshGuests, tmp_path: Path) -> None:
    for log in (None, tmp_path / "log"):
        with pytest.raises(
            Unreachable, match="^dead does not answer over SSH: ssh: connect .* No route to host$"
        ):
            guests.run("dead", "true", log=log, check=False)


def test_the_machine_itself_ends_a_command_at_its_time_limit(guests: SshGuests) -> None:
    with pytest.raises(TimedOut, match="on cp1, a command did not end within 1 s: sleep 1000"):
        guests.run("cp1", "sleep 1000", timeout_seconds=1)


def test_a_log_gets_what_is_printed(guests: SshGuests, tmp_path: Path) -> None:
    log = tmp_path / "cp1.log"
    assert guests.run("cp1", "echo out; echo err >&2", log=log).output == ""
    assert log.read_text() == "out\nerr\n"
    with pytest.raises(CommandFailed) as caught:
        guests.run("cp1", "echo why; exit 1", log=log)
    assert caught.value.output.endswith("why")
    assert caught.value.hint == f"all of its output: {log}"


def test_input_is_not_shown_in_an_error(guests: SshGuests) -> None:
    with pytest.raises(CommandFailed) as caught:
        guests.run("cp1", "cat >/dev/null; exit 1", input="secret")
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"


def test_a_users_session_is_plain_ssh(guests: SshGuests) -> None:
    assert guests.shell_argv("cp1")[1:] == ["-F", "/labs/it's/ssh_config", "cp1"]
    assert guests.shell_argv("cp1", ["ls", "-l"])[3:] == ["cp1", "--", "ls", "-l"]


def test_all_machines_answer_by_name() -> None:
    assert on_all(["cp1", "cp2"], str.upper) == {"cp1": "CP1", "cp2": "CP2"}
    assert on_all([], str.upper) == {}


def test_the_first_failure_is_raised_after_all_have_ended() -> None:
    ended = []

    def call(machine: str) -> None:
        if machine == "cp1":
            raise Unreachable("cp1 is gone")
        ended.append(machine)

    with pytest.raises(Unreachable, match="cp1 is gone"):
        on_all(["cp1", "cp2", "cp3"], call)
    assert sorted(ended) == ["cp2", "cp3"]


def test_a_booting_machine_is_waited_for() -> None:
    refused = Unreachable("cp1 does not answer over SSH: no route")
    guests = FakeGuests({"hello": [refused, refused, ""]})
    once_it_answers("cp1", lambda: guests.run("cp1", "hello"), FakeClock(), 1)
    assert guests.commands("cp1") == ["hello"] * 3


def test_the_wait_for_a_silent_machine_ends() -> None:
    guests = FakeGuests({"": Unreachable("cp1 does not answer over SSH: no route")})
    with pytest.raises(TimedOut, match="no route"):
        once_it_answers("cp1", lambda: guests.run("cp1", "hello"), FakeClock(), 1)


class SlowLogin:
    """A machine whose clock is behind, and which reads it long after the question and long before the session ends."""

    def __init__(self, behind_seconds: float) -> None:
        self.behind_seconds = behind_seconds
        self.moved: list[float] = []

    def run(self, machine: str, command: str, *, log: Path | None = None, **_: object) -> Completed:
        if moved := re.search(r"date -s 'now ([+-][0-9.]+) seconds'", command):
            self.moved.append(float(moved[1]))
            return Completed(0, "", "")
        assert log is not None
        answered = time.time() + 5
        log.write_text(f"{answered - self.behind_seconds:.9f}\n")
        os.utime(log, (answered, answered))
        return Completed(0, "", "")


@pytest.mark.parametrize("behind_seconds", [90.25, -3600.0])
def test_a_slow_login_does_not_make_the_clock_wrong(behind_seconds: float) -> None:
    machine = SlowLogin(behind_seconds)
    least, most = clock_offset(machine, "cp1")
    assert least == pytest.approx(-behind_seconds, abs=0.01)
    assert most - least == pytest.approx(5, abs=1)
    correct_clock(machine, "cp1")
    assert machine.moved == [pytest.approx(behind_seconds, abs=0.01)]


def test_a_machine_that_does_not_tell_its_time_is_named() -> None:
    with pytest.raises(CommandFailed, match="cp1 does not tell its time: bash: line 1: date: not found"):
        correct_clock(FakeGuests({"date": "bash: line 1: date: not found\n"}), "cp1")
