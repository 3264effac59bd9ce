"""The disk of a box at libvirt: complete, or copied again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from halab.machines.libvirt import base_disk

BOX = "halab/debian-12-0123456789ab"


class Pools:
    """A libvirt with one pool, and the files in it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.made: list[str] = []
        self.breaks_after: int | None = None

    def storagePoolLookupByName(self, name: str) -> Any:
        if name not in self.made:
            raise refusal("VIR_ERR_NO_STORAGE_POOL")
        return self

    def storagePoolDefineXML(self, xml: str) -> Any:
        assert "<name>default</name>" in xml and "/var/lib/libvirt/images" in xml
        self.made.append("default")
        return self

    def build(self) -> None: ...

    create = build

    def setAutostart(self, on: int) -> None: ...

    def storageVolLookupByName(self, name: str) -> Any:
        if name not in self.files:
            raise refusal("VIR_ERR_NO_STORAGE_VOL")
        return Volume(self, name)

    def createXML(self, xml: str) -> Any:
        name = xml.split("<name>")[1].split("</name>")[0]
        assert "<capacity unit='GiB'>20</capacity>" in xml
        self.files[name] = b"header"
        return Volume(self, name)

    def newStream(self) -> Any:
        return Stream(self)


class Volume:
    def __init__(self, pools: Pools, name: str) -> None:
        self.pools, self.name = pools, name

    def infoFlags(self, flags: int) -> list[int]:
        return [0, 20 << 30, len(self.pools.files[self.name])]

    def upload(self, stream: Stream, offset: int, length: int) -> None:
        stream.into = self.name


class Stream:
    def __init__(self, pools: Pools) -> None:
        self.pools, self.into = pools, ""

    def sendAll(self, read: Callable[[Any, int, IO[bytes]], bytes], source: IO[bytes]) -> None:
        sent = b""
        while got := read(self, 4, source):
            sent += got
            self.pools.files[self.into] = sent
            if self.pools.breaks_after is not None and len(sent) > self.pools.breaks_after:
                raise KeyboardInterrupt

    def finish(self) -> None: ...

    def abort(self) -> None: ...


def refusal(code: str) -> Exception:
    import libvirt

    error = libvirt.libvirtError("no")
    error.err = [getattr(libvirt, code)]
    assert isinstance(error, Exception)
    return error


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    found = tmp_path / "box.img"
    found.write_bytes(b"what a machine starts from")
    os.utime(found, (1_700_000_000.9, 1_700_000_000.9))
    (tmp_path / "metadata.json").write_text('{"provider": "libvirt", "format": "qcow2", "virtual_size": 20}')
    return found


def test_it_has_the_name_that_vagrant_expects(disk: Path) -> None:
    assert base_disk.volume_name(BOX, disk) == (
        "halab-VAGRANTSLASH-debian-12-0123456789ab_vagrant_box_image_0_1700000000_box.img"
    )


def test_it_is_copied_into_a_pool_that_is_made_if_necessary(disk: Path) -> None:
    pools: Any = Pools()
    assert not base_disk.is_complete(pools, BOX, disk)
    base_disk.copy(pools, BOX, disk)
    assert base_disk.is_complete(pools, BOX, disk)
    assert pools.files == {base_disk.volume_name(BOX, disk): disk.read_bytes()}
    assert pools.made == ["default"]


def test_an_incomplete_copy_is_made_again(disk: Path) -> None:
    pools: Any = Pools()
    pools.breaks_after = 5
    with pytest.raises(KeyboardInterrupt):
        base_disk.copy(pools, BOX, disk)
    assert list(pools.files.values()) == [b"what a m"]
    assert not base_disk.is_complete(pools, BOX, disk)
    pools.breaks_after = None
    base_disk.copy(pools, BOX, disk)
    assert base_disk.is_complete(pools, BOX, disk)
