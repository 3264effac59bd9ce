"""The disk that virtual machines of a box start from: one copy at libvirt, which all of them read.

Vagrant's plugin copies it when there is no volume of its name. It does not check whether a volume that exists is
complete: a killed plugin may have left a part of one. So halab makes the copy and checks it, and Vagrant uses it.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from xml.sax.saxutils import escape

from halab.machines.libvirt.handles import Handle, StoragePool, Volume
from halab.machines.vagrant import SLASH

# The pool that Vagrant's plugin uses, and where it makes it if there is none.
POOL = "default"
POOL_FOLDER = Path("/var/lib/libvirt/images")

# The names of those that halab makes. Disks of stock boxes have other names: other people's labs may use them as well.
OF_BOX = re.compile(rf"halab{SLASH}[a-z0-9.-]+-[0-9a-f]{{12}}_vagrant_box_image_0_[0-9]+_box\.img")


def volume_name(box: str, disk: Path) -> str:
    """The name that Vagrant's plugin (0.11.2) gives to the disk of a box that was added from a file."""
    return f"{box.replace('/', SLASH)}_vagrant_box_image_0_{int(disk.stat().st_mtime)}_box.img"


def is_complete(handle: Handle, box: str, disk: Path) -> bool:
    """Whether libvirt has a complete copy of the disk."""
    volume = _volume(handle, volume_name(box, disk))
    return volume is not None and _length(volume) == disk.stat().st_size


def copy(handle: Handle, box: str, disk: Path) -> None:
    """Copy the disk to libvirt. An incomplete copy is written again from its beginning."""
    import libvirt

    name = volume_name(box, disk)
    volume = _volume(handle, name)
    if volume is not None and _length(volume) is None:
        # somebody has removed the file, and libvirt does not know it yet
        _pool(handle).refresh()
        volume = _volume(handle, name)
    if volume is None:
        gibibytes = json.loads((disk.parent / "metadata.json").read_text())["virtual_size"]
        volume = _pool(handle).createXML(
            f"<volume><name>{escape(name)}</name><capacity unit='GiB'>{gibibytes}</capacity><allocation>0</allocation>"
            "<target><format type='qcow2'/><permissions><mode>0644</mode></permissions></target></volume>"
        )
    stream = handle.newStream()
    with disk.open("rb") as source:
        try:
            volume.upload(stream, 0, disk.stat().st_size)
            stream.sendAll(lambda _, wanted, opened: opened.read(wanted), source)
            stream.finish()
        except BaseException:
            with suppress(libvirt.libvirtError):
                stream.abort()
            raise


def _volume(handle: Handle, name: str) -> Volume | None:
    import libvirt

    try:
        return handle.storagePoolLookupByName(POOL).storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_STORAGE_VOL):
            return None
        raise


def _length(volume: Volume) -> int | None:
    """The length of the volume's file in bytes; None if there is no file, or not yet."""
    import libvirt

    try:
        # with this flag, the third value is the length
        return int(volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2])
    except libvirt.libvirtError:
        return None


def _pool(handle: Handle) -> StoragePool:
    import libvirt

    try:
        return handle.storagePoolLookupByName(POOL)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
            raise
    pool = handle.storagePoolDefineXML(
        f"<pool type='dir'><name>{POOL}</name><target><path>{POOL_FOLDER}</path></target></pool>"
    )
    pool.build()
    pool.setAutostart(1)
    pool.create()
    return pool
