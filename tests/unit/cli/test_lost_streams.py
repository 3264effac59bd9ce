"""Streams whose other end is lost: work continues, the exit code is right, and only output is missing."""

from __future__ import annotations

import gzip
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from halab.cli import streams

ROOT = Path(__file__).parents[3]
RUN = ROOT / "tests/support/runs" / "stop-apiserver-nginx"
# The shell command for each state of the streams.
WAYS = {
    "stdin is closed": "{command} <&-",
    "stdout is closed": "{command} >&-",
    "stdout is full": "{command} >/dev/full",
    "stdout has no reader": "{command} | true",
    "stderr is closed": "{command} 2>&-",
    "stderr is full": "{command} 2>/dev/full",
    "stderr has no reader": "{{ {command} 2>&1 >&3 | true; }} 3>&1",
    "all are closed": "{command} <&- >&- 2>&-",
    "all are full": "{command} >/dev/full 2>/dev/full",
    "the locale is C": "LC_ALL=C PYTHONUTF8=0 {command}",
}
IS_LOST = ("stdout is closed", "stdout is full", "all are closed", "all are full")
FEW_WAYS = ("stdout has no reader", "all are full", "the locale is C")
# Command → its exit code if no output is lost.
COMMANDS = {
    "--version": 0,
    "completion bash": 0,
    "schema lab": 0,
    "faults kill-process --json": 0,
    "report run": 0,
    "report broken --json": 1,
    "report garbled": 3,
    "render -f bad.yml": 2,
    "status": 2,
    "frobnicate": 2,
}
# Fast commands, one for each kind of output. The others are tried in few ways only.
IN_ALL_WAYS = ("--version", "frobnicate", "report run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run that passes, one that fails, and invalid files."""
    folder = tmp_path_factory.mktemp("lost")
    for name in ("run", "broken", "garbled"):
        shutil.copytree(RUN, folder / name)
        packed = folder / name / "samples.jsonl.gz"
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    scenario = folder / "broken" / "scenario.yml"
    scenario.write_text(scenario.read_text().replace("steady: within 90s", "steady: within 1s"))
    (folder / "garbled" / "timeline.jsonl").write_text("[]\n")
    (folder / "bad.yml").write_text('name: "é\\ud83d"\n')
    return folder


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(folder / "state"),
        # no process listens on port 1 of the loopback
        "DOCKER_HOST": "tcp://127.0.0.1:1",
    }


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], cwd=folder, env=environment(folder), timeout=120,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS)
def test_the_exit_code_does_not_depend_on_a_reader(words: str, folder: Path) -> None:
    command = f"{sys.executable} -m halab {words}"
    whole = shell(command, folder)
    assert whole.returncode == COMMANDS[words], whole.stderr
    for way in WAYS if words in IN_ALL_WAYS else FEW_WAYS:
        done = shell(WAYS[way].format(command=command), folder)
        lost = way in IS_LOST and whole.stdout
        assert done.returncode == (3 if lost else whole.returncode), (way, done.stderr)
        for sign in ("Traceback", "internal error", "Exception ignored"):
            assert sign not in done.stderr, way
        if lost and "all" not in way:
            why = "it is closed" if "closed" in way else "no space left on device"
            assert done.stderr.endswith(f"error: cannot write to standard output: {why}\n"), way
        elif not way.startswith(("stderr", "all")):
            assert done.stderr == whole.stderr, way
        if not way.startswith(("stdout", "all")):
            assert done.stdout == whole.stdout, way


WORK = """
import time
import click
from halab import cli
from halab.cli.console import progress

@click.command()
def work():
    "Steps like those of a run, and a last action that must happen."
    shown = progress()
    for number in range(20):
        with shown.step(f"step {number}") as step:
            step.note("seen")
            click.echo("data " * 100)
            time.sleep(0.05)
    open("healed", "w").close()
    return 1

cli._Commands.get_command = lambda *_: work
cli.main()
"""


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_work_continues_after_its_terminal_hangs_up(
    term: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", WORK, "up"], cwd=tmp_path, env=environment(tmp_path), stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    assert os.read(ours, 1)
    os.close(ours)
    assert child.wait(60) == 1
    assert (tmp_path / "healed").exists()


def test_messages_wait_only_briefly_for_a_reader_that_does_not_read() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    output = streams._Output(writer, stall_seconds=0.2)
    begun = time.monotonic()
    for _ in range(100):
        assert output.write(b"a message\n") == 10
    assert 0.2 <= time.monotonic() - begun < 5
    os.read(reader, 65536)
    output.write(b"and one that is read")
    assert os.read(reader, 65536).endswith(b"and one that is read")
    assert output.error is None
    os.close(reader)
    os.close(writer)


def test_data_waits_for_a_slow_reader() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    slow = subprocess.Popen(["sh", "-c", "sleep 0.5; wc -c"], stdin=reader, stdout=subprocess.PIPE)
    os.close(reader)
    assert streams._Output(writer).write(b"x" * 300_000) == 300_000
    os.close(writer)
    assert slow.communicate(timeout=60)[0].strip() == b"300000"


@pytest.mark.parametrize(
    ("text", "written"), [("\udcff.yml", b"\xff.yml"), ("\ud83d", b"\\ud83d"), ("ü✓", "ü✓".encode())]
)
def test_every_text_can_be_written(text: str, written: bytes, tmp_path: Path) -> None:
    path = tmp_path / "out"
    script = f"from halab.cli import streams; streams.protect(); print({ascii(text)}, end='')"
    with path.open("wb") as sink:
        argv = [sys.executable, "-X", "utf8", "-c", script]
        subprocess.run(argv, stdout=sink, env=environment(tmp_path), check=True, timeout=60)
    assert path.read_bytes() == written


HEAL = """
import time
import click
from halab import cli

@click.command()
def work():
    "A heal that takes longer than the signals of one event."
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.5)
        open("healed", "w").close()

cli._Commands.get_command = lambda *_: work
cli.main()
"""


@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGHUP, signal.SIGHUP, signal.SIGTERM],
        [signal.SIGINT, signal.SIGINT],
        [signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    ],
    ids=lambda numbers: "+".join(number.name for number in numbers),
)
def test_later_signals_do_not_interrupt_a_heal(numbers: Sequence[signal.Signals], tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HEAL, "up"], cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        for number in numbers:
            child.send_signal(number)
            time.sleep(0.05)
        assert child.wait(60) == 130
    assert (tmp_path / "healed").exists()


def test_an_ignored_sighup_stays_ignored(tmp_path: Path) -> None:
    script = (
        "import os, signal; from halab import cli; cli._take_signals(); os.kill(os.getpid(), signal.SIGHUP)"
    )
    argv = ["nohup", sys.executable, "-c", script]
    done = subprocess.run(argv, env=environment(tmp_path), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0
