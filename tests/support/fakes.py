"""Fakes for what unit tests must not use: machines, time and the API. And labs for them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from halab.config.lab import LabFile, ProviderKind
from halab.errors import CommandFailed, HalabError, Unreachable
from halab.lifecycle import machine_info
from halab.machines.guest_shell import GuestShell
from halab.machines.host import allocation
from halab.machines.work import Work
from halab.process import Completed
from halab.topology.lab import Lab, plan

CAPTURED = Path(__file__).parent / "captured"
NETWORK = IPv4Network("10.213.7.0/24")
MANAGEMENT = IPv4Network("10.214.7.0/24")


def captured(name: str) -> str:
    """The output of a tool that was captured on a real lab of three control planes."""
    return (CAPTURED / name).read_text()


def lab_of(
    network: IPv4Network = NETWORK, provider: ProviderKind = ProviderKind.DOCKER, **written: Any
) -> Lab:
    """The lab of a lab file with these values."""
    management = MANAGEMENT if provider is ProviderKind.LIBVIRT else None
    file = LabFile.model_validate({"provider": provider, **written})
    return plan(file, network=network, provider=provider, management=management)


def brought_up(folder: Path, name: str = "ha", host: str = "", provider: str = "docker") -> Work:
    """The work folder of a lab with default values, as `up` leaves it, but without machines."""
    work = Work(folder / ".halab")
    work.make()
    kind = ProviderKind(provider)
    held = allocation.allocate(name, "auto", work.path, taken=[], host=host, provider=kind)
    work.write(machine_info.record(work, lab_of(held.network, kind, name=name)))
    return work


class FakeClock:
    """A clock whose sleep takes no time. Every sleep calls `then`, which can change what the code waits for."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.at = 1000.0
        self.slept: list[float] = []
        self._then = then

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds
        self._then()


@dataclass(frozen=True)
class Call:
    """One command that a machine was told to run."""

    machine: str
    command: str
    input: str | None
    log: Path | None
    timeout_seconds: float
    input_file: Path | None = None


# Output, a failure, or a function of the call. A list gives one after another, and the last one for ever.
Answer = str | Completed | HalabError | Callable[[Call], str | Completed]


@dataclass
class FakeGuests:
    """Machines with scripted answers. The first pattern that matches in `MACHINE: COMMAND` gives the answer.

    What a script prints when it is run with a log goes into the log, as over SSH. Anything that no pattern
    matches ends with code 0 and prints nothing.
    """

    answers: dict[str, Answer | list[Answer]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self,
        machine: str,
        command: str,
        *,
        timeout_seconds: float = 20,
        input: str | None = None,
        input_file: Path | None = None,
        log: Path | None = None,
        check: bool = True,
    ) -> Completed:
        call = Call(machine, command, input, log, timeout_seconds, input_file)
        with self._lock:
            self.calls.append(call)
            answer = self._next(f"{machine}: {command}\n{input or ''}")
        if callable(answer):
            answer = answer(call)
        if isinstance(answer, HalabError):
            raise answer
        done = answer if isinstance(answer, Completed) else Completed(0, answer, "")
        if log:
            with log.open("a") as sink:
                sink.write(done.output + done.errors)
            done = Completed(done.code, "", "")
        if check and done.code != 0:
            raise CommandFailed(f"on {machine}, a command ended", code=done.code, output=done.errors)
        return done

    def commands(self, machine: str) -> list[str]:
        return [call.command for call in self.calls if call.machine == machine]

    def _next(self, asked: str) -> Answer:
        for pattern, answer in self.answers.items():
            if re.search(pattern, asked):
                if not isinstance(answer, list):
                    return answer
                return answer.pop(0) if len(answer) > 1 else answer[0]
        return ""


class FakeGuestShell(GuestShell):
    """A shell on a machine that gives every command the same answer."""

    def __init__(self, answer: str | Exception) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def ask(self, command: str) -> str:
        self.asked.append(command)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class FakeApi:
    """The Kubernetes API with fixed objects by path. It raises an object that is a HalabError."""

    tunnel: str | None = None

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self.objects = dict(objects)

    def get(self, path: str) -> Any:
        if path not in self.objects:
            raise Unreachable(f"{path} answers 404")
        found = self.objects[path]
        if isinstance(found, HalabError):
            raise found
        return found


_ENDED = {True: "end", False: "bad", None: "open"}


@dataclass
class Recorded:
    """Progress that records what it would show: `begin WHAT`, `end WHAT: OUTCOME`, `fail WHAT`.

    A step whose outcome is bad or not known ends with `bad WHAT: OUTCOME` or `open WHAT: OUTCOME`.
    """

    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)

    @contextmanager
    def step(self, what: str, *, limit_seconds: float | None = None) -> Iterator[RecordedStep]:
        self.lines.append(f"begin {what}")
        step = RecordedStep()
        try:
            yield step
        except BaseException:
            self.lines.append(f"fail {what}")
            raise
        self.lines.append(f"{_ENDED[step.is_good]} {what}" + (f": {step.outcome}" if step.outcome else ""))


@dataclass
class RecordedStep:
    notes: list[str] = field(default_factory=list)
    outcome: str = ""
    is_good: bool | None = True

    def note(self, text: str) -> None:
        self.notes.append(text)

    def done(self, text: str, *, is_good: bool | None = True) -> None:
        self.outcome = text
        self.is_good = is_good
