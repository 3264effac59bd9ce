"""Fetch what a lab needs from another host before it is built again: bundles, boxes and images of components."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from halab.errors import HalabError
from halab.images import cache
from halab.images.shared_entry import SharedFile
from halab.matrix.hosts import agent
from halab.matrix.hosts.cluster import Cluster, HostGone
from halab.printable import one_line

# It goes through the memory of the scheduler and of both hosts.
_PART_BYTES = 16_000_000
# Then the other hosts are heard. At one step a second, a gigabyte takes a quarter of a minute at best.
_PARTS_OF_STEP = 4


@dataclass(frozen=True)
class Donor:
    """A host from which something may be fetched."""

    address: str
    name: str


@dataclass
class Fetch:
    """What one host fetches from others, a step at a time, so that the other hosts are heard meanwhile.

    `donors` are the hosts that may have it now. `say` shows a line. Whatever cannot be fetched is left to the host.
    """

    cluster: Cluster
    address: str
    wanted: deque[tuple[str, ...]]
    donors: Callable[[], Sequence[Donor]]
    say: Callable[[str], None]
    _parts: Iterator[None] | None = field(default=None, init=False)
    _name: str = field(default="", init=False)

    def step(self) -> bool:
        """Fetch some more. Return False when there is nothing to fetch any more. Raises HostGone for this host."""
        if self._parts is None:
            if not self.wanted:
                return False
            self._parts = self._fetch(self.wanted.popleft())
        try:
            for _ in range(_PARTS_OF_STEP):
                next(self._parts)
        except StopIteration:
            self._parts = None
        except HostGone:
            raise
        except Exception as error:
            message = error.message if isinstance(error, HalabError) else f"{type(error).__name__}: {error}"
            self.say(one_line(f"{self._name} was not fetched: {message}"))
            self.stop()
        return True

    def stop(self) -> None:
        """Remove what has arrived of something that is not complete."""
        self._parts = None
        if self._name:
            with suppress(HostGone):
                self.cluster.ask(self.address, agent.discard, self._name)
            self._name = ""

    def _fetch(self, names: tuple[str, ...]) -> Iterator[None]:
        for donor in self.donors():
            try:
                found = self.cluster.ask(donor.address, agent.held, names)
            except HostGone:
                continue
            if found:
                self._name, files = found
                self.say(f"fetch {self._name} ({_size(files)}) from {donor.name}")
                yield from self._copy(donor, files)
                self.cluster.ask(self.address, agent.accept, self._name)
                self._name = ""
                return
            yield

    def _copy(self, donor: Donor, files: Sequence[SharedFile]) -> Iterator[None]:
        for file in files:
            # an empty file has one part, too
            for offset in range(0, max(file.size, 1), _PART_BYTES):
                try:
                    part = self.cluster.ask(
                        donor.address, agent.part, self._name, file.path, offset, _PART_BYTES
                    )
                except HostGone as error:
                    raise HalabError(f"the host {donor.name} is gone") from error
                self.cluster.ask(self.address, agent.receive, self._name, file, offset, part)
                yield


def begin(
    cluster: Cluster,
    address: str,
    lab_file: str,
    donors: Callable[[], Sequence[Donor]],
    say: Callable[[str], None],
) -> Fetch | None:
    """What a host is to fetch for a lab; None if it has everything, or if no other host could have it."""
    if not donors():
        return None
    try:
        wanted = cluster.ask(address, agent.lacking, lab_file)
    except (HostGone, HalabError):
        # it says so when it plays the lab
        return None
    return Fetch(cluster, address, deque(wanted), donors, say) if wanted else None


def _size(files: Sequence[SharedFile]) -> str:
    return cache.in_words(sum(file.size for file in files))
