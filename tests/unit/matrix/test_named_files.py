"""The files that a lab file names: a change of one makes another lab, and nothing else does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.matrix_builder import plan_of

LAB = "load_balancer: {config: ./own.cfg}\nsetup: {cp: {after: setup/tools.sh}}\nmanifests: [web]\nimages: [own.tar]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.cfg").write_text("global\n\ndefaults\n")
    (tmp_path / "setup").mkdir()
    (tmp_path / "setup/tools.sh").write_text("true\n")
    (tmp_path / "web/app").mkdir(parents=True)
    (tmp_path / "web/app/map.yaml").write_text("{}\n")
    (tmp_path / "own.tar").write_bytes(b"\0" * 10_000_001)
    (tmp_path / "unrelated").write_text("x\n")
    return tmp_path


def named(folder: Path) -> str:
    (lab,) = plan_of(folder, "scenarios: [stop-apiserver]\n", LAB).labs
    return lab.named


@pytest.mark.parametrize("file", ["own.cfg", "setup/tools.sh", "web/app/map.yaml", "own.tar"])
def test_a_changed_file_makes_another_lab(file: str, folder: Path) -> None:
    before = named(folder)
    path = folder / file
    with path.open("ab") as stream:
        stream.write(b"\n")
    assert named(folder) != before


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file that is not named": lambda folder: (folder / "unrelated").write_text("y\n"),
    # the name of the load balancer is no folder of the lab
    "a folder that is called like a value": lambda folder: (folder / "haproxy").mkdir(),
    "a file that was only touched": lambda folder: os.utime(folder / "own.cfg", (1, 1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_else_makes_another_lab(change: str, folder: Path) -> None:
    before = named(folder)
    CHANGES[change](folder)
    assert named(folder) == before != ""


def test_a_value_that_is_too_long_for_a_path_is_no_file(tmp_path: Path) -> None:
    ciphers = ",".join(["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"] * 8)
    arguments = f"[{{name: tls-cipher-suites, value: '{ciphers}'}}]"
    lab = f"kubeadm: {{cluster: {{apiServer: {{extraArgs: {arguments}}}}}}}\n"
    assert plan_of(tmp_path, "scenarios: [stop-apiserver]\n", lab).labs[0].named == ""


def test_a_lab_without_files_has_no_hash(tmp_path: Path) -> None:
    assert plan_of(tmp_path, "scenarios: [stop-apiserver]\n").labs[0].named == ""


def test_a_checkout_counts_with_its_content(tmp_path: Path) -> None:
    def seen() -> str:
        (lab,) = plan_of(tmp_path, "scenarios: [stop-apiserver]\n", "source: {etcd: ./etcd}\n").labs
        return lab.named

    assert seen() == ""
    (tmp_path / "etcd").mkdir()
    (tmp_path / "etcd/main.go").write_text("package main\n")
    before = seen()
    assert before and seen() == before
    (tmp_path / "etcd/main.go").write_text("package other\n")
    assert seen() != before
