"""What is recorded of the host on which a run took place: figures depend on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HostFacts:
    """The host that ran halab. `engine` is what ran the machines, with its version; a remote lab has it elsewhere.

    `cores` are those that halab may use.
    """

    system: str
    kernel: str
    architecture: str
    cores: int
    memory_mebibytes: int
    engine: str

    def __str__(self) -> str:
        """`Debian GNU/Linux 12, kernel 6.1.0, x86_64, 2 cores, 24102 MiB, docker 20.10.24`."""
        cores = f"{self.cores} core{'' if self.cores == 1 else 's'}"
        parts = [
            self.system,
            f"kernel {self.kernel}",
            self.architecture,
            cores,
            f"{self.memory_mebibytes} MiB",
            self.engine,
        ]
        return ", ".join(parts)
