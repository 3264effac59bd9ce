"""The facts of the host in the record of a run."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from halab.config.lab import ProviderKind
from halab.errors import HostProblem
from halab.lifecycle import providers
from halab.lifecycle.lab import LabDir, open_file
from halab.scenario.record.host_facts import HostFacts
from halab.scenario.run import host


@pytest.fixture
def lab_dir(tmp_path: Path) -> LabDir:
    (tmp_path / "lab.yml").write_text("name: ha\nprovider: docker\n")
    return open_file(tmp_path / "lab.yml")


def test_the_facts_are_those_of_this_host(lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "engine", lambda lab_dir: "docker 20.10.24")
    found = host.facts(lab_dir)
    assert found.kernel == platform.release()
    assert found.cores > 0 and found.memory_mebibytes > 100
    assert str(found).endswith(f"{found.memory_mebibytes} MiB, docker 20.10.24")


def test_what_cannot_be_read_is_unknown(lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: object) -> str:
        raise HostProblem("no engine")

    def missing() -> dict[str, str]:
        raise OSError

    monkeypatch.setattr(providers, "engine", fail)
    monkeypatch.setattr(platform, "freedesktop_os_release", missing)
    found = host.facts(lab_dir)
    assert (found.system, found.engine) == ("unknown", "unknown")


def test_the_facts_are_one_line() -> None:
    facts = HostFacts("Debian GNU/Linux 12", "6.1.0", "x86_64", 1, 2048, "libvirt 9.0.0")
    assert str(facts) == "Debian GNU/Linux 12, kernel 6.1.0, x86_64, 1 core, 2048 MiB, libvirt 9.0.0"


def test_the_busy_share_is_what_was_not_free_since_the_object_was_made(tmp_path: Path) -> None:
    # user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 1000 40 0 10 0 70 0\ncpu0 50 0 25 500 20 0 5 0 35 0\n")
    processors = host.Processors(stat)
    stat.write_text("cpu  160 5 70 1015 45 0 15 10 130 5\ncpu0 80 0 35 508 22 0 7 5 65 0\n")
    # 120 in all, of which 15 idle and 5 waiting for disks
    assert processors.busy_share() == 0.833


@pytest.mark.parametrize("text", [None, "", "cpu  one two\n", "cpu  1 0 1 1 0 0 0 0\n"])
def test_the_busy_share_is_unknown_where_the_system_does_not_say_it(
    text: str | None, tmp_path: Path
) -> None:
    stat = tmp_path / "stat"
    if text is not None:
        stat.write_text(text)
    assert host.Processors(stat).busy_share() is None


class _Engine:
    version = "20.10.24"


class _Hypervisor:
    version = "9.0.0"

    def __init__(self, *, uri: str | None) -> None:
        self.uri = uri

    def facts(self) -> _Hypervisor:
        return self


@pytest.mark.parametrize(
    ("provider", "engine"),
    [(ProviderKind.DOCKER, "docker 20.10.24"), (ProviderKind.LIBVIRT, "libvirt 9.0.0")],
)
def test_what_runs_the_machines_has_its_version(
    provider: ProviderKind, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab.yml").write_text(f"provider: {provider}\n")
    monkeypatch.setattr(providers, "Engine", _Engine)
    monkeypatch.setattr(providers, "Hypervisor", _Hypervisor)
    assert providers.engine(open_file(tmp_path / "lab.yml")) == engine
