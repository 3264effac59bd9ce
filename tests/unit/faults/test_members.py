"""etcd's write-ahead log, damaged for real: in the middle, where etcd cannot take it for a write that was cut short."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from support.fakes import FakeGuests, captured
from support.site_builder import Shell, inject, site_of

from halab.errors import CommandFailed
from halab.faults import etcd_data


def record(length: int) -> bytes:
    """A record as etcd writes it: the length of the message with that of its padding, the message, the padding."""
    padding = -length % 8
    head = length | ((0x80 | padding) << 56 if padding else 0)
    return struct.pack("<Q", head) + bytes(range(1, length + 1)) + b"\0" * padding


def corrupted(folder: Path) -> subprocess.CompletedProcess[str]:
    script = etcd_data._CORRUPT.format(data=folder).strip()
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20, check=False)


def log_of(folder: Path, lengths: list[int], name: str = "0000000000000000-0000000000000000.wal") -> Path:
    (folder / "wal").mkdir(exist_ok=True)
    path = folder / "wal" / name
    path.write_bytes(b"".join(record(length) for length in lengths) + b"\0" * 512)
    return path


@pytest.mark.parametrize("lengths", [[16, 24, 32, 40, 48], [5, 13, 21, 33, 47, 50], [9] * 40])
def test_one_byte_in_the_middle_of_the_log_is_flipped(tmp_path: Path, lengths: list[int]) -> None:
    path = log_of(tmp_path, lengths)
    before = path.read_bytes()
    done = corrupted(tmp_path)
    assert done.returncode == 0, done.stderr
    changed = [at for at, (old, new) in enumerate(zip(before, path.read_bytes(), strict=True)) if old != new]
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + len(record(length)))
    (place,) = changed
    number = next(index for index in range(len(lengths)) if starts[index] <= place < starts[index + 1])
    # a torn last record would be repaired; padding and zeros are in no checksum
    assert 0 < number < len(lengths) - 1
    assert starts[number] + 8 <= place < starts[number] + 8 + lengths[number]
    assert done.stdout.strip() == f"byte {place} of {starts[-1]} in {path}"


@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_log_with_too_few_records_is_left_alone(tmp_path: Path, count: int) -> None:
    path = log_of(tmp_path, [16] * count)
    before = path.read_bytes()
    done = corrupted(tmp_path)
    assert done.returncode != 0
    assert f": {count} records are too few" in done.stderr
    assert path.read_bytes() == before


def test_the_newest_segment_of_the_log_is_damaged(tmp_path: Path) -> None:
    older = log_of(tmp_path, [16] * 9)
    newer = log_of(tmp_path, [16] * 9, "0000000000000001-0000000000000100.wal")
    assert older.read_bytes() == newer.read_bytes()
    assert corrupted(tmp_path).returncode == 0
    assert older.read_bytes() != newer.read_bytes()
    assert older.read_bytes() == b"".join(record(16) for _ in range(9)) + b"\0" * 512


def test_if_the_damage_fails_the_kubelet_continues_and_the_member_counts_as_damaged(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "machine")
    log_of(shell.path("/var/lib/etcd/member"), [16])
    status = captured("endpoint-status.json")
    guests = FakeGuests({"endpoint status": status, "exec 9|mkdir": shell})
    with pytest.raises(CommandFailed, match="on cp2"):
        inject(site_of(guests), "corrupt-wal")
    assert shell.did == [
        "systemctl kill --signal=STOP kubelet",
        "pkill -KILL -x etcd",
        "systemctl kill --signal=CONT kubelet",
    ]
    assert len(list(shell.path("/var/lib/halab").glob("*/damaged"))) == 1
