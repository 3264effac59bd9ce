"""`halab matrix run --scheduler`: two workers of dask on this host, one of which dies in the middle of its cell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.cli_driver import UserLab, end

MATRIX = "axes:\n  load_balancer.kind: [haproxy, nginx]\nscenarios: [kill-all-etcd]\n"
DASK = Path(sys.executable).with_name("dask")
LABS = {"haproxy", "nginx"}


class Hosts:
    """A scheduler and its workers. They share this host's engine, and each has a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[str]] = {}
        file = folder / "scheduler.json"
        self._begin(
            "scheduler", "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)
        )
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline, (folder / "scheduler.log").read_text()
            time.sleep(0.2)
        self.address = str(json.loads(file.read_text())["address"])

    def start(self, name: str) -> None:
        words = ["--name", name, "--resources", "LAB=1", "--nworkers", "1", "--nthreads", "1"]
        self._begin(name, "worker", self.address, *words, "--local-directory", str(self._folder / name))

    def _begin(self, name: str, *words: str) -> None:
        env = {**os.environ, "XDG_STATE_HOME": str(self.state(name))}
        with (self._folder / f"{name}.log").open("a") as log:
            self._processes[name] = subprocess.Popen(
                [DASK, *words, "--no-dashboard"], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """Kill a worker and its nanny, which would start it again."""
        end(self._processes[name])

    def state(self, name: str) -> Path:
        return self._folder / f"state-{name}"

    def left(self, name: str) -> list[Path]:
        """What a host still has of labs."""
        return list(self.state(name).glob("halab/matrix/*/*"))

    def stop(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                end(process)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with ExitStack() as stack:
        hosts = Hosts(tmp_path)
        stack.callback(hosts.stop)
        hosts.start("a")
        hosts.start("b")
        yield hosts


@pytest.fixture
def lab(tmp_path: Path, state_home: None) -> UserLab:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "lab.yml").write_text("control_planes: 1\n")
    (folder / "matrix.yml").write_text(MATRIX)
    return UserLab(folder)


def machines_below(folder: Path) -> list[str]:
    """The machines of labs whose folders are below this one."""
    argv = [
        "docker",
        "ps",
        "--all",
        "--filter",
        "label=halab.lab",
        "--format",
        '{{.Label "halab.work"}} {{.Names}}',
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return [line for line in done.stdout.splitlines() if line.startswith(str(folder))]


@pytest.mark.nightly
def test_another_host_plays_what_a_dead_one_began_and_nothing_counts_twice(
    lab: UserLab, hosts: Hosts
) -> None:
    child = lab.begin("matrix", "run", "--scheduler", hosts.address)
    assert child.stdout is not None
    said, dead, has_begun = "", "", False
    for line in child.stdout:
        print(line, end="")
        said += line
        if line.startswith("host ") and line.endswith(" plays the lab haproxy\n"):
            dead = dead or line.split()[1]
        if has_begun and line.startswith(f"haproxy on {dead}: "):
            break
        has_begun = has_begun or line.startswith(f"haproxy on {dead}: scenario kill-all-etcd")
    assert has_begun, said
    hosts.kill(dead)
    said += f"killed the worker {dead}\n"
    for line in child.stdout:
        print(line, end="")
        said += line
        if line.startswith(f"host {dead} is gone"):
            hosts.start(dead)
    child.stdout.close()
    assert child.wait() == 0, said
    other = "b" if dead == "a" else "a"
    assert f"host {other} plays the lab haproxy" in said.split(f"host {dead} is gone")[1]

    record = json.loads((lab.folder / "matrix/record.json").read_text())
    assert {run["lab"] for run in record["runs"]} == LABS and len(record["runs"]) == 2
    for run in record["runs"]:
        assert (lab.folder / "matrix" / run["folder"] / "report.html").exists()
    assert machines_below(lab.folder.parent) == []
    assert hosts.left("a") == hosts.left("b") == []
    assert lab.halab("matrix", "run", "--scheduler", hosts.address).code == 0
    assert len(json.loads((lab.folder / "matrix/record.json").read_text())["runs"]) == 2
