"""Commands on this host: real, short commands, with time limits far above what they need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from halab import process
from halab.errors import CommandFailed, HostProblem, TimedOut

LIMIT = 30.0


def sh(script: str) -> list[str]:
    return ["bash", "-c", script]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def seen_within(path: Path, seconds: float = LIMIT) -> str:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.005)
    return path.read_text().strip()


def gone_within(pid: int, seconds: float = LIMIT) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.005)
    return not is_running(pid)


def test_output_errors_and_exit_code_are_returned() -> None:
    done = process.run(sh("echo out; echo err >&2; exit 3"), timeout_seconds=LIMIT, check=False)
    assert (done.code, done.output, done.errors) == (3, "out\n", "err\n")


def test_no_shell_reads_the_arguments() -> None:
    words = ["$(id)", "a b", "it's", "*"]
    assert process.run(["printf", "%s|", *words], timeout_seconds=LIMIT).output == "$(id)|a b|it's|*|"


def test_standard_input_is_the_given_text_or_empty() -> None:
    assert process.run(["cat"], timeout_seconds=LIMIT, input="text").output == "text"
    assert process.run(["cat"], timeout_seconds=LIMIT, input=b"bytes").output == "bytes"
    assert process.run(["cat"], timeout_seconds=LIMIT).output == ""


def test_output_that_is_not_text_is_shown_with_replacements() -> None:
    assert process.run(["printf", r"\377"], timeout_seconds=LIMIT).output == "�"


def test_a_failure_shows_command_exit_code_and_the_end_of_the_output() -> None:
    with pytest.raises(CommandFailed) as caught:
        process.run(sh("seq 40 >&2; exit 7"), timeout_seconds=LIMIT)
    assert caught.value.code == 7
    assert caught.value.message.startswith("command exited with code 7: bash -c 'seq 40 >&2; exit 7'\n26\n")
    assert caught.value.message.endswith("\n40")


def test_a_log_gets_both_streams_and_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for number in (1, 2):
        done = process.run(sh(f"echo out {number}; echo err >&2"), timeout_seconds=LIMIT, log=log)
        assert (done.output, done.errors) == ("", "")
    assert log.read_text() == "out 1\nerr\nout 2\nerr\n"
    with pytest.raises(CommandFailed) as caught:
        process.run(sh("echo why; exit 1"), timeout_seconds=LIMIT, log=log)
    assert caught.value.output.endswith("why")
    assert caught.value.hint == f"all of its output: {log}"


def test_a_missing_tool_is_reported_with_a_fix() -> None:
    with pytest.raises(HostProblem, match="not found: no-such-tool"):
        process.run(["no-such-tool"], timeout_seconds=LIMIT)
    with pytest.raises(HostProblem) as caught:
        process.find("no-such-tool", hint="install it")
    assert caught.value.hint == "install it"


def test_the_environment_of_a_child_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD_NOT", "x")
    monkeypatch.setenv("LANG", "xx_XX")
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    found = process.environment({"MORE": "1"})
    assert "LD_PRELOAD_NOT" not in found
    assert (found["LANG"], found["https_proxy"], found["MORE"]) == ("C.UTF-8", "http://proxy:1", "1")


def test_system_programs_are_found_without_them_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user of Debian has no /usr/sbin in the PATH, and `sudo env PATH="$PATH"` gives this PATH to root."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert process.run(["chroot", "--version"], timeout_seconds=LIMIT).code == 0
    inside = process.run(["sh", "-c", "command -v useradd"], timeout_seconds=LIMIT)
    assert inside.output == "/usr/sbin/useradd\n"


def test_the_process_group_is_ended_at_the_time_limit(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 1000 & echo $! >{pids}; wait"
    with pytest.raises(TimedOut, match="command did not end within 0 s: bash -c"):
        process.run(sh(script), timeout_seconds=0.3)
    assert gone_within(int(seen_within(pids)))


def test_a_grandchild_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    # the leader ends at SIGTERM, and leaves a process that does not, with our pipe open
    script = f"bash -c 'trap \"\" TERM; echo $$ >{pids}; while :; do sleep 0.1; done' & wait"
    child = subprocess.Popen(sh(script), stdout=subprocess.PIPE, start_new_session=True)
    pid = int(seen_within(pids))
    process.end_group(child, grace_seconds=0.2)
    assert gone_within(pid)


def test_ctrl_c_ends_the_process_group_and_is_raised(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def interrupt() -> None:
        seen_within(pids)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        process.run(sh(f"sleep 1000 & echo $! >{pids}; wait"), timeout_seconds=LIMIT)
    thread.join()
    assert gone_within(int(pids.read_text()))


def test_ctrl_c_ends_commands_that_threads_run(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ThreadPoolExecutor() as pool, process.ended_at_interrupt():
        future = pool.submit(process.run, sh(f"echo $$ >{pids}; exec sleep 1000"), timeout_seconds=LIMIT)
        seen_within(pids)
        raise KeyboardInterrupt
    assert time.monotonic() - begun < LIMIT
    assert isinstance(future.exception(), CommandFailed)
    assert gone_within(int(pids.read_text()))


def test_a_background_command_ends_with_its_block(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with process.background(sh("echo $$; exec sleep 1000"), log=log) as child:
        assert int(seen_within(log)) == child.pid
        assert is_running(child.pid)
    assert child.returncode == -signal.SIGTERM
    assert gone_within(child.pid)


def test_a_background_command_may_end_by_itself_when_its_input_is_closed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    reader = [sys.executable, "-c", "import sys; print(sys.stdin.read()); print('done')"]
    with process.background(reader, log=log, with_input=True, grace_seconds=LIMIT, env={"A": "1"}) as child:
        assert child.stdin is not None
        child.stdin.write(b"order")
    assert child.returncode == 0
    assert log.read_text() == "order\ndone\n"


def test_a_long_command_is_shown_short_and_pasteable() -> None:
    assert process.pasteable(["a b", "$x"]) == "'a b' '$x'"
    assert len(process.pasteable(["x" * 1000])) == 400


def test_a_thread_starts_no_command_after_an_interrupt() -> None:
    started, go_on = threading.Event(), threading.Event()
    outcome: list[BaseException] = []

    def between_two_commands() -> None:
        started.set()
        go_on.wait(10)
        try:
            process.run(["true"], timeout_seconds=10)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=between_two_commands)
    thread.start()
    with pytest.raises(KeyboardInterrupt), process.ended_at_interrupt():
        started.wait(10)
        raise KeyboardInterrupt
    go_on.set()
    thread.join(10)
    assert [type(error) for error in outcome] == [KeyboardInterrupt]
    # and the main thread continues: it heals
    assert process.run(["true"], timeout_seconds=10).code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM])
@pytest.mark.parametrize("way", ["run", "background"])
def test_a_signal_during_the_start_of_a_child_ends_the_child(
    way: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(number)

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    before = signal.signal(number, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            if way == "run":
                process.run(["sleep", "1000"], timeout_seconds=60)
            else:
                with process.background(["sleep", "1000"], log=tmp_path / "log"):
                    pytest.fail("it went on")
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, before)
    (child,) = started
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)


def test_a_child_inherits_ignored_signals() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        done = process.run(["sh", "-c", "kill -HUP $$; echo alive"], timeout_seconds=60)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert done.output == "alive\n"
