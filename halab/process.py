"""Commands on this host: argument lists only, a clean environment, always a time limit."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

from halab import packages
from halab.errors import CommandFailed, HostProblem, TimedOut

# Users set these to reach the network or an engine: child processes need them unchanged.
_PASSED = (
    "HOME", "USER", "LOGNAME", "PATH", "TERM", "TMPDIR", "SSH_AUTH_SOCK", "XDG_CACHE_HOME", "XDG_STATE_HOME",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT", "DOCKER_CONFIG", "LIBVIRT_DEFAULT_URI",
    "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GONOPROXY", "GOPATH", "GOMODCACHE", "GOROOT", "GOTOOLCHAIN",
    "GOCACHE", "GOTMPDIR", "GOINSECURE",
    "VAGRANT_HOME",
)  # fmt: skip

# Not every user has these in the PATH, and Debian has programs there that need no root, such as chroot.
_SYSTEM_PROGRAMS = "/usr/sbin:/sbin"

# Time for the rest of a process group after its leader has ended.
_STRAGGLER_SECONDS = 0.5

# Children of `run` that have not ended, of all threads.
_running: set[subprocess.Popen[bytes]] = set()
_stopped: WeakSet[threading.Thread] = WeakSet()
# Held from the check of _stopped to the entry in _running, so that no interrupt comes between them.
_starting = threading.Lock()

# Run a command in this process group, and kill the group when halab has ended (USR1) or when halab ends the command
# (TERM). A command that only starts another one, such as HashiCorp's launcher of Vagrant, leaves nothing behind.
_BOUND = """
trap 'kill -KILL 0' USR1
trap 'sleep 0.5; kill -KILL 0' TERM
# halab may have ended before the kernel knew that it should send USR1
[ "$PPID" = "$1" ] || exit 1
shift
"$@" &
wait "$!"
"""

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


# A build as root uses the user's cache, Go and way to the network.
_PASSED_TO_ROOT = (
    "HALAB_CACHE", "XDG_CACHE_HOME", *PROXIES, "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GONOPROXY",
)  # fmt: skip


@dataclass(frozen=True)
class Completed:
    """`output` is what the command printed to stdout; `errors` to stderr."""

    code: int
    output: str
    errors: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child process of halab."""
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    passed["PATH"] = f"{passed.get('PATH', os.defpath)}:{_SYSTEM_PROGRAMS}"
    return {**passed, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **(extra or {})}


def same_modules() -> dict[str, str]:
    """Lets a Python child import the same halab, which may be a checkout that is not installed."""
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def as_root(command: str, variable: Callable[[str], str | None] = os.environ.get) -> str:
    """The command line that runs a command of halab as root, with the files of the present user.

    `env` sets the variables: Red Hat's sudo sets HOME to /root even with -E, sudo-rs ignores -E, and every sudo has its
    own PATH. sudo itself knows the user, so that root gives them what it adds to their cache.
    """
    names = ["HOME", "PATH", *filter(variable, _PASSED_TO_ROOT)]
    return " ".join(["sudo env", *(f'{name}="${name}"' for name in names), command])


def find(tool: str, *, hint: str) -> str:
    """The path of a tool; HostProblem with this hint where it is not installed."""
    path = shutil.which(tool) or shutil.which(tool, path=_SYSTEM_PROGRAMS)
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
    bound: bool = False,
) -> Completed:
    """Run a command to its end. With `log`, both streams are appended to that file and not returned.

    Its standard input is `input`, or `input_file`, which may be larger than memory.

    The command leads its own process group; the group is ended when the time is over, and when halab is interrupted.
    With `bound`, the group also ends when halab is killed; such a command gets no input.
    Raises CommandFailed (unless `check` is off), TimedOut, HostProblem.
    """
    words = [os.fspath(word) for word in argv]
    data = input.encode() if isinstance(input, str) else input
    source = input_file.open("rb") if input_file else None
    sink = log.open("ab") if log else None
    child = None
    try:
        with _starting, signals_wait():
            if threading.current_thread() in _stopped:
                raise KeyboardInterrupt
            try:
                child = subprocess.Popen(
                    [*_watchdog(), *words] if bound else words,
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
            raise TimedOut(
                f"command did not end within {timeout_seconds:.0f} s: {pasteable(words)}"
            ) from error
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
            f"command exited with code {done.code}: {pasteable(words)}" + (f"\n{tail}" if tail else ""),
            code=done.code,
            output=tail,
            hint=f"all of its output: {log}" if log else None,
        )
    return done


def _watchdog() -> list[str]:
    """The words before a command that must not outlive halab."""
    setpriv = find("setpriv", hint=packages.install("util-linux"))
    return [setpriv, "--pdeathsig", "USR1", "sh", "-c", _BOUND, "sh", str(os.getpid())]


@contextmanager
def background(
    argv: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    with_input: bool = False,
    grace_seconds: float = 0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command while the block lasts, and end it afterwards.

    `with_input` gives it a pipe as standard input, which is closed when the block ends: the command then has
    `grace_seconds` to end by itself.
    """
    child = None
    try:
        with log.open("ab") as sink, signals_wait():
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
    """Run a command with the terminal and the full environment, as a shell does; its exit code."""
    words = [os.fspath(word) for word in argv]
    with subprocess.Popen(words, env={**os.environ, **(env or {})}) as child:
        while True:
            # Ctrl-C is sent to both processes: the command decides what to do
            with suppress(KeyboardInterrupt):
                code = child.wait()
                return code if code >= 0 else 128 - code


@contextmanager
def signals_wait() -> Iterator[None]:
    """Delay signals that would interrupt halab until the block ends.

    An interrupt while a child is being started would leave a process that nobody knows: Popen raises instead of
    returning it.
    """
    delayed: list[int] = []
    handlers = {}
    # Python runs signal handlers in its main thread, and allows changes of handlers only there
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            # signals that are ignored, as under nohup, stay so: the child inherits it
            if callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda which, _frame: delayed.append(which))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for which in delayed:
            signal.raise_signal(which)


@contextmanager
def ended_at_interrupt() -> Iterator[None]:
    """End the commands of all threads when Ctrl-C or a signal ends the block; these threads start no others.

    Python interrupts only its main thread, and then waits for the others: they would continue for minutes.
    """
    try:
        yield
    except KeyboardInterrupt:
        with _starting:
            _stopped.update(set(threading.enumerate()) - {threading.current_thread()})
            for child in list(_running):
                if child.poll() is None:
                    _signal_group(child, signal.SIGTERM)
        raise


def end_group(child: subprocess.Popen[bytes], *, grace_seconds: float = 5) -> None:
    """End a child and its process group: SIGTERM, then SIGKILL for the rest."""
    _signal_group(child, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace_seconds)
    # processes of its group may outlive the child and hold our pipes open
    deadline = time.monotonic() + _STRAGGLER_SECONDS
    while _signal_group(child, None) and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal_group(child, signal.SIGKILL)
    child.wait()
    _close(child)


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals | None) -> bool:
    """Whether the group still exists; None sends no signal."""
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
