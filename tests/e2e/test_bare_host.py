"""`scripts/bare-host stop` removes no lab and ends no command of others."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bare-host"
LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


@dataclass(frozen=True)
class BareHost:
    name: str

    def __call__(self, *words: str, empty_file: bool = False) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, *words], env=self.environment, capture_output=True, text=True, timeout=120, check=False,
            input="\0" * 1024 if empty_file else "",
        )  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        # the PATH of an ordinary user of Debian: without dockerd, iptables and sysctl
        return {**os.environ, "PATH": "/usr/local/bin:/usr/bin:/bin", "HALAB_BARE_HOST": self.name}

    def docker(self, *words: str, empty_file: bool = False) -> str:
        done = self("run", "docker", *words, empty_file=empty_file)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def bare_host() -> Iterator[BareHost]:
    host = BareHost(f"bare-{os.getpid()}")
    try:
        assert host("start").returncode == 0
        yield host
    finally:
        host("stop", "--force")


def test_stop_refuses_while_labs_live_there_and_names_them(bare_host: BareHost) -> None:
    image = bare_host.docker("import", "-", empty_file=True)
    for machine, lab in (("cp1", "ha"), ("cp2", "ha"), ("lb1", "other")):
        labels = [f"halab.lab={lab}", f"halab.machine={machine}", f"halab.work=/labs/{lab}/.halab"]
        bare_host.docker("create", *(f"--label={label}" for label in labels), image, "sh")
    bare_host.docker("create", "--name=of-no-lab", image, "sh")

    refused = bare_host("stop")

    assert refused.returncode == 3
    for line in (
        "  lab ha of /labs/ha/.halab",
        "  lab other of /labs/other/.halab",
        "  container of-no-lab",
    ):
        assert refused.stderr.splitlines().count(line) == 1, refused.stderr
    assert "stop --force" in refused.stderr
    assert len(bare_host.docker("ps", "--all", "--quiet").split()) == 4
    assert "  lab ha of /labs/ha/.halab" in bare_host("status").stdout.splitlines()

    assert bare_host("stop", "--force").returncode == 0
    assert bare_host("status").returncode == 1


def test_stop_refuses_while_a_command_runs_there(bare_host: BareHost) -> None:
    command = ["bash", "-c", "echo begun; read -r"]
    with subprocess.Popen(
        [SCRIPT, "run", *command], env=bare_host.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        refused = bare_host("stop")
        assert refused.returncode == 3
        assert ": bash -c echo begun" in refused.stderr
        assert bare_host("status").returncode == 0
        child.communicate("\n", timeout=30)
    # the engine, which the command may have started, does not count as a command
    assert bare_host("stop").returncode == 0
    assert bare_host("status").returncode == 1


def test_the_limit_that_all_bare_hosts_share_stays_until_the_last_one_stops(bare_host: BareHost) -> None:
    other = BareHost(f"{bare_host.name}-b")
    try:
        assert other("start").returncode == 0
        raised = int(LIMIT.read_text())
        assert raised >= 1024
        assert bare_host("stop").returncode == 0
        assert int(LIMIT.read_text()) == raised
    finally:
        other("stop", "--force")


@pytest.mark.nightly
def test_a_command_that_needed_sudo_runs_as_its_user_and_reaches_the_engine(bare_host: BareHost) -> None:
    caller = {**bare_host.environment, "HALAB_BARE_HOST_CALLER": "nobody"}
    words = [
        "sh",
        "-c",
        "id -un; docker version --format '{{.Server.Os}}'; virsh -q uri; echo $LIBVIRT_DEFAULT_URI",
    ]
    done = subprocess.run(
        [SCRIPT, "virt", *words], env=caller, capture_output=True, text=True, timeout=180, check=False
    )
    user, engine, *uris = done.stdout.splitlines()
    assert (user, engine) == ("nobody", "linux"), done.stderr
    assert uris[0] == uris[1]
