"""The disk that virtual machines of a box start from: one copy at libvirt, which all of them read.

Vagrant's plugin makes it when there is none of its name, and takes any of that name for whole, also one in whose middle
it was killed. So it is made here, looked at, and found by Vagrant. The questions are put to a connection that
`Hypervisor` holds, so that the library has one home.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from halab.machines.vagrant import SLASH

# What Vagrant's plugin uses, and where it makes it when it is not there.
POOL = "default"
POOL_FOLDER = Path("/var/lib/libvirt/images")


def volume_name(box: str, disk: Path) -> str:
    """As Vagrant's plugin calls it (0.11.2), of a box that was added from a file."""
    return f"{box.replace('/', SLASH)}_vagrant_box_image_0_{int(disk.stat().st_mtime)}_box.img"


def is_there(library: Any, connection: Any, box: str, disk: Path) -> bool:
    """Whether all of it is."""
    volume = _volume(library, connection, volume_name(box, disk))
    if volume is None:
        return False
    return _length(library, volume) == disk.stat().st_size


def copy(library: Any, connection: Any, box: str, disk: Path) -> None:
    """Make it, or go over what there is of it once more from its beginning."""
    name = volume_name(box, disk)
    volume = _volume(library, connection, name)
    if volume is not None and _length(library, volume) is None:
        # somebody has removed the file, and not told libvirt
        _pool(library, connection).refresh()
        volume = _volume(library, connection, name)
    if volume is None:
        gibibytes = json.loads((disk.parent / "metadata.json").read_text())["virtual_size"]
        volume = _pool(library, connection).createXML(
            f"<volume><name>{escape(name)}</name><capacity unit='GiB'>{gibibytes}</capacity><allocation>0</allocation>"
            "<target><format type='qcow2'/><permissions><mode>0644</mode></permissions></target></volume>"
        )
    stream = connection.newStream()
    with disk.open("rb") as source:
        try:
            volume.upload(stream, 0, disk.stat().st_size)
            stream.sendAll(lambda _, wanted, opened: opened.read(wanted), source)
            stream.finish()
        except BaseException:
            with suppress(library.libvirtError):
                stream.abort()
            raise


def _volume(library: Any, connection: Any, name: str) -> Any | None:
    try:
        return connection.storagePoolLookupByName(POOL).storageVolLookupByName(name)
    except library.libvirtError as error:
        if error.get_error_code() in (library.VIR_ERR_NO_STORAGE_POOL, library.VIR_ERR_NO_STORAGE_VOL):
            return None
        raise


def _length(library: Any, volume: Any) -> int | None:
    """How long its file is; None where there is none, or not yet."""
    try:
        # its type, how large it may become, and that
        return int(volume.infoFlags(library.VIR_STORAGE_VOL_GET_PHYSICAL)[2])
    except library.libvirtError:
        return None


def _pool(library: Any, connection: Any) -> Any:
    try:
        return connection.storagePoolLookupByName(POOL)
    except library.libvirtError as error:
        if error.get_error_code() != library.VIR_ERR_NO_STORAGE_POOL:
            raise
    pool = connection.storagePoolDefineXML(
        f"<pool type='dir'><name>{POOL}</name><target><path>{POOL_FOLDER}</path></target></pool>"
    )
    pool.build()
    pool.setAutostart(1)
    pool.create()
    return pool
