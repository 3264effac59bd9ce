"""A truncated box is recognized by its end, and a changed one by its checksum."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from halab.config.lab import ProviderKind
from halab.errors import Corrupted
from halab.images.box import Box
from halab.images.integrity import is_complete


@pytest.fixture(params=[ProviderKind.DOCKER, ProviderKind.LIBVIRT])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Box:
    """A box that tar has packed as halab does, with members that do not fill a block."""
    provider = request.param
    box = Box("debian-12", "0123456789ab", tmp_path / "box", provider)
    box.path.mkdir()
    names = ["metadata.json", "Vagrantfile", "box.img"]
    for name, size in zip(names, (70, 300, 1_234_567), strict=True):
        (tmp_path / name).write_bytes(bytes(range(256)) * (size // 256 + 1))
    packer = ["--use-compress-program=gzip -1"] if provider is ProviderKind.LIBVIRT else []
    subprocess.run(["tar", "-C", tmp_path, *packer, "-cf", box.file, *names], check=True, timeout=60)
    return box


def test_an_unchanged_box_is_complete(box: Box) -> None:
    assert is_complete(box)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_truncated_box_is_not_complete(box: Box, share: float) -> None:
    whole = box.file.read_bytes()
    box.file.write_bytes(whole[: int(len(whole) * share)])
    assert not is_complete(box)


def test_another_file_is_not_a_complete_box(box: Box) -> None:
    box.file.write_bytes(b"<html>not found</html>" * 1000)
    assert not is_complete(box)


@pytest.fixture
def noted(box: Box) -> Box:
    digest = hashlib.sha256(box.file.read_bytes()).hexdigest()
    contents = {"kubernetes": "1.37.2", "source": "modules", "sha256": digest}
    (box.path / "box.json").write_text(json.dumps(contents))
    return box


def test_an_unchanged_box_has_its_checksum(noted: Box) -> None:
    noted.require_as_built()


def test_one_changed_byte_is_noticed(noted: Box) -> None:
    """Size and end do not change: a tar has no checksum of its content."""
    with noted.file.open("r+b") as file:
        file.seek(noted.size_bytes // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    assert is_complete(noted)
    with pytest.raises(Corrupted, match="checksum") as caught:
        noted.require_as_built()
    assert str(noted.file) in caught.value.message
    assert caught.value.hint and caught.value.hint.startswith("build it again: ")
    assert caught.value.hint.endswith(
        f"halab box build debian-12 --provider {noted.provider} --kubernetes 1.37.2 --source modules --force"
    )


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"kubernetes": "1.37.2"}'])
def test_a_box_without_a_record_is_not_used(box: Box, text: str | None) -> None:
    if text is not None:
        (box.path / "box.json").write_text(text)
    with pytest.raises(Corrupted, match=r"box\.json") as caught:
        box.require_as_built()
    assert caught.value.hint and str(box.path) in caught.value.hint
