"""Machines that are booted: the reasons of stock boxes that do not answer, and clocks that stood still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.fake_libvirt import VIRTUAL, define
from support.fake_libvirt import test_driver as driver
from support.fakes import Recorded, lab_of

from halab.config.lab import ProviderKind
from halab.errors import BootTimedOut
from halab.lifecycle import boot, providers, stale_clocks
from halab.lifecycle.lab import LabDir, open_file
from halab.machines.libvirt.hypervisor import Hypervisor
from halab.topology.lab import Lab

STOCK = "bento/ubuntu-24.04"


@dataclass
class FakeVagrant:
    """Vagrant with some boxes, whose machines do not answer."""

    known: set[str] = field(default_factory=set)

    def up(self, machine: str | None) -> None:
        raise BootTimedOut("started, but no answer over SSH in time: cp1", code=1, hint="the log")

    def boxes(self) -> set[str]:
        return self.known

    def fetch_box(self, name: str) -> None:
        self.known.add(name)


@pytest.fixture
def connection() -> Iterator[Any]:
    with driver() as found:
        yield found


def place_in(folder: Path, box: str) -> tuple[LabDir, Lab]:
    (folder / "lab.yml").write_text(f"provider: libvirt\ncontrol_planes: 1\nbox: {box}\n")
    lab_dir = open_file(folder / "lab.yml")
    lab_dir.work.make()
    return lab_dir, lab_of(provider=ProviderKind.LIBVIRT, control_planes=1, box=box)


@pytest.mark.parametrize(("box", "is_told"), [(STOCK, True), ("debian-12", False)])
def test_a_stock_box_that_does_not_answer_may_need_another_firmware(
    box: str, is_told: bool, tmp_path: Path, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab_dir, lab = place_in(tmp_path, box)
    monkeypatch.setattr(boot, "vagrant", lambda lab_dir, lab: FakeVagrant())
    with pytest.raises(BootTimedOut) as caught:
        boot.boot(lab_dir, Hypervisor(connection).of(lab, lab_dir.work), Recorded())
    *told, last = (caught.value.hint or "").splitlines()
    assert last == "the log"
    assert told == ([providers.FIRMWARE_HINT] if is_told else [])


@pytest.mark.parametrize(("box", "warnings"), [(STOCK, 1), ("cloud-image/ubuntu-24.04", 0)])
def test_a_box_that_is_known_to_need_uefi_is_a_warning_before_its_download(
    box: str, warnings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab_dir, lab = place_in(tmp_path, box)
    vagrant, progress = FakeVagrant(), Recorded()
    monkeypatch.setattr(providers, "vagrant", lambda lab_dir, lab: vagrant)
    assert providers._stock_box(lab_dir, lab, progress) == box
    assert vagrant.known == {box}
    assert [line.startswith("warning: ") for line in progress.lines].count(True) == warnings


def test_the_clocks_of_machines_that_run_already_are_corrected(
    tmp_path: Path, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libvirt-guests may have resumed them before halab runs."""
    lab_dir, _ = place_in(tmp_path, "debian-12")
    machines = Hypervisor(connection).of(VIRTUAL, lab_dir.work)
    machines.make_networks()
    define(connection, VIRTUAL, lab_dir.work)
    monkeypatch.setattr(type(machines.work), "has_key_of_vagrant", lambda work, machine: True)
    asked: list[str] = []
    monkeypatch.setattr(stale_clocks, "correct", lambda lab, names, *rest: asked.extend(names))
    assert boot.boot(lab_dir, machines, Recorded()) == 0
    assert asked == [machine.name for machine in VIRTUAL.machines]
