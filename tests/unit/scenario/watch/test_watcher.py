"""`halab watch`: its screen, and how it ends."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.fakes import FakeClock, lab_of

from halab.cli import Interrupted, main, streams, watch
from halab.cli.live_view import LiveScreen, change_line, screen, summary
from halab.config.probe import ProbeName
from halab.errors import BadUsage
from halab.lifecycle import lab as labs
from halab.machines.power import PowerState
from halab.scenario.record.events import Sample, StateReading
from halab.scenario.sampler.probes import probes
from halab.scenario.watch import watcher
from halab.scenario.watch.live import Live, LiveChange

LAB = lab_of(name="ha")
VIEW = LiveScreen(LAB, datetime(2026, 11, 23, 10, 15, 0))
Shown = pytest.CaptureFixture[str]


def live_lab(*, cp2_down: bool = False) -> Live:
    """A lab that was looked at for a minute; with cp2 off for the last third of it."""
    live = Live()
    live.see_machines(0, {machine.name: "running" for machine in LAB.machines})
    live.see_faults(0, [])
    for second in range(60):
        dead = cp2_down and second >= 40
        live.add_samples(
            Sample(second, 0.004, probe, machine, not (dead and machine == "cp2"), "200")
            for probe, machine in (("ready-via-lb", None), ("ready-direct", "cp1"), ("ready-direct", "cp2"))
        )
        live.add_readings(
            StateReading(second, 0.001, state, machine, value)
            for state, machine, value in (
                ("etcd-leader", None, "cp1"), ("kcm-leader", None, "cp3"), ("scheduler-leader", None, "cp1"),
                ("backend", "cp1", "up"), ("backend", "cp2", "down" if dead else "up"), ("backend", "cp3", "up"),
                ("node-ready", "cp1", "true"), ("node-ready", "cp2", "false" if dead else "true"),
                ("node-ready", "cp3", "true"),
            )
        )  # fmt: skip
    if cp2_down:
        live.see_machines(60, {**{machine.name: "running" for machine in LAB.machines}, "cp2": "off"})
        live.see_faults(60, ["cut-power on cp2"])
    return live


def drawn(live: Live, *, width: int = 100, height: int = 40, colour: bool = False) -> str:
    sink = io.StringIO()
    console = Console(
        file=sink, width=width, height=height, highlight=False, force_terminal=colour,
        color_system="standard" if colour else None,
    )  # fmt: skip
    console.print(screen(VIEW, live, 60, width, height))
    return sink.getvalue()


def rows(text: str) -> dict[str, list[str]]:
    """The words of each line, by the first of them."""
    return {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}


def test_the_screen_shows_machines_with_their_states_and_leaders() -> None:
    shown = rows(drawn(live_lab(cp2_down=True)))
    assert shown["lb1"] == ["lb1", "running"]
    assert shown["cp1"] == ["cp1", "running", "ready", "up", "etcd,", "scheduler"]
    assert shown["cp2"] == ["cp2", "off", "not", "ready", "down"]
    assert shown["lab"][:5] == ["lab", "ha,", "Kubernetes", LAB.release.kubernetes + ",", "haproxy"]


def test_the_screen_shows_probes_with_marks_that_are_readable_without_colour() -> None:
    text = drawn(live_lab(cp2_down=True))
    line = next(line for line in text.splitlines() if line.startswith("ready-direct on cp2"))
    assert "fails" in line
    assert "33%" in line
    assert "×" * 10 in line
    assert "×" not in next(line for line in text.splitlines() if line.startswith("ready-direct on cp1"))


def test_the_screen_shows_open_faults_and_the_last_changes() -> None:
    text = drawn(live_lab(cp2_down=True))
    assert "a fault is open: cut-power on cp2" in text
    assert "10:16:00  cp2: running → off" in text


@pytest.mark.parametrize("width", [30, 50, 79, 200])
@pytest.mark.parametrize("height", [12, 24, 60])
def test_the_screen_fits_the_terminal(width: int, height: int) -> None:
    lines = drawn(live_lab(cp2_down=True), width=width, height=height).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    if height > 24:
        assert len(lines) <= height


def test_a_screen_without_data_is_drawn() -> None:
    assert rows(drawn(Live()))["cp1"] == ["cp1", "?", "?"]


def test_colour_only_repeats_the_text() -> None:
    coloured = drawn(live_lab(cp2_down=True), colour=True)
    assert "\x1b[" in coloured
    assert "\x1b[" not in drawn(live_lab(cp2_down=True))


def test_a_summary_is_one_line_that_names_the_exceptions() -> None:
    assert summary(VIEW, live_lab(), 60) == (
        "10:16:00  4 running; leaders: etcd cp1, controller-manager cp3, scheduler cp1; 3 backends up; "
        "3 nodes ready; 3 probes answer"
    )
    assert summary(VIEW, live_lab(cp2_down=True), 60) == (
        "10:16:00  3 running, cp2 off; leaders: etcd cp1, controller-manager cp3, scheduler cp1; "
        "2 backends up, cp2 down; 2 nodes ready, cp2 not ready; failing: ready-direct on cp2; "
        "a fault is open: cut-power on cp2"
    )
    assert change_line(VIEW, LiveChange(61.5, "cp2: off → running")) == "10:16:01  cp2: off → running"


def test_a_kubelet_without_heartbeat_makes_its_node_not_ready() -> None:
    live = live_lab()
    live.add_readings([StateReading(59.5, 0.001, "node-ready", "cp2", "unknown")])
    assert " ".join(rows(drawn(live))["cp2"]) == "cp2 running not ready (no heartbeat) up"
    assert "2 nodes ready, cp2 not ready (no heartbeat);" in summary(VIEW, live, 60)


def test_a_summary_says_which_api_servers_the_kubelets_use() -> None:
    live = Live()
    live.add_readings([StateReading(59.0, 0.1, "backend-of", "w1", "cp2", "")])
    lab = lab_of(load_balancer={"kind": "local"}, control_planes=1, workers=1)
    view = LiveScreen(lab, datetime(2026, 11, 23, 10, 15, 0))
    assert "; API servers of kubelets: cp1 uses unknown, w1 uses cp2; " in summary(view, live, 60)


def test_there_is_a_line_for_every_change_and_a_summary_every_five_seconds(capsys: Shown) -> None:
    live = live_lab()
    with watch.in_lines(VIEW) as show:
        for t in (0.5, 2.0, 3.0, 8.0):
            show(live, t)
        live.see_machines(8.5, {"cp1": "off"})
        show(live, 8.5)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:8] for line in lines] == ["10:15:02", "10:15:08", "10:15:08"]
    assert lines[-1].endswith("cp1: running → off")


def test_frames_stop_at_the_end_time_and_come_in_samples_files() -> None:
    frames = watch.Frames(FakeClock(), 2 * watch._SAMPLES_FILE_SECONDS)
    assert len(list(frames.of_one_samples_file())) == watch._SAMPLES_FILE_SECONDS / watch._FRAME_SECONDS
    assert not frames.over
    assert list(frames.of_one_samples_file())
    assert frames.over
    assert list(frames.of_one_samples_file()) == []


class Watched:
    """`halab watch` on a lab that is not there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "lab.yml").write_text("")
        monkeypatch.chdir(folder)
        monkeypatch.setattr(labs, "existing", lambda lab_dir: LAB)
        monkeypatch.setattr(watcher, "watching", self._watching)
        self.writes: bool | None = None
        self.end: BaseException | None = None
        self.ended = False

    @contextmanager
    def _watching(
        self, lab_dir: labs.LabDir, lab: object, origin: float, *, writes: bool, extra: list[str]
    ) -> Iterator[watcher.Refresh]:
        self.writes, self.extra = writes, extra
        try:
            yield self._refresh
        finally:
            self.ended = True

    def _refresh(self, live: Live) -> None:
        if self.end:
            raise self.end


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path, monkeypatch)


def test_watch_ends_after_the_given_seconds(watched: Watched) -> None:
    assert main(["watch", "--seconds", "0.01"]) == 0
    assert (watched.writes, watched.ended) == (False, True)
    assert main(["watch", "--seconds", "0.01", "--writes"]) == 0
    assert watched.writes is True
    assert watched.extra == []
    assert main(["watch", "--seconds", "0.01", "--probe", "service", "--probe", "list-via-lb"]) == 0
    assert watched.extra == ["list-via-lb", "service"]


def test_an_unknown_probe_is_refused(watched: Watched, capsys: Shown) -> None:
    assert main(["watch", "--probe", "sevice"]) == 2
    assert "service" in capsys.readouterr().err


def test_ctrl_c_ends_a_view_and_a_signal_interrupts_it(watched: Watched) -> None:
    watched.end = KeyboardInterrupt()
    assert main(["watch"]) == 0
    assert watched.ended
    watched.end = Interrupted("SIGTERM")
    assert main(["watch"]) == 130


def test_a_view_ends_when_its_output_is_closed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BufferedWriter(streams._Output(writer))))
    assert main(["watch"]) == 0
    assert watched.ended
    os.close(writer)


def test_nothing_is_written_without_the_option() -> None:
    asked = [
        probe.name
        for probe in probes(LAB, ["watch-via-lb", "read-kept-via-lb"])
        if not watcher.needs_writes(probe)
    ]
    assert set(asked) == {"ready-via-lb", "read-via-lb", "read-kept-via-lb", "ready-direct"}


class SilentPower:
    """An engine that does not answer for one machine."""

    def state(self, machine: str) -> PowerState:
        from halab.errors import HostProblem

        if machine == "cp2":
            raise HostProblem("no engine")
        return PowerState.RUNNING


def test_a_machine_whose_power_state_cannot_be_read_is_unknown() -> None:
    power = SilentPower()
    assert watcher._state(power, "cp1") == "running"  # type: ignore[arg-type]
    assert watcher._state(power, "cp2") == "unknown"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["list-via-lb", "pod-starts", "service", "watch-resuming"])
def test_a_probe_that_needs_something_in_the_cluster_is_refused_without_writes(name: str) -> None:
    extra = [probe for probe in ProbeName if probe == name]
    nowhere: Any = None
    with (
        pytest.raises(BadUsage, match=f"{name} needs objects in the cluster") as raised,
        watcher.watching(nowhere, LAB, 0.0, extra=extra),
    ):
        pass
    assert raised.value.hint == "add --writes"
