"""The smallest guest that shows whether KVM runs guests: one disk sector (amd64) or a few words of code (arm64).

A device that opens proves nothing: some hosts emulate every instruction of a guest, and no kernel ever finishes its
boot there. So the guest does what a kernel does at its start, with BIOS calls, and then so much plain work that only
a real processor can finish in time. It writes a letter to the serial port after every stage, and then ends qemu.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from halab import process
from halab.errors import TimedOut
from halab.images.cache import Architecture

# The guest takes 0.6 s under qemu's own emulation (accel tcg) on a slow core, and much less under a working KVM.
LIMIT_SECONDS = 10


@dataclass(frozen=True)
class Guest:
    """`stages` are in the order of the boot, by the letter that the guest writes after them.

    In `arguments`, `{image}` is replaced by the file that holds the code.
    """

    qemu: str
    package: str
    arguments: Sequence[str]
    code: bytes
    stages: Mapping[str, str]
    exit_code: int


@dataclass(frozen=True)
class Boot:
    """How far a guest came: the completed stages and, if it did not finish, where and why it stopped."""

    passed: Sequence[str]
    stopped_before: str | None
    complaint: str = ""

    @property
    def is_complete(self) -> bool:
        return self.stopped_before is None


def boot(
    guest: Guest, program: str, *, accelerator: str = "kvm", limit_seconds: float = LIMIT_SECONDS
) -> Boot:
    """Run the guest and remove its files. Raises HostProblem if qemu itself cannot start."""
    with tempfile.TemporaryDirectory(prefix="halab-guest-") as folder:
        image, serial = Path(folder, "image"), Path(folder, "serial")
        image.write_bytes(guest.code)
        own = [argument.format(image=image) for argument in guest.arguments]
        # `timeout` ends the guest even if halab itself is killed: a guest that hangs would run forever
        last_resort = ["timeout", "--signal=KILL", f"{limit_seconds + 2:.0f}"]
        argv = [*last_resort, program, "-accel", accelerator, *_COMMON, *own, "-serial", f"file:{serial}"]
        code, complaint = _run(argv, limit_seconds)
        written = serial.read_text(errors="replace") if serial.exists() else ""
    return _judge(guest, written, code, complaint)


def guest_for(architecture: Architecture) -> Guest:
    return _GUESTS[architecture]


def _run(argv: Sequence[str], limit_seconds: float) -> tuple[int | None, str]:
    try:
        done = process.run(argv, timeout_seconds=limit_seconds, check=False)
    except TimedOut:
        return None, f"it did not end within {limit_seconds:.0f} s"
    complaints = [line for line in done.errors.splitlines() if "warning:" not in line]
    return done.code, complaints[0] if complaints else f"qemu exited with code {done.code}"


def _judge(guest: Guest, written: str, code: int | None, complaint: str) -> Boot:
    passed = [stage for letter, stage in guest.stages.items() if letter in written]
    missing = [stage for letter, stage in guest.stages.items() if letter not in written]
    if not missing and code == guest.exit_code:
        return Boot(passed, None)
    return Boot(passed, missing[0] if missing else "power off", complaint)


_COMMON = (
    "-display", "none", "-monitor", "none", "-nodefaults", "-no-user-config", "-no-reboot", "-m", "32",
)  # fmt: skip

# Each line: machine code, what it does. A sector is loaded to 0x7c00; dx holds the serial port, 0x3f8.
_REAL_MODE = """
fa                    cli
31c0                  xor ax, ax
8ed8 8ec0 8ed0        mov ds, ax; mov es, ax; mov ss, ax
bc007c                mov sp, 0x7c00
fb                    sti
bdf803                mov bp, 0x3f8
89ea b041 ee          mov dx, bp; mov al, 'A'; out dx, al
b441 bbaa55 b280      mov ah, 0x41; mov bx, 0x55aa; mov dl, 0x80
cd13                  int 0x13                                  the disk, as a kernel probes EDD: are there extensions
b448 b280             mov ah, 0x48; mov dl, 0x80
be0080 c7041a00       mov si, 0x8000; mov word [si], 26
cd13                  int 0x13                                  … and its parameters
89ea b042 ee          mov dx, bp; mov al, 'B'; out dx, al
6631db bf0080         xor ebx, ebx; mov di, 0x8000
66b820e80000          next: mov eax, 0xe820
66b918000000          mov ecx, 24
66ba50414d53          mov edx, 'SMAP'
cd15                  int 0x15                                  the memory map, entry after entry
7205                  jc done
6685db 75e5           test ebx, ebx; jnz next
89ea b043 ee          done: mov dx, bp; mov al, 'C'; out dx, al
fa                    cli
660f0116c07d          lgdt [0x7dc0]
0f20c0 0c01 0f22c0    mov eax, cr0; or al, 1; mov cr0, eax
ea807c0800            jmp 8:0x7c80                              32-bit code
"""
_PROTECTED_MODE = """
b810000000            mov eax, 16
8ed8 8ec0 8ed0        mov ds, eax; mov es, eax; mov ss, eax
b044 ee               mov al, 'D'; out dx, al
31c0 bf00100000       xor eax, eax; mov edi, 0x1000
b9000c0000 f3ab       mov ecx, 0xc00; rep stosd                 three empty page tables
66c705001000000320    mov word [0x1000], 0x2003
66c705002000000330    mov word [0x2000], 0x3003
c6050030000083        mov byte [0x3000], 0x83                   the first 2 MiB, as they are
b800100000 0f22d8     mov eax, 0x1000; mov cr3, eax
0f20e0 0c20 0f22e0    mov eax, cr4; or al, 0x20; mov cr4, eax
b9800000c0            mov ecx, 0xc0000080                       EFER
0f32 80cc01 0f30      rdmsr; or ah, 1; wrmsr
0f20c0 0d00000080     mov eax, cr0; or eax, 0x80000000
0f22c0                mov cr0, eax                              paging, and with it long mode
ea007d00001800        jmp 24:0x7d00                             64-bit code
"""
_LONG_MODE = """
66baf803 b045 ee      mov dx, 0x3f8; mov al, 'E'; out dx, al
bc007c0000            mov esp, 0x7c00
bf00420000            mov edi, 0x4200                           the gate of interrupt 32: to 24:0x7d80
b8807d1800 ab         mov eax, 0x187d80; stosd
b8008e0000 ab         mov eax, 0x8e00; stosd
31c0 ab ab            xor eax, eax; stosd; stosd
0f011c25c67d0000      lidt [0x7dc6]
b011 e620             mov al, 0x11; out 0x20, al                the interrupt controller: first interrupt 32
b020 e621             mov al, 0x20; out 0x21, al
b004 e621             mov al, 4; out 0x21, al
b001 e621             mov al, 1; out 0x21, al
b0fe e621             mov al, 0xfe; out 0x21, al                … and the timer alone
fb f4                 sti; hlt                                  until the timer ticks
b046 ee               mov al, 'F'; out dx, al
b900e1f505            mov ecx, 100000000                        twice as many instructions
ffc9 75fc             again: dec ecx; jnz again
b047 ee               mov al, 'G'; out dx, al
b021 e6f4             mov al, 0x21; out 0xf4, al                isa-debug-exit: qemu ends with 2 × 0x21 + 1
f4                    hlt
"""
_TIMER = """
50 b020 e620 58       push rax; mov al, 0x20; out 0x20, al; pop rax
48cf                  iretq
"""
_TABLES = """
0000000000000000      no segment
ffff0000009acf00      8: code, 32 bits
ffff00000092cf00      16: data
ffff0000009aaf00      24: code, 64 bits
1f00 a07d0000         of 0x7dc0: these four, at 0x7da0
0f020040000000000000  of 0x7dc6: gates, at 0x4000
"""
# Words of A64, as they lie in memory.
_ARM64 = """
0120a1d2              movz x1, 0x900, lsl 16                    the serial port of `virt`: 0x9000000
20088052 20000039     mov w0, 'A'; strb w0, [x1]
a2bea052 02209c72     mov w2, 100000000
42040071 e1ffff54     again: subs w2, w2, 1; b.ne again
e0088052 20000039     mov w0, 'G'; strb w0, [x1]
0080b052 00018072     mov w0, 0x84000008                        PSCI: off
020000d4              hvc 0
00000014              b .
"""


def _code(listing: str) -> bytes:
    """The machine code of a listing: the hexadecimal digits at the start of every line."""
    code = bytearray()
    for line in listing.strip().splitlines():
        code += bytes.fromhex(line.split("  ", 1)[0])
    return bytes(code)


def _sector() -> bytes:
    pieces = {0x00: _REAL_MODE, 0x80: _PROTECTED_MODE, 0x100: _LONG_MODE, 0x180: _TIMER, 0x1A0: _TABLES}
    sector = bytearray()
    for offset, listing in pieces.items():
        assert len(sector) <= offset, f"a piece is too long for its place: before {offset:#x}"
        sector += bytes(offset - len(sector)) + _code(listing)
    return bytes(sector) + bytes(510 - len(sector)) + b"\x55\xaa"


_GUESTS = {
    Architecture.AMD64: Guest(
        qemu="qemu-system-x86_64",
        package="qemu-system-x86",
        arguments=(
            "-machine", "pc", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-drive", "if=ide,format=raw,file={image}",
        ),
        code=_sector() + bytes(63 * 512),  # a BIOS finds no geometry in a disk of one sector
        stages={
            "A": "real mode", "B": "disk calls of the BIOS", "C": "memory map of the BIOS", "D": "protected mode",
            "E": "paging and long mode", "F": "a timer interrupt", "G": "200 million instructions",
        },
        exit_code=2 * 0x21 + 1,
    ),
    Architecture.ARM64: Guest(
        qemu="qemu-system-aarch64",
        package="qemu-system-arm",
        arguments=("-machine", "virt,gic-version=max", "-cpu", "max", "-kernel", "{image}"),
        code=_code(_ARM64),
        stages={"A": "the first instruction", "G": "200 million instructions"},
        exit_code=0,
    ),
}  # fmt: skip
