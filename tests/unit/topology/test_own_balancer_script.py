"""The script that installs a load balancer's configuration of the user's own: all of it, or nothing."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.fakes import lab_of

from halab import templates
from halab.config.own_file import OwnFile
from halab.topology.balancer import configuration

# What the machine's tools answer: haproxy rejects `mood` and cannot start with `taken`; it listens unless the
# configuration says `deaf`.
TOOLS = {
    "haproxy": 'grep -q mood "$3" && { echo "[ALERT] $3:1"; exit 1; } || true',
    "systemctl": """case $1 in
  list-units) cat running ;;
  restart) ! grep -q taken etc/haproxy/haproxy.cfg ;;
esac""",
    "ss": "grep -q deaf etc/haproxy/haproxy.cfg || echo LISTEN",
    "journalctl": "echo cannot bind socket",
    "sleep": "",
}


@dataclass(frozen=True)
class Machine:
    root: Path

    def __post_init__(self) -> None:
        (self.root / "bin").mkdir()
        (self.root / "etc" / "haproxy").mkdir(parents=True)
        self.file.write_text("before\n")
        (self.root / "running").write_text("haproxy.service\n")
        for name, does in TOOLS.items():
            path = self.root / "bin" / name
            path.write_text(f'#!/bin/bash\necho "{name} $*" >>did\n{does}\n')
            path.chmod(0o755)

    @property
    def file(self) -> Path:
        return self.root / "etc" / "haproxy" / "haproxy.cfg"

    @property
    def did(self) -> list[str]:
        """The acts on services, in order."""
        lines = (self.root / "did").read_text().splitlines()
        return [line.removeprefix("systemctl ") for line in lines if line.startswith("systemctl ")]

    def install(self, own: str) -> subprocess.CompletedProcess[str]:
        lab = replace(
            lab_of(load_balancer={"config": "own"}), balancer_file=OwnFile(Path("own"), f"# {own}\n")
        )
        install = templates.text("provision/own-balancer.sh.j2", lab=lab, balancer=configuration(lab))
        script = templates.text("provision/functions.sh") + install.replace("/etc", f"{self.root}/etc")
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.root, env={**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def names(machine: Machine) -> list[str]:
    return sorted(path.name for path in machine.file.parent.iterdir())


def test_a_configuration_that_works_is_in_use(machine: Machine) -> None:
    done = machine.install("good")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"changed: {machine.file}\n"
    assert machine.file.read_text().startswith("# good\n")
    assert "restart haproxy.service" in machine.did
    assert names(machine) == ["haproxy.cfg"]


def test_the_same_configuration_again_changes_nothing(machine: Machine) -> None:
    machine.install("good")
    (machine.root / "did").unlink()
    done = machine.install("good")
    assert (done.returncode, done.stdout) == (0, "")
    assert machine.did == [f"disable -q --now {' '.join(configuration(lab_of()).others)}"]


def test_a_configuration_that_is_rejected_leaves_everything_as_it_was(machine: Machine) -> None:
    done = machine.install("mood")
    assert done.returncode == 1
    assert "the load balancer rejects the configuration; the one in use was not changed" in done.stderr
    assert f"[ALERT] {machine.file}.halab-new:1" in done.stdout
    assert machine.file.read_text() == "before\n"
    assert machine.did == []
    assert names(machine) == ["haproxy.cfg"]


@pytest.mark.parametrize(
    ("own", "why"),
    [("taken", "cannot bind socket"), ("deaf", "it does not listen on port 6443, where clients connect")],
)
def test_the_configuration_before_comes_back_if_the_new_one_does_not_work(
    machine: Machine, own: str, why: str
) -> None:
    done = machine.install(own)
    assert done.returncode == 1
    assert why in done.stderr
    assert "the one before is in use again" in done.stderr
    assert machine.file.read_text() == "before\n"
    assert machine.did[-2:] == ["stop haproxy.service", "start haproxy.service"]
    assert names(machine) == ["haproxy.cfg"]


def test_another_load_balancer_that_ran_before_runs_again(machine: Machine) -> None:
    (machine.root / "running").write_text("nginx.service\n")
    assert machine.install("taken").returncode == 1
    assert machine.did[-2:] == ["stop haproxy.service", "start nginx.service"]


def test_an_interrupted_install_is_continued(machine: Machine) -> None:
    """The file is in its place already, but the load balancer may still run with the old one."""
    machine.install("good")
    Path(f"{machine.file}.halab-old").write_text("before\n")
    (machine.root / "did").unlink()
    assert machine.install("good").returncode == 0
    assert "restart haproxy.service" in machine.did
    assert names(machine) == ["haproxy.cfg"]


def test_a_machine_without_any_configuration_gets_one(machine: Machine) -> None:
    machine.file.unlink()
    assert machine.install("good").returncode == 0
    assert machine.file.read_text().startswith("# good\n")


def test_any_line_may_be_in_a_configuration(machine: Machine) -> None:
    assert machine.install("good\nEOF\nEOF-").returncode == 0
    assert machine.file.read_text().startswith("# good\nEOF\nEOF-\n")
