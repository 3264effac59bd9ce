"""States over time, and their sources."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from support.fakes import captured
from support.http_server import Serve, http, saying, served

from halab.scenario.record import timeline
from halab.scenario.record.events import StateReading
from halab.scenario.record.lanes import Lane
from halab.scenario.record.states import States
from halab.scenario.sampler import state_sources
from halab.scenario.sampler.etcd_views import Views
from halab.scenario.sampler.state_sources import Asked, Backends, Cluster, EtcdMember, StateSource

ASKED = Asked(0.0, 1.0)
NODES = {name: name for name in ("cp1", "cp2", "cp3")}
LIMIT_SECONDS = 1.0


def reading(
    t: float, value: str | None, state: str = "etcd-leader", machine: str | None = None
) -> StateReading:
    return StateReading(t, 0.01, state, machine, value)


def values_of(readings: list[StateReading]) -> dict[str, str | None]:
    return {str(each.lane): each.value for each in readings}


async def once(source: StateSource) -> list[StateReading]:
    try:
        return await source.read()
    finally:
        source.close()


def test_readings_are_sorted_by_lane_and_time() -> None:
    states = States([reading(2, "cp2"), reading(1, "cp1"), reading(1, "up", "backend", "cp1")])
    assert tuple(map(str, states.lanes)) == ("backend@cp1", "etcd-leader")
    assert [each.value for each in states.of(Lane("etcd-leader"))] == ["cp1", "cp2"]
    assert (sum(states.counts.values()), states.of(Lane("nothing"))) == (3, [])


def test_a_change_is_a_reading_that_differs_from_the_one_before() -> None:
    values = ["cp1", "cp1", None, None, "cp2", "cp1"]
    states = States(reading(t, value) for t, value in enumerate(values))
    assert states.changes(Lane("etcd-leader")) == [(0, "cp1"), (2, None), (4, "cp2"), (5, "cp1")]
    assert states.changes(Lane("nothing")) == []


def test_states_are_read_back_in_the_order_of_the_questions(tmp_path: Path) -> None:
    path = tmp_path / "states.jsonl"
    slow, quick = reading(0, None), reading(1, "cp1")
    path.write_text(f'{quick.to_json()}\n{slow.to_json()}\n{{"t": 2')
    assert timeline.read_states(path) == [slow, quick]
    assert slow.end == 0.01


def test_leaders_are_those_who_hold_the_leases() -> None:
    items = json.loads(captured("leases.json"))["items"]
    values = values_of(state_sources.leaders(ASKED, items, NODES))
    assert values.keys() == {"kcm-leader", "kcm-holder", "scheduler-leader", "scheduler-holder"}
    for role in ("kcm", "scheduler"):
        machine, process = values[f"{role}-leader"], values[f"{role}-holder"]
        assert machine
        assert process
        assert process.startswith(f"{machine}_")


def test_machines_are_known_by_their_host_names() -> None:
    leases = json.loads(captured("leases.json"))["items"]
    nodes = json.loads(captured("nodes.json"))["items"]
    # the names in the cluster are the host names of other machines
    hosts = {"cp7": "cp1", "cp8": "cp2"}
    assert values_of(state_sources.leaders(ASKED, leases, hosts))["kcm-leader"] == "cp7"
    ready = state_sources.readiness(ASKED, nodes, hosts)
    assert [(str(each.lane), each.value) for each in ready] == [
        ("node-ready@cp7", "true"),
        ("node-ready@cp8", "true"),
    ]


def test_nobody_leads_without_a_lease() -> None:
    readings = state_sources.leaders(ASKED, [], NODES)
    assert len(readings) == 4
    assert all((each.value, each.detail) == (None, "nobody holds the lease") for each in readings)


def test_a_node_is_ready_or_not_or_not_there() -> None:
    items = json.loads(captured("nodes.json"))["items"]
    readings = state_sources.readiness(ASKED, items, {"cp1": "cp1", "cp9": "cp9"})
    assert [(str(each.lane), each.value, each.detail) for each in readings] == [
        ("node-ready@cp1", "true", ""),
        ("node-ready@cp9", None, "no such node"),
    ]


@pytest.mark.parametrize(
    ("said", "value", "detail"),
    [
        ("up", "up", ""),
        ("down (Layer4 timeout)", "down", "Layer4 timeout"),
        ("no check (no check yet)", "down", "no check yet"),
        (None, None, "timed out"),
    ],
)
def test_a_backend_is_up_or_down(said: str | None, value: str | None, detail: str) -> None:
    reading = state_sources.backend(ASKED, "cp1", said, "timed out")
    assert (reading.value, reading.detail) == (value, detail)


def test_the_statistics_of_the_balancer_are_read() -> None:
    async def read() -> list[StateReading]:
        async with served(saying(http(captured("show-stat.csv")))) as server:
            return await once(
                Backends(
                    f"http://{server.host}:{server.port}/;csv",
                    {"cp1": "10.213.7.11", "cp9": "10.213.7.19"},
                    0.0,
                    LIMIT_SECONDS,
                )
            )

    assert values_of(asyncio.run(read())) == {"backend@cp1": "up", "backend@cp9": None}


@pytest.mark.parametrize("nonsense", ["", "a,b\n1", "\0\0", "pxname,svname\ncontrol-planes,cp1\n"])
def test_unreadable_statistics_make_the_states_unknown(nonsense: str) -> None:
    async def read() -> list[StateReading]:
        async with served(saying(http(nonsense))) as server:
            return await once(
                Backends(
                    f"http://{server.host}:{server.port}/;csv", {"cp1": "10.213.7.11"}, 0.0, LIMIT_SECONDS
                )
            )

    assert values_of(asyncio.run(read())) == {"backend@cp1": None}


def test_every_answer_of_a_member_updates_the_leader() -> None:
    async def read() -> list[StateReading]:
        async with served(saying(http(captured("maintenance-status.json")))) as server:
            member = EtcdMember("cp1", server, Views(3), 0.0, LIMIT_SECONDS)
            first = await member.read()
            return first + await once(member)

    first, second = (values_of(each) for each in _halves(asyncio.run(read())))
    assert first == {
        "etcd-alarm@cp1": "none",
        "etcd-revision@cp1": "13018",
        "etcd-leader": None,
        "etcd-term": "3",
    }
    assert second == dict.fromkeys(first)


def each_for_itself(*answers: bytes) -> Serve:
    """A connection for each answer, in the order of their opening."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(left.pop(0))(reader, writer)

    return serve


def test_an_api_server_that_does_not_answer_is_skipped() -> None:
    good = each_for_itself(http(captured("leases.json")), http(captured("nodes.json")))

    async def read() -> list[StateReading]:
        async with served(good) as answers, served(saying(http("<html>"))) as broken:
            # the first of the list is the last to be asked at first
            return await once(Cluster([answers, broken], {"cp1": "cp1"}, 0.0, LIMIT_SECONDS))

    values = values_of(asyncio.run(read()))
    assert values["node-ready@cp1"] == "true"
    assert values["kcm-leader"]


def test_states_are_unknown_if_no_api_server_answers() -> None:
    async def read() -> list[StateReading]:
        async with served(saying(http("", "503 Unavailable"))) as broken:
            return await once(Cluster([broken], {"cp1": "cp1"}, 0.0, LIMIT_SECONDS))

    readings = asyncio.run(read())
    assert values_of(readings) == dict.fromkeys(
        ["kcm-leader", "kcm-holder", "scheduler-leader", "scheduler-holder", "node-ready@cp1"]
    )
    assert {each.detail for each in readings} == {"503"}


def _halves(readings: list[StateReading]) -> tuple[list[StateReading], list[StateReading]]:
    middle = len(readings) // 2
    return readings[:middle], readings[middle:]
