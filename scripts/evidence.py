"""A folder of evidence: what commands printed, copies of logs, and one archive of it without secrets.

Part of scripts/verify-kvm.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

# An interrupted halab heals what it has injected.
HEALING_SECONDS = 300
# Of a copied file: the end of a long log is what one wants to read.
MOST_BYTES = 4_000_000
REMOVED = "[removed]"

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/\s@\"']+@")
_NAMES = r"client-key-data|client-certificate-data|token|passw(?:or)?d|secret|certificate-?key"
_NAMED = re.compile(rf"(?i)(\b(?:{_NAMES})\b[\"']?\s*[:=]\s*[\"']?)[^\s\"',}}]+")
_OPTION = re.compile(rf"(?i)(--(?:{_NAMES})[ =])\S+")
_HEADER = re.compile(r"(?i)(authorization:\s*\w+\s+)\S+")
_BOOTSTRAP_TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
_WEB_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+")
# What must never be in an archive, also if the patterns above have a mistake.
_SIGNS_OF_A_SECRET = ("PRIVATE KEY-----", "client-key-data: LS0t", '"client-key-data": "LS0t')
# Below this length, a password would also be found in many harmless words.
_SHORTEST_PASSWORD = 3


def passwords_in(environment: Mapping[str, str]) -> list[str]:
    """The passwords in the addresses of an environment, as they are written there and as they are used."""
    passwords = set()
    for value in environment.values():
        if "://" in value:
            with suppress(ValueError):
                password = urlsplit(value).password
                passwords |= {password, unquote(password)} if password else set()
    return sorted((word for word in passwords if len(word) >= _SHORTEST_PASSWORD), key=len, reverse=True)


def without_secrets(text: str, passwords: Sequence[str] = ()) -> str:
    """Remove keys, tokens and passwords from a text."""
    text = _PRIVATE_KEY.sub(f"{REMOVED} private key", text)
    text = _USER_IN_ADDRESS.sub(f"{REMOVED}@", text)
    for pattern in (_NAMED, _OPTION, _HEADER):
        text = pattern.sub(rf"\1{REMOVED}", text)
    for pattern in (_BOOTSTRAP_TOKEN, _WEB_TOKEN):
        text = pattern.sub(REMOVED, text)
    for password in passwords:
        text = text.replace(password, REMOVED)
    return text


@dataclass(frozen=True)
class Answer:
    """What a command printed. `code` is None if it did not run to its end; `problem` says why."""

    code: int | None
    output: str
    errors: str
    seconds: float
    problem: str = ""

    @property
    def succeeded(self) -> bool:
        return self.code == 0

    @property
    def why(self) -> str:
        """Why it did not succeed, in one line: the problem, or the last line that it printed."""
        lines = [line for line in (self.errors.strip() or self.output.strip()).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error: ")]
        return self.problem or (errors or lines[-1:] or [f"exit code {self.code}"])[0].strip()


class Evidence:
    """A folder of text files. Everything that is written there has no secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._passwords = passwords_in(os.environ)
        self._count = 0

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(without_secrets(text, self._passwords))

    def run(
        self, name: str, argv: Sequence[str | Path], *, limit_seconds: float, cwd: Path | None = None
    ) -> Answer:
        """Run a command and keep what it printed. If we are interrupted, the command is too, and may end by itself."""
        words = [str(word) for word in argv]
        begun = time.monotonic()
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            code, problem = None, ""
            try:
                # in a process group of its own: Ctrl-C reaches us, and we pass it on
                child = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=cwd, process_group=0
                )
            except OSError as error:
                problem = f"not found: {words[0]}" if isinstance(error, FileNotFoundError) else str(error)
            else:
                try:
                    code = child.wait(limit_seconds)
                except subprocess.TimeoutExpired:
                    problem = f"no end within {limit_seconds:.0f} s: {shlex.join(words[:3])}"
                except KeyboardInterrupt:
                    problem = "interrupted"
                    raise
                finally:
                    _end(child)
                    answer = Answer(
                        code, _text(output), _text(errors), round(time.monotonic() - begun, 1), problem
                    )
                    self._keep(name, words, answer)
                return answer
        answer = Answer(code, "", "", 0.0, problem)
        self._keep(name, words, answer)
        return answer

    def copy(self, file: Path, name: str) -> None:
        """Copy the end of a text file, if it exists."""
        with suppress(OSError):
            text = file.read_bytes()[-MOST_BYTES:].decode(errors="replace")
            self.write(name, text)

    def pack(self, archive: Path) -> list[str]:
        """Write the archive. Return the names of files that were left out because they look like secrets."""
        left_out = []
        with tarfile.open(archive, "w:gz") as tar:
            for path in sorted(self.folder.rglob("*")):
                if not path.is_file() or path.is_symlink():
                    continue
                name = path.relative_to(self.folder)
                if any(sign in path.read_text(errors="replace") for sign in _SIGNS_OF_A_SECRET):
                    left_out.append(str(name))
                else:
                    tar.add(path, f"{self.folder.name}/{name}", recursive=False)
        return left_out

    def _keep(self, name: str, words: Sequence[str], answer: Answer) -> None:
        self._count += 1
        ended = answer.problem or f"exit code {answer.code}"
        parts = [f"$ {shlex.join(words)}", answer.output.rstrip("\n")]
        if answer.errors.strip():
            parts += ["--- standard error", answer.errors.rstrip("\n")]
        parts.append(f"--- {ended}, after {answer.seconds} s")
        self.write(f"{self._count:03}-{name}.txt", "\n".join(parts) + "\n")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Interrupt a command that still runs, wait while it heals, then kill it."""
    if child.poll() is not None:
        return
    try:
        # halab acts on one signal to itself; its own children are its business
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(HEALING_SECONDS)
    finally:
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
