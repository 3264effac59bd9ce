"""Names and networks of the labs on a host."""

from __future__ import annotations

import json
import threading
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import captured

from halab.config.lab import ProviderKind
from halab.config.lab_size import LabSize
from halab.errors import HostProblem, LabProblem
from halab.machines.host import allocation, routes
from halab.machines.host.allocation import Allocation, Scaled

LIBVIRT = ProviderKind.LIBVIRT


def work(folder: Path, name: str) -> Path:
    path = folder / name / ".halab"
    path.mkdir(parents=True, exist_ok=True)
    return path


def network(third: int) -> IPv4Network:
    return IPv4Network(f"10.213.{third}.0/24")


def networks_of(output: str) -> list[IPv4Network]:
    return [each.network for each in routes.parse(output)]


def test_two_labs_get_different_networks(tmp_path: Path) -> None:
    one = allocation.allocate("one", "auto", work(tmp_path, "one"), taken=[])
    other = allocation.allocate("other", "auto", work(tmp_path, "other"), taken=[])
    assert (one.network, other.network) == (network(0), network(1))
    assert allocation.held() == [one, other]


def test_networks_in_use_are_not_chosen(tmp_path: Path) -> None:
    taken = [network(0), IPv4Network("10.213.1.128/25"), IPv4Network("192.168.0.0/16")]
    assert allocation.allocate("ha", "auto", work(tmp_path, "a"), taken=taken).network == network(2)


def test_a_network_with_a_route_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        HostProblem, match=r"10\.50\.7\.0/24 is in use on this host: 10\.50\.0\.0/16"
    ) as caught:
        allocation.allocate("ha", "10.50.7.0/24", work(tmp_path, "a"), taken=[IPv4Network("10.50.0.0/16")])
    assert "network: auto" in (caught.value.hint or "")
    assert allocation.held() == []


def test_a_network_of_another_lab_is_refused(tmp_path: Path) -> None:
    allocation.allocate("one", "10.50.7.0/24", work(tmp_path, "one"), taken=[])
    with pytest.raises(HostProblem, match="another lab holds it"):
        allocation.allocate("other", "10.50.7.0/24", work(tmp_path, "other"), taken=[])


def test_a_full_pool_is_reported(tmp_path: Path) -> None:
    with pytest.raises(HostProblem, match="no free /24 in 10.213.0.0/16"):
        allocation.allocate("ha", "auto", work(tmp_path, "a"), taken=[IPv4Network("10.0.0.0/8")])


def test_the_name_of_another_lab_is_refused_with_its_folder(tmp_path: Path) -> None:
    first = work(tmp_path, "one")
    allocation.allocate("ha", "auto", first, taken=[])
    with pytest.raises(LabProblem, match=f"another lab on this host is called ha: {first}"):
        allocation.allocate("ha", "auto", work(tmp_path, "other"), taken=[])


def test_a_lab_without_its_folder_holds_nothing(tmp_path: Path) -> None:
    allocation.allocate("ha", "auto", work(tmp_path, "one"), taken=[])
    (tmp_path / "one" / ".halab").rmdir()
    again = allocation.allocate("ha", "auto", work(tmp_path, "other"), taken=[])
    assert again.network == network(0)
    assert allocation.held() == [again]


def test_a_work_folder_holds_one_lab(tmp_path: Path) -> None:
    folder = work(tmp_path, "a")
    allocation.allocate("before", "auto", folder, taken=[])
    now = allocation.allocate("now", "auto", folder, taken=[])
    assert allocation.held() == [now]
    assert allocation.of(folder) == now


def test_a_released_network_is_free(tmp_path: Path) -> None:
    one, other = work(tmp_path, "one"), work(tmp_path, "other")
    allocation.allocate("one", "auto", one, taken=[])
    allocation.allocate("other", "auto", other, taken=[])
    allocation.release(one)
    assert allocation.of(one) is None
    assert allocation.preview("auto", [])[0] == network(0)
    allocation.release(one)
    assert [each.name for each in allocation.held()] == ["other"]


def test_a_preview_holds_nothing(tmp_path: Path) -> None:
    assert allocation.preview("auto", [network(0)])[0] == network(1)
    assert allocation.preview("10.50.7.0/24", [])[0] == IPv4Network("10.50.7.0/24")
    assert allocation.held() == []


def test_virtual_machines_have_their_own_network_for_ssh(tmp_path: Path) -> None:
    first = allocation.allocate("one", "auto", work(tmp_path, "one"), taken=[], provider=LIBVIRT)
    other = allocation.allocate("other", "auto", work(tmp_path, "other"), taken=[], provider=LIBVIRT)
    assert first.management == IPv4Network("10.214.0.0/24")
    assert other.management == IPv4Network("10.214.1.0/24")
    assert allocation.held() == [first, other]
    taken = [IPv4Network("10.214.0.0/16")]
    with pytest.raises(HostProblem, match="no free /24 in 10.214.0.0/16"):
        allocation.allocate("third", "auto", work(tmp_path, "third"), taken=taken, provider=LIBVIRT)


def test_an_allocation_without_a_provider_is_read(tmp_path: Path, user_folders: Path) -> None:
    """The first versions wrote none. Only virtual machines had a network for SSH."""
    allocation.allocate("containers", "auto", work(tmp_path, "one"), taken=[])
    allocation.allocate("virtual", "auto", work(tmp_path, "other"), taken=[], provider=LIBVIRT)
    path = user_folders / "state" / "halab" / "allocations.json"
    entries = json.loads(path.read_text())
    assert [entry.pop("provider") for entry in entries] == ["docker", "libvirt"]
    path.write_text(json.dumps(entries))
    assert [held.provider for held in allocation.held()] == [ProviderKind.DOCKER, LIBVIRT]


@given(st.sets(st.integers(0, 255), max_size=255))
def test_a_preview_shows_a_free_network(taken: set[int]) -> None:
    used = [network(third) for third in taken]
    if len(taken) == 256:
        return
    assert allocation.preview("auto", used) not in used


def test_labs_that_come_up_at_once_get_different_networks(tmp_path: Path) -> None:
    def up(name: str) -> None:
        allocation.allocate(name, "auto", work(tmp_path, name), taken=[])

    threads = [threading.Thread(target=up, args=(f"lab{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.network for each in allocation.held()}) == len(threads)


def test_a_held_lock_is_waited_for(tmp_path: Path, user_folders: Path) -> None:
    state = user_folders / "state" / "halab"
    state.mkdir(parents=True)
    done = threading.Event()

    def allocate() -> None:
        allocation.allocate("ha", "auto", work(tmp_path, "a"), taken=[])
        done.set()

    with FileLock(state / "lock"):
        thread = threading.Thread(target=allocate)
        thread.start()
        assert not done.wait(0.1)
    thread.join()
    assert done.is_set()


@pytest.mark.parametrize("content", ["", "{", "[1]", '[{"name": "ha"}]', '{"a": 1}'])
def test_a_damaged_state_file_is_named(content: str, user_folders: Path) -> None:
    path = user_folders / "state" / "halab" / "allocations.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(HostProblem, match=str(path)):
        allocation.held()


def test_only_the_user_may_enter_the_state_folder(tmp_path: Path, user_folders: Path) -> None:
    allocation.allocate("ha", "auto", work(tmp_path, "a"), taken=[])
    state = user_folders / "state" / "halab"
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "allocations.json").stat().st_mode & 0o777 == 0o600


def test_routes_of_a_host_are_its_networks() -> None:
    assert networks_of(captured("routes.json")) == [
        IPv4Network("10.213.0.0/24"),
        IPv4Network("10.244.11.0/24"),
        IPv4Network("10.244.12.0/24"),
        IPv4Network("10.244.13.0/24"),
        IPv4Network("172.17.0.0/16"),
    ]


def test_no_routes_give_no_networks() -> None:
    assert networks_of("") == []


def test_a_default_route_in_two_halves_is_a_default_route() -> None:
    halves = [
        {"dst": "0.0.0.0/1", "dev": "tun0"},
        {"dst": "128.0.0.0/1", "dev": "tun0"},
        {"dst": "10.8.0.5"},
    ]
    assert networks_of(json.dumps(halves)) == [IPv4Network("10.8.0.5/32")]


def test_an_allocation_is_a_plain_value(tmp_path: Path) -> None:
    assert Allocation("ha", network(0), tmp_path) == Allocation("ha", network(0), tmp_path)


def test_the_size_of_a_scaled_lab_is_kept_until_the_lab_is_gone(tmp_path: Path) -> None:
    here = work(tmp_path, "one")
    allocation.allocate("one", "auto", here, taken=[])
    allocation.allocate("other", "auto", work(tmp_path, "other"), taken=[])
    scaled = Scaled(LabSize(5, 1), LabSize(3, 0), LabSize(4, 1))
    allocation.rescale(here, scaled)
    (one, other) = sorted(allocation.held(), key=lambda held: held.name)
    assert (one.scaled, other.scaled) == (scaled, None)
    complete = Scaled(LabSize(4, 1), LabSize(3, 0))
    allocation.rescale(here, complete)
    assert allocation.held()[0].scaled == complete
    allocation.rescale(here, None)
    assert allocation.held()[0].scaled is None


def test_a_lab_that_is_gone_has_no_size(tmp_path: Path) -> None:
    with pytest.raises(LabProblem, match="no network is allocated"):
        allocation.rescale(work(tmp_path, "one"), None)
