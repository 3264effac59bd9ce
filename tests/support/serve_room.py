"""A lab without machines that is served: its probes, its drill, its game day and the commands are scripted."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from halab.drill import play
from halab.errors import HalabError
from halab.lifecycle.lab import LabDir
from halab.scenario.record.events import Sample, StateReading
from halab.scenario.watch.live import Live
from halab.scenario.watch.watcher import Refresh
from halab.serve import app
from halab.serve.app import Site
from halab.serve.auth import PageAccess
from halab.serve.board import WINDOW_SECONDS
from halab.serve.jobs import Job, Jobs
from halab.serve.served_lab import REAL_DEPS, ServeDeps, ServedLab
from halab.topology.lab import Lab
from support.day_room import DayRoom
from support.drill_room import DrillRoom
from support.fakes import Recorded

_STATES = (
    ("etcd-leader", None, "cp1"), ("kcm-leader", None, "cp3"), ("scheduler-leader", None, "cp1"),
    *(("backend", machine, "up") for machine in ("cp1", "cp2", "cp3")),
    *(("node-ready", machine, "true") for machine in ("cp1", "cp2", "cp3")),
)  # fmt: skip
_LANES = (
    ("ready-via-lb", None), ("read-via-lb", None), ("ready-direct", "cp1"), ("ready-direct", "cp2"),
    ("ready-direct", "cp3"),
)  # fmt: skip


class ScriptedJobs(Jobs):
    """Runs the commands of a page in this process, on the drill room. `begun` has their words."""

    def __init__(self, changed: Callable[[], None], room: DrillRoom, day: DayRoom) -> None:
        super().__init__(changed)
        self._room = room
        self._day = day
        self.begun: list[list[str]] = []

    def begin(self, job: Job) -> bool:
        words = list(job.words)
        self.begun.append(words)
        room, output, code = self._room, "", 0
        try:
            if words[:2] == ["drill", "check"]:
                view = play.check(room.lab_dir, Recorded(), is_final="--final" in words, deps=room.deps)
                code = 0 if view.outcome else 1
            elif words[:2] == ["gameday", "play"]:
                self._day.begin()
                # it runs until a test ends it
                self.last = job
                self._changed()
                return True
            elif words[:2] == ["drill", "start"]:
                play.start(room.lab_dir, room.name, Recorded(), seed=7, deps=room.deps)
        except HalabError as error:
            output, code = f"error: {error.message}", int(error.exit_code)
        self.last = replace(job, code=code, output=output)
        self._changed()
        return True


@dataclass
class ServeRoom:
    """`failing` are the machines whose API server does not answer; `lb` for all clients. `problem` ends the view.

    `nodes` has the readings of nodes that are not ready, by machine; None is no reading.
    """

    folder: Path
    name: str = "ha"
    failing: set[str] = field(default_factory=set)
    nodes: dict[str, str | None] = field(default_factory=dict)
    problem: HalabError | None = None
    faults: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    # what happens at each tick, one after another; after the last one, the view ends
    steps: list[Callable[[], object]] | None = None

    def __post_init__(self) -> None:
        self.drill = DrillRoom(self.folder, self.name)
        self.day = DayRoom(self.folder, self.drill.work, self.drill.at)
        self.watched = threading.Event()
        self._at = 1000.0
        self.come_up()

    @property
    def deps(self) -> ServeDeps:
        of_drill = self.drill.deps
        return ServeDeps(
            watching=self._watching,
            attempt=partial(play.status, include_ended=True, deps=of_drill),
            hint=partial(play.hint, deps=of_drill),
            answer=partial(play.answer, deps=of_drill),
            jobs=lambda changed: ScriptedJobs(changed, self.drill, self.day),
            now=lambda: self.drill.at,
            monotonic=self._monotonic if self.steps is not None else time.monotonic,
            pause=self._pause if self.steps is not None else REAL_DEPS.pause,
        )

    def come_up(self) -> None:
        """What `up` leaves; `go_down` removes it."""
        self.drill.work.kubeconfig.touch()

    def go_down(self) -> None:
        self.drill.work.kubeconfig.unlink()

    def serve(self) -> ServedLab:
        self.lab = ServedLab(self.folder / "lab.yml", self.said.append, self.deps)
        return self.lab

    def watch(self, *steps: Callable[[], object]) -> ServedLab:
        """Watch the lab in this thread, while these things happen to it, one at each tick."""
        self.steps = list(steps)
        lab = self.serve()
        lab.run()
        return lab

    def _pause(self, event: threading.Event) -> None:
        assert self.steps is not None
        self._at += 2.0
        if self.steps:
            self.steps.pop(0)()
        else:
            self.lab.stop()

    def _monotonic(self) -> float:
        return self._at

    def start(self) -> None:
        play.start(self.drill.lab_dir, self.drill.name, Recorded(), seed=7, deps=self.drill.deps)

    @contextmanager
    def _watching(self, lab_dir: LabDir, lab: Lab, origin: float) -> Iterator[Refresh]:
        """The samples of five minutes at once, then those of each tick."""
        self._lab, self._t = lab, 0.0

        def refresh(live: Live) -> None:
            if self.problem:
                raise self.problem
            self._fill(live, origin)
            self.watched.set()

        yield refresh

    def _fill(self, live: Live, origin: float) -> None:
        now = self.deps.monotonic() - origin
        begun = now - WINDOW_SECONDS if not live.lanes else self._t
        live.see_machines(now, {machine.name: "running" for machine in self._lab.machines})
        live.see_faults(now, self.faults)
        while begun < now:
            for probe, machine in _LANES:
                ok = (machine or "lb") not in self.failing
                seconds = 0.004 + 0.02 * ((int(begun) * 7 + len(probe)) % 5 == 0)
                live.add_samples([Sample(begun, seconds, probe, machine, ok, "200" if ok else "timed out")])
            begun += 1.0
        for state, machine, usual in _STATES:
            value: str | None = usual
            if state == "backend" and machine in self.failing:
                value = "down"
            elif state == "node-ready" and machine in self.nodes:
                value = self.nodes[machine]
            live.add_readings([StateReading(now, 0.001, state, machine, value)])
        self._t = now


@dataclass
class Visitor:
    """A browser without pages: it keeps cookies, and sends requests to the application."""

    site: Site
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)
    host: str = "127.0.0.1:8765"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._send("GET", path, headers=headers)

    def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        return self._send("POST", path, headers=headers, data=form)

    def enter(self, access: PageAccess) -> httpx.Response:
        """Come in with the token, as with the address that the command printed."""
        came = self.get(access.url(""))
        assert came.status_code == 303, came.text
        return self.get(came.headers["location"])

    def act(self, access: PageAccess, act: str, **form: str) -> dict[str, Any]:
        """Send a form of a page; the answer."""
        answer: dict[str, Any] = self.post(access.path + act, {"token": access.form_token, **form}).json()
        return answer

    def _send(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(app=app.make(self.site), raise_app_exceptions=False)
            url = f"http://{self.host}"
            async with httpx.AsyncClient(transport=transport, base_url=url, cookies=self.cookies) as client:
                response = await client.request(method, path, **given)
                self.cookies.update(client.cookies)
                return response

        return asyncio.run(sent())


def events_of(body: str) -> list[dict[str, str]]:
    """The regions in the events of a stream."""
    import json

    return [json.loads(line) for line in re.findall(r"^data: (.+)$", body, re.MULTILINE)]
