"""The guest that tests KVM: its code, a boot that completes, and boots that fail."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from halab.doctor.kvm_guest import boot, guest_for
from halab.images.cache import Architecture

AMD64 = guest_for(Architecture.AMD64)


@pytest.fixture
def qemu(tmp_path: Path) -> Path:
    """A program in qemu's place; tests write its body, `$serial` is the file of the serial port."""
    program = tmp_path / "qemu"
    program.write_text('#!/bin/sh\nfor serial; do :; done\nserial=${serial#file:}\n. "$0.body"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def body(qemu: Path, text: str) -> str:
    qemu.with_name("qemu.body").write_text(text)
    return str(qemu)


def test_the_disk_begins_with_a_sector_that_a_bios_boots() -> None:
    assert AMD64.code[510:512] == b"\x55\xaa"
    assert len(AMD64.code) % 512 == 0


def test_the_code_for_arm64_consists_of_complete_words() -> None:
    assert len(guest_for(Architecture.ARM64).code) % 4 == 0


@pytest.mark.parametrize("architecture", Architecture)
def test_the_guest_completes_under_emulation(architecture: Architecture) -> None:
    guest = guest_for(architecture)
    program = shutil.which(guest.qemu)
    if program is None:
        pytest.skip(f"not found: {guest.qemu}")
    result = boot(guest, program, accelerator="tcg", limit_seconds=60)
    assert result.is_complete, result
    assert list(result.passed) == list(guest.stages.values())


def test_a_guest_that_wrote_everything_and_powered_off_is_complete(qemu: Path) -> None:
    program = body(qemu, f'printf ABCDEFG >"$serial"; exit {AMD64.exit_code}')
    assert boot(AMD64, program).is_complete


def test_a_guest_that_hangs_is_ended_and_its_last_stage_reported(qemu: Path) -> None:
    program = body(qemu, 'printf ABCD >"$serial"; exec sleep 60')
    result = boot(AMD64, program, limit_seconds=0.5)
    assert (result.passed[-1], result.stopped_before) == ("protected mode", "paging and long mode")
    assert result.complaint.startswith("it did not end within")


def test_a_guest_that_does_not_power_off_is_not_complete(qemu: Path) -> None:
    program = body(qemu, 'printf ABCDEFG >"$serial"; exit 1')
    assert boot(AMD64, program).stopped_before == "power off"


def test_a_qemu_that_refuses_is_quoted_without_its_warnings(qemu: Path) -> None:
    program = body(qemu, 'echo "qemu: warning: old" >&2; echo "qemu: no KVM for you" >&2; exit 1')
    result = boot(AMD64, program)
    assert (list(result.passed), result.complaint) == ([], "qemu: no KVM for you")


def test_every_piece_of_the_sector_is_at_its_jump_target() -> None:
    assert AMD64.code[0x80:0x85] == bytes.fromhex("b810000000")
    assert AMD64.code[0x100:0x104] == bytes.fromhex("66baf803")
    assert AMD64.code[0x180:0x187] == bytes.fromhex("50b020e6205848")
