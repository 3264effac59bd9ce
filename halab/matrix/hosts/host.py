"""What a host says about itself before it gets a lab, and whether it may play it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from halab.config.lab import LabFile, ProviderKind
from halab.matrix.at_once import mebibytes

# So many cells in a row with an error are the host's fault.
_MOST_ERRORS = 2


@dataclass(frozen=True)
class HostFacts:
    """A host that could play labs. `code` is a hash of its halab: two checkouts can have the same version.

    `state` is the host with the folder in which its halab keeps labs: only one worker may use it. `providers` are what
    the host seems to have; a doctor looks closer before a lab is built. `free_mebibytes` is None if the host does not
    say it.
    """

    halab: str
    code: str
    state: str
    cores: int
    free_mebibytes: int | None
    architecture: str
    providers: frozenset[ProviderKind]

    def __str__(self) -> str:
        memory = (
            f"{self.free_mebibytes / 1024:.1f} GiB free" if self.free_mebibytes else "free memory unknown"
        )
        names = ", ".join(sorted(self.providers)) or "no provider"
        return f"{self.cores} cores, {memory}, {self.architecture}, {names}"

    def refusal(self, own: HostFacts) -> str:
        """Why it may play no labs of a halab with these facts; empty if it may."""
        if self.halab != own.halab:
            return f"it has halab {self.halab}, and this is halab {own.halab}"
        if self.code != own.code:
            return (
                f"the files of its halab {self.halab} differ from those here; install the same halab on both"
            )
        return ""

    def lacks(self, lab: LabFile) -> str:
        """Why it cannot play a lab; empty if it may try."""
        provider = ProviderKind.DOCKER if lab.provider is ProviderKind.AUTO else lab.provider
        if provider not in self.providers:
            return f"it has no {provider}"
        needed = mebibytes(lab)
        if self.free_mebibytes is not None and self.free_mebibytes < needed:
            return (
                f"the lab needs {needed / 1024:.1f} GiB, and {self.free_mebibytes / 1024:.1f} GiB are free"
            )
        return ""


@dataclass
class Errors:
    """The cells in a row that ended in errors on a host. A cell with several runs counts once."""

    _cells: list[tuple[str, str]]

    @classmethod
    def none(cls) -> Errors:
        return cls([])

    def add(self, lab: str, cell: str, *, is_error: bool) -> None:
        if not is_error:
            self._cells.clear()
        elif (lab, cell) not in self._cells:
            self._cells.append((lab, cell))

    @property
    def are_too_many(self) -> bool:
        return len(self._cells) >= _MOST_ERRORS

    def __str__(self) -> str:
        return " and ".join(f"{cell} on {lab}" if cell else f"the lab {lab}" for lab, cell in self._cells)
