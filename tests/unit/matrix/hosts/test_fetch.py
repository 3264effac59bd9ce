"""A host fetches what a lab needs from another host, a step at a time; what fails is left to the host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.cache_entries import write_box, write_bundle

from halab.errors import HalabError
from halab.matrix.hosts import agent, fetch
from halab.matrix.hosts.cluster import HostGone
from halab.matrix.hosts.fetch import Donor, Fetch


class Caches:
    """Hosts that are only caches: a host is asked with its own folder. `acts` happen before a question."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.raises: dict[tuple[str, Callable[..., Any]], Exception] = {}
        self.said: list[str] = []

    def ask(self, address: str, act: Callable[..., Any], *args: object) -> Any:
        self.asked.append(f"{act.__name__} {address}")
        if (address, act) in self.raises:
            raise self.raises[address, act]
        with self.at(address):
            return act(*args)

    def begin(self, address: str, act: Callable[..., Any], *args: object) -> Any:
        raise AssertionError

    def hosts(self) -> dict[str, str]:
        raise AssertionError

    def at(self, address: str) -> Any:
        patch = pytest.MonkeyPatch()
        patch.setenv("HALAB_CACHE", str(self.folder / address))

        class Restored:
            def __enter__(self) -> None: ...

            def __exit__(self, *error: object) -> None:
                patch.undo()

        return Restored()

    def begun(self, *donors: str) -> Fetch | None:
        names = [Donor(name, name) for name in donors]
        return fetch.begin(self, "a", "name: auto\n", lambda: names, self.said.append)

    def fetched(self, *donors: str) -> int:
        """Fetch everything; the number of steps."""
        fetching, steps = self.begun(*donors), 0
        assert fetching
        while fetching.step():
            steps += 1
        return steps

    def lacking(self) -> list[tuple[str, ...]]:
        with self.at("a"):
            return agent.lacking("name: auto\n")


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Caches:
    monkeypatch.setattr(fetch, "_PART_BYTES", 300)
    caches = Caches(tmp_path)
    with caches.at("c"):
        write_box(write_bundle())
    return caches


def test_a_bundle_and_its_box_come_from_the_host_that_has_them(caches: Caches) -> None:
    steps = caches.fetched("b", "c")
    assert caches.lacking() == []
    assert [line.split(" (")[0].split("/")[0] for line in caches.said] == ["fetch bundles", "fetch boxes"]
    assert all(line.endswith("from c") for line in caches.said)
    # 4000 bytes in parts of 300, four parts in a step
    assert steps > 4
    with caches.at("a"):
        assert not list((caches.folder / "a").glob("*/.building/*"))
    # and nothing is fetched again
    assert caches.begun("c") is None


def test_without_other_hosts_nothing_is_asked(caches: Caches) -> None:
    assert caches.begun() is None and caches.asked == []


def test_what_no_host_has_is_left_to_be_built(caches: Caches) -> None:
    caches.fetched("b")
    assert len(caches.lacking()) == 2 and caches.said == []


def test_a_host_that_cannot_say_what_it_lacks_builds_it(caches: Caches) -> None:
    caches.raises["a", agent.lacking] = HalabError("cannot read the cache")
    assert caches.begun("c") is None
    caches.raises["a", agent.lacking] = HostGone("a")
    assert caches.begun("c") is None


def test_a_donor_that_is_gone_is_said_and_another_is_asked_for_the_rest(caches: Caches) -> None:
    with caches.at("b"):
        write_box(write_bundle())
    caches.raises["c", agent.part] = HostGone("c")
    caches.fetched("c", "b")
    assert [line for line in caches.said if "was not fetched" in line][0].endswith("the host c is gone")
    assert len(caches.lacking()) == 2
    # a donor that does not even answer is passed over
    caches.raises["c", agent.held] = HostGone("c")
    caches.fetched("c", "b")
    assert caches.lacking() == []


def test_what_arrives_damaged_is_removed_and_said(caches: Caches) -> None:
    with caches.at("c"):
        for path in (caches.folder / "c").rglob("root.tar"):
            path.write_bytes(b"something else")
    caches.fetched("c")
    assert any("was not fetched: checksum mismatch" in line for line in caches.said)
    assert len(caches.lacking()) == 1
    assert not list((caches.folder / "a").glob("*/.building/*"))


def test_a_defect_of_a_donor_is_said(caches: Caches) -> None:
    caches.raises["c", agent.part] = PermissionError(13, "Permission denied")
    caches.fetched("c")
    assert any("was not fetched: PermissionError" in line for line in caches.said)


def test_the_host_itself_may_be_gone(caches: Caches) -> None:
    caches.raises["a", agent.receive] = HostGone("a")
    fetching = caches.begun("c")
    assert fetching
    with pytest.raises(HostGone):
        fetching.step()


def test_an_interrupt_removes_what_has_arrived(caches: Caches) -> None:
    fetching = caches.begun("c")
    assert fetching and fetching.step()
    assert list((caches.folder / "a").glob("*/.building/*"))
    fetching.stop()
    assert not list((caches.folder / "a").glob("*/.building/*"))
    fetching.stop()
    assert caches.asked.count("discard a") == 1
