"""A box that was cut short is known by its end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from halab.config.lab import Provider
from halab.images.box import Box
from halab.images.whole import is_whole


@pytest.fixture(params=[Provider.DOCKER, Provider.LIBVIRT])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Box:
    """Packed by tar, as halab packs it, with members of sizes that fill no block."""
    provider = request.param
    box = Box("debian-12", "0123456789ab", tmp_path / "box", provider)
    box.path.mkdir()
    names = ["metadata.json", "Vagrantfile", "box.img"]
    for name, size in zip(names, (70, 300, 1_234_567), strict=True):
        (tmp_path / name).write_bytes(bytes(range(256)) * (size // 256 + 1))
    packer = ["--use-compress-program=gzip -1"] if provider is Provider.LIBVIRT else []
    subprocess.run(["tar", "-C", tmp_path, *packer, "-cf", box.file, *names], check=True, timeout=60)
    return box


def test_a_box_as_it_was_packed_is_whole(box: Box) -> None:
    assert is_whole(box)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_box_that_is_cut_short_is_not(box: Box, share: float) -> None:
    whole = box.file.read_bytes()
    box.file.write_bytes(whole[: int(len(whole) * share)])
    assert not is_whole(box)


def test_a_box_that_is_something_else_is_not_whole(box: Box) -> None:
    box.file.write_bytes(b"<html>not found</html>" * 1000)
    assert not is_whole(box)
