"""A quick check that the file of a box is complete. It does not read all of the file: that would take seconds."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

from halab.config.lab import ProviderKind
from halab.images.box import Box

_BLOCK = 512
# tar ends with two blocks of zeroes, and pads the file to a record
_END = 2 * _BLOCK
_RECORD = 10240
# The first two are small; the third is the disk.
_MEMBERS = 3


def is_complete(box: Box) -> bool:
    try:
        return _tar_ends(box.file) if box.provider is ProviderKind.DOCKER else _gzip_ends(box.file)
    except (OSError, EOFError, tarfile.TarError):
        return False


def _tar_ends(path: Path) -> bool:
    size = path.stat().st_size
    if size < _END or size % _BLOCK:
        return False
    with path.open("rb") as file:
        file.seek(-_END, os.SEEK_END)
        return not any(file.read(_END))


def _gzip_ends(path: Path) -> bool:
    """gzip's last four bytes are the size of the content, which the headers of the tar give as well."""
    end = 0
    with gzip.open(path) as plain, tarfile.open(fileobj=plain) as tar:
        for _ in range(_MEMBERS):
            member = tar.next()
            if member is None:
                return False
            end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK
    expected = -(-(end + _END) // _RECORD) * _RECORD
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little") == expected % (1 << 32)
