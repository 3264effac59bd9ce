"""Commands on this host: argument lists only, a clean environment, always a time limit."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

from halab.errors import CommandFailed, HostProblem, TimedOut

# Set by people to reach the network or an engine: children need them as they are.
_PASSED = (
    "HOME", "USER", "LOGNAME", "PATH", "TERM", "TMPDIR", "SSH_AUTH_SOCK", "XDG_CACHE_HOME", "XDG_STATE_HOME",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT", "DOCKER_CONFIG", "LIBVIRT_DEFAULT_URI",
    "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GONOPROXY", "GOPATH", "GOMODCACHE", "GOROOT", "GOTOOLCHAIN",
    "GOCACHE", "GOTMPDIR", "GOINSECURE",
    "VAGRANT_HOME",
)  # fmt: skip

# How long the rest of a group has after its leader has ended.
_STRAGGLER_SECONDS = 0.5

# Children of `run` that have not ended, whichever thread waits for them.
_running: set[subprocess.Popen[bytes]] = set()
_stopped: WeakSet[threading.Thread] = WeakSet()
# Between the look at _stopped and the entry in _running, nobody may interrupt.
_starting = threading.Lock()

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Completed:
    """`output` is what the command printed to stdout; `errors` to stderr."""

    code: int
    output: str
    errors: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child of halab finds in its environment."""
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **(extra or {})}


def find(tool: str, *, hint: str) -> str:
    """The path of a tool; HostProblem with the hint where there is none."""
    # /usr/sbin is not in the PATH of every user, and Debian puts tools there that need no root
    path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
    if path is None:
        raise HostProblem(f"not found: {tool}", hint=hint)
    return path


def run(
    argv: Sequence[str | Path],
    *,
    timeout_seconds: float,
    input: str | bytes | None = None,
    input_file: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    check: bool = True,
) -> Completed:
    """Run a command to its end. With `log`, both streams are appended to that file and not returned.

    Its standard input is `input`, or `input_file`, which may be larger than memory.

    The command leads a process group of its own; the whole group ends when the time is over, and when
    halab is interrupted. Raises CommandFailed (unless `check` is off), TimedOut, HostProblem.
    """
    words = [os.fspath(word) for word in argv]
    data = input.encode() if isinstance(input, str) else input
    source = input_file.open("rb") if input_file else None
    sink = log.open("ab") if log else None
    child = None
    try:
        with _starting, _signals_wait():
            if threading.current_thread() in _stopped:
                raise KeyboardInterrupt
            try:
                child = subprocess.Popen(
                    words,
                    stdin=source or (subprocess.PIPE if data is not None else subprocess.DEVNULL),
                    stdout=sink or subprocess.PIPE,
                    stderr=subprocess.STDOUT if sink else subprocess.PIPE,
                    cwd=cwd,
                    env=environment(env),
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise HostProblem(f"not found: {words[0]}", hint="run `halab doctor`") from error
            _running.add(child)
        output, errors = child.communicate(data, timeout=timeout_seconds)
    except BaseException as error:
        if child:
            end_group(child)
        if isinstance(error, subprocess.TimeoutExpired):
            raise TimedOut(f"gave up after {timeout_seconds:.0f} s: {pasteable(words)}") from error
        raise
    finally:
        if child:
            _running.discard(child)
        for stream in (source, sink):
            if stream:
                stream.close()
    done = Completed(child.returncode, _text(output), _text(errors))
    if check and done.code != 0:
        tail = _tail(log.read_text(errors="replace") if log else done.errors or done.output)
        raise CommandFailed(
            f"command ended with {done.code}: {pasteable(words)}" + (f"\n{tail}" if tail else ""),
            code=done.code,
            output=tail,
            hint=f"its whole output: {log}" if log else None,
        )
    return done


@contextmanager
def background(
    argv: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    with_input: bool = False,
    grace_seconds: float = 0,
) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs while the block lasts, and no longer.

    `with_input` gives it a pipe as standard input, which is closed when the block ends: it then has the grace
    to end by itself.
    """
    child = None
    try:
        with log.open("ab") as sink, _signals_wait():
            child = subprocess.Popen(
                [os.fspath(word) for word in argv],
                stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
                stdout=sink, stderr=sink, env=environment(env), start_new_session=True,
            )  # fmt: skip
        yield child
        _close(child)
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace_seconds)
    finally:
        if child:
            end_group(child)


def attached(argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> int:
    """Run a command that has the terminal and the whole environment, as from a shell; its exit code."""
    words = [os.fspath(word) for word in argv]
    with subprocess.Popen(words, env={**os.environ, **(env or {})}) as child:
        while True:
            # Ctrl-C is sent to both of us: what it means is the command's own matter
            with suppress(KeyboardInterrupt):
                code = child.wait()
                return code if code >= 0 else 128 - code


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Signals that would interrupt halab do so when the block is over.

    One that comes while a child is being started would leave it to nobody: its start has raised instead of returned.
    """
    came: list[int] = []
    handlers = {}
    # Python runs handlers in its main thread alone, and only there may they be changed
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # what is ignored, as under nohup, is so in the child, too
            if callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda which, _frame: came.append(which))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for which in came:
            signal.raise_signal(which)


@contextmanager
def ended_at_interrupt() -> Iterator[None]:
    """Commands that threads run are ended when Ctrl-C or a signal leaves the block, and these threads run no other.

    Python interrupts its main thread alone, and then waits for the others: they would go on for minutes.
    """
    try:
        yield
    except KeyboardInterrupt:
        with _starting:
            _stopped.update(each for each in threading.enumerate() if each is not threading.current_thread())
            for child in list(_running):
                if child.poll() is None:
                    _signal_group(child, signal.SIGTERM)
        raise


def end_group(child: subprocess.Popen[bytes], *, grace_seconds: float = 5) -> None:
    """End a child and all that it started: SIGTERM, then SIGKILL for what is left."""
    _signal_group(child, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace_seconds)
    # a child that has ended may have left others of its group behind, with our pipes open
    deadline = time.monotonic() + _STRAGGLER_SECONDS
    while _signal_group(child, None) and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal_group(child, signal.SIGKILL)
    child.wait()
    _close(child)


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals | None) -> bool:
    """Whether there was anybody to signal; None only asks."""
    try:
        os.killpg(child.pid, number or 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _close(child: subprocess.Popen[bytes]) -> None:
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream:
            with suppress(OSError):
                stream.close()


def pasteable(argv: Sequence[str], *, limit: int = 400) -> str:
    line = shlex.join(argv)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _text(data: bytes | None) -> str:
    return data.decode(errors="replace") if data else ""


def _tail(text: str, lines: int = 15) -> str:
    return "\n".join(text.rstrip().splitlines()[-lines:])
