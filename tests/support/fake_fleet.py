"""Hosts that play labs without machines: each plays one run in a second, unless the test says something else."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from halab.config.lab import ProviderKind
from halab.images.shared_entry import Part, SharedFile
from halab.matrix import results
from halab.matrix.hosts import agent, place
from halab.matrix.hosts.agent import News
from halab.matrix.hosts.cluster import HostGone
from halab.matrix.hosts.host import HostFacts
from halab.matrix.hosts.parcel import Parcel
from halab.matrix.hosts.place import SentRun
from halab.matrix.lab_process import EndedLab, EndedRun
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result
from support.run_builder import META
from support.stage import TEXT, planned_run, result_of

FACTS = HostFacts("1.0", "c0de", "", 8, 32_000, "amd64", frozenset({ProviderKind.DOCKER}))
BUILT = EndedLab(built_seconds=90.0)
PARCEL = Parcel(
    "matrix",
    "haproxy",
    {"lab.yml": b"name: auto\n", "scripts/first.sh": b"true\n"},
    (planned_run("stop-apiserver"),),
    42,
    {"stop-apiserver": "f1"},
)


def sent(cell: str, seed: int, fingerprint: str, verdict: str = "pass") -> tuple[SentRun, bytes]:
    """A run as a host sends it. What stands for its archive is its verdict."""
    digest = hashlib.sha256(f"{cell}{seed}{verdict}".encode()).hexdigest()
    return SentRun(f"{cell}-{seed}", cell, seed, fingerprint, False, digest), verdict.encode()


@dataclass
class FakeTask:
    """`end` is what came of it; None while it lasts."""

    end: EndedLab | Exception | None = None
    is_cancelled: bool = False

    @property
    def is_over(self) -> bool:
        return self.end is not None or self.is_cancelled

    def result(self) -> Any:
        if isinstance(self.end, Exception):
            raise self.end
        return self.end

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class FakeHost:
    """`verdicts` are by cell, `ends` by lab. With `is_stuck`, it waits for a lab of another matrix."""

    name: str
    facts: HostFacts | Exception = FACTS
    verdicts: Mapping[str, str] = field(default_factory=dict)
    ends: dict[str, EndedLab | Exception] = field(default_factory=dict)
    left: dict[str, list[tuple[SentRun, bytes]]] = field(default_factory=dict)
    runs_on: set[str] = field(default_factory=set)
    is_stuck: bool = False
    # what it could fetch from others, and what it has
    lacks: list[tuple[str, ...]] = field(default_factory=list)
    has: dict[str, int] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    _parcel: Parcel | None = None
    _task: FakeTask = field(default_factory=FakeTask)

    def begin(self, act: Callable[..., object], *args: Any) -> FakeTask:
        self._task = FakeTask()
        if act is agent.clean:
            self.did.append(f"clean {args[1]}")
            self.left.pop(args[1], None)
            self._task.end = self.ends.get(f"clean {args[1]}", EndedLab())
        else:
            assert act is agent.play
            self._parcel = args[0]
            self.did.append(f"play {args[0].lab}: {len(args[0].runs)}")
            self.left[args[0].lab] = []
            if not self.is_stuck:
                self.runs_on.add(args[0].lab)
        return self._task

    def tick(self) -> None:
        parcel = self._parcel
        if parcel is None or self.is_stuck or self._task.is_over:
            return
        waiting = self.left[parcel.lab]
        end = self.ends.get(parcel.lab)
        if end is None and len(waiting) < len(parcel.runs):
            run = parcel.runs[len(waiting)]
            verdict = self.verdicts.get(str(run), "pass")
            waiting.append(sent(str(run), run.seed, parcel.fingerprints[str(run)], verdict))
        else:
            self.runs_on.discard(parcel.lab)
            self._task.end = end or BUILT

    def answer(self, act: Callable[..., object], *args: Any) -> object:
        if act is agent.describe:
            if isinstance(self.facts, Exception):
                raise self.facts
            return self.facts if self.facts.state else replace(self.facts, state=self.name)
        if act is agent.labs:
            return sorted(self.left)
        if act is agent.lacking:
            return list(self.lacks)
        if act is agent.held:
            return next(
                ((name, [SharedFile("f", self.has[name], 0o644)]) for name in args[0] if name in self.has),
                None,
            )
        if act is agent.part:
            return Part(b"", "")
        if act is agent.receive:
            self.did.append(f"receive {args[0]} {args[2]}")
            return None
        if act in (agent.accept, agent.discard):
            self.did.append(f"{act.__name__} {args[0]}")
            return None
        if act is agent.stop:
            self.did.append(f"stop {args[1]}")
            self.runs_on.discard(args[1])
            if self._parcel and self._parcel.lab == args[1] and not self._task.is_over:
                self._task.end = EndedLab("interrupted", was_interrupted=True)
            return None
        if act is agent.forget:
            self.did.append(f"forget {args[1]}")
            return f"forget {args[1]}" not in self.ends
        assert act is agent.news
        _, lab, known, offset, _ = args
        runs = [each for each in self.left.get(lab, []) if each[0].name not in known]
        printed = f"… up of {lab}\n".encode()[offset:]
        # one at a time, as if they were large
        return News(printed, tuple(runs[:1]), lab in self.runs_on, is_complete=len(runs) <= 1)


class FakeCluster:
    """`acts` happen when so many seconds are over."""

    def __init__(self, *hosts: FakeHost, acts: Mapping[int, Callable[[], object]] | None = None) -> None:
        self.by_address = {f"tcp://{host.name}": host for host in hosts}
        self._acts = acts or {}
        self._seconds = 0

    def tick(self) -> None:
        self._seconds += 1
        for host in self.by_address.values():
            host.tick()
        if self._seconds in self._acts:
            self._acts[self._seconds]()

    def lose(self, name: str) -> FakeHost:
        return self.by_address.pop(f"tcp://{name}")

    def add(self, host: FakeHost, address: str = "") -> None:
        self.by_address[address or f"tcp://{host.name}"] = host

    def hosts(self) -> Mapping[str, str]:
        return {address: host.name for address, host in self.by_address.items()}

    def ask(self, address: str, act: Callable[..., Any], *args: object) -> Any:
        if address not in self.by_address:
            raise HostGone(address)
        return self.by_address[address].answer(act, *args)

    def begin(self, address: str, act: Callable[..., Any], *args: object) -> Any:
        return self.by_address[address].begin(act, *args)


@dataclass
class Heard:
    """What the matrix was told."""

    begun: list[str] = field(default_factory=list)
    runs: list[tuple[str, str, int, str]] = field(default_factory=list)
    ends: dict[str, EndedLab] = field(default_factory=dict)
    # how often each lab may end
    most_ends: int = 1
    _count: Counter[str] = field(default_factory=Counter)

    def on_begin(self, lab: str) -> None:
        self.begun.append(lab)

    def on_run(self, lab: str, run: EndedRun) -> None:
        self.runs.append((lab, run.name, run.seed, str(run.result.verdict)))

    def on_end(self, lab: str, end: EndedLab) -> None:
        self._count[lab] += 1
        assert self._count[lab] <= self.most_ends
        self.ends[lab] = end


def arrives_by_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs arrive as a folder in which only their verdict is."""

    def unpacked(run: SentRun, content: bytes, runs: Path) -> Path:
        folder = RunFolder(runs / run.name)
        folder.make()
        folder.scenario.write_text(TEXT)
        folder.meta.write_text(META.to_json())
        folder.timeline.touch()
        (folder.path / "verdict").write_bytes(content)
        return folder.path

    def judged(folder: RunFolder) -> Result:
        return result_of("any", (folder.path / "verdict").read_text())

    monkeypatch.setattr(place, "unpacked", unpacked)
    monkeypatch.setattr(results, "judged", judged)


def lines_about(lines: Sequence[str], word: str) -> list[str]:
    return [line for line in lines if word in line]
