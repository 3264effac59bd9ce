"""The states that are read only if a scenario names them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.fakes import Call, FakeGuestShell
from support.http_server import http, saying, served
from support.site_builder import Shell

from halab.cluster.connection import Server
from halab.config.expectation import FactName
from halab.errors import Unreachable
from halab.machines.guest_shell import GuestShell
from halab.scenario.record.events import StateReading
from halab.scenario.sampler.named_sources import (
    Inside,
    NodeChoice,
    OfAddresses,
    VoterCount,
    endpoints,
    members,
)

CONTROL_PLANES = {"cp1": "10.1.0.11", "cp2": "10.1.0.12", "cp3": "10.1.0.13"}
MEMBERS = {
    "members": [
        {"name": "cp1", "peerURLs": ["https://10.1.0.11:2380"], "clientURLs": ["https://10.1.0.11:2379"]},
        {"peerURLs": ["https://10.1.0.12:2380"], "isLearner": True},
    ]
}
SLICE = {
    "endpoints": [
        {"addresses": ["10.1.0.11"], "conditions": {"ready": True}},
        {"addresses": ["10.1.0.12"], "conditions": {"ready": False}},
    ]
}


def seen(readings: list[StateReading]) -> dict[str, tuple[str | None, str]]:
    return {str(reading.lane): (reading.value, reading.detail) for reading in readings}


async def read_from(fact: FactName, *servers: Server) -> list[StateReading]:
    source = OfAddresses(fact, servers, CONTROL_PLANES, 0.0, 1.0)
    try:
        return await source.read()
    finally:
        source.close()


def test_members_are_voters_or_learners_and_a_machine_may_have_none() -> None:
    async def read() -> list[StateReading]:
        async with served(saying(http(MEMBERS))) as server:
            return await read_from(FactName.ETCD_MEMBER, server)

    assert seen(asyncio.run(read())) == {
        "etcd-member@cp1": ("voter", ""),
        "etcd-member@cp2": ("learner", ""),
        "etcd-member@cp3": ("absent", ""),
    }


def test_voters_are_counted_with_those_of_machines_that_joined_later() -> None:
    def member(number: int, **more: object) -> dict[str, object]:
        return {"peerURLs": [f"https://10.1.0.{number}:2380"], **more}

    listed = {"members": [member(11), member(12), member(14), member(15, isLearner=True)]}

    async def read() -> list[StateReading]:
        async with served(saying(http(listed))) as server:
            source = VoterCount(FactName.ETCD_MEMBERS, [server], 0.0, 1.0)
            try:
                return await source.read()
            finally:
                source.close()

    assert seen(asyncio.run(read())) == {"etcd-members": ("3", "")}


def test_the_number_of_voters_is_unknown_if_no_member_answers() -> None:
    source = VoterCount(FactName.ETCD_MEMBERS, [Server("127.0.0.1", 1)], 0.0, 1.0)
    (reading,) = asyncio.run(source.read())
    assert reading.value is None and reading.detail


def test_the_next_server_is_asked_if_one_does_not_answer() -> None:
    async def read() -> list[StateReading]:
        async with served(saying(http(SLICE))) as server:
            # the first server is asked last
            return await read_from(FactName.KUBERNETES_ENDPOINT, server, Server("127.0.0.1", 1))

    assert [reading.value for reading in asyncio.run(read())] == ["listed", "absent", "absent"]


@pytest.mark.parametrize("answer", [http([]), http({}), http({"members": [{}]}), b"HTTP/1.1 503 no\r\n\r\n"])
def test_without_a_good_answer_the_state_is_unknown(answer: bytes) -> None:
    async def read() -> list[StateReading]:
        async with served(saying(answer)) as server:
            return await read_from(FactName.ETCD_MEMBER, server)

    readings = asyncio.run(read())
    assert [reading.value for reading in readings] == [None, None, None]
    assert all(reading.detail for reading in readings)


def test_an_endpoint_without_addresses_behind_it_lists_nobody() -> None:
    assert endpoints({"endpoints": None}) == {}
    assert members({"members": []}) == {}


def inside(shell: GuestShell) -> list[StateReading]:
    units = ["kubelet.service", "getty@tty1.service"]
    return asyncio.run(Inside("cp2", shell, units, [FactName.ETCD_MEMORY], 0.0, 1.0).read())


def test_the_commands_print_what_is_read(tmp_path: Path) -> None:
    machine = Shell(tmp_path)
    machine.add_tool(
        "systemctl",
        'if [ "${!#}" = kubelet.service ]; then echo LoadState=loaded; echo ActiveState=failed; exit; fi\n'
        "echo LoadState=not-found; echo ActiveState=inactive",
    )
    machine.add_tool("pgrep", "echo self")
    fake = FakeGuestShell("")
    inside(fake)
    fake.answer = " ".join(machine(Call("cp2", fake.asked[0], None, None, 20)).output.split())
    readings = seen(inside(fake))
    assert readings["kubelet.service@cp2"] == ("failed", "")
    assert readings["getty@tty1.service@cp2"] == (None, "no such unit")
    memory, why = readings["etcd-memory@cp2"]
    assert (memory is not None and memory.isdigit(), why) == (True, "")


@pytest.mark.parametrize(
    ("pids", "said"),
    [("11 12", "3"), ("11", "2"), ("", "")],
    ids=["main process and worker", "one process", "none"],
)
def test_the_memory_of_a_load_balancer_is_that_of_all_its_processes(
    tmp_path: Path, pids: str, said: str
) -> None:
    machine = Shell(tmp_path)
    for pid, kibibytes in ((11, 2048), (12, 1024)):
        status = tmp_path / f"proc/{pid}/status"
        status.parent.mkdir(parents=True)
        status.write_text(f"Name:\thaproxy\nVmRSS:\t    {kibibytes} kB\n")
    machine.add_tool("pgrep", f'[ "$*" = "-x haproxy|nginx|dnsmasq" ] && printf "%s\\n" {pids}')
    fake = FakeGuestShell("")
    source = Inside("lb1", fake, [], [FactName.BALANCER_MEMORY], 0.0, 1.0)
    asyncio.run(source.read())
    command = fake.asked[0].replace("/proc/", f"{tmp_path}/proc/")
    fake.answer = machine(Call("lb1", command, None, None, 20)).output.strip()
    readings = seen(asyncio.run(source.read()))
    assert readings["balancer-memory@lb1"] == ((said, "") if said else (None, "it does not run"))


def test_a_process_that_does_not_run_has_no_memory() -> None:
    fake = FakeGuestShell("kubelet.service=active/loaded etcd-memory=")
    assert seen(inside(fake)) == {
        "kubelet.service@cp2": ("active", ""),
        "getty@tty1.service@cp2": (None, "systemd does not answer"),
        "etcd-memory@cp2": (None, "it does not run"),
    }


def test_memory_is_in_mebibytes() -> None:
    fake = FakeGuestShell("etcd-memory=104857")
    assert seen(inside(fake))["etcd-memory@cp2"] == ("102", "")


@pytest.mark.parametrize(
    ("error", "why"),
    [(Unreachable("the connection is cut"), "the connection is cut"), (TimeoutError(), "timed out")],
)
def test_a_machine_that_does_not_answer_has_unknown_states(error: Exception, why: str) -> None:
    readings = inside(FakeGuestShell(error))
    assert {(reading.value, reading.detail) for reading in readings} == {(None, why)}


@pytest.mark.parametrize(
    ("answer", "value", "why"),
    [
        ("cp2=9s cp1=1m9s", "cp2", ""),
        ("10.1.0.13:6443", "cp3", ""),
        ("", None, "none"),
        ("cp1=9s cp2=9s", None, "cp1+cp2"),
        (Unreachable("the connection is cut"), None, "the connection is cut"),
        (TimeoutError(), None, "timed out"),
    ],
)
def test_a_node_has_chosen_the_api_server_of_its_kubelet(
    answer: str | Exception, value: str | None, why: str
) -> None:
    source = NodeChoice("w1", FakeGuestShell(answer), CONTROL_PLANES, 0.0, 1.0)
    assert seen(asyncio.run(source.read())) == {"backend-of@w1": (value, why)}
    source.close()
