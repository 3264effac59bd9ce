"""The ledger: the writes that count, and the data of the etcd members."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from support.fakes import Call, FakeClock, FakeGuests, captured, lab_of

from halab.cluster import api
from halab.cluster.api import Api
from halab.errors import CommandFailed, LabProblem, TimedOut, Unreachable
from halab.process import Completed
from halab.scenario.record.events import Members
from halab.scenario.run import ledger
from halab.scenario.run.ledger import Held, LedgerReading

FUTURE = CommandFailed("x", code=1, output="Error: etcdserver: mvcc: required revision is a future revision")


def printed(*numbers: int, hash: int = 7, compacted: int = 3, count: int = 300) -> str:
    said = {"header": {"revision": 99}, "hash": hash, "compact_revision": compacted, "hash_revision": 9}
    lines = [json.dumps([{"Endpoint": "x", "HashKV": said}]), f'"Count" : {count}', *map(str, numbers)]
    return "\n".join(lines) + "\n"


def guests(**held: Any) -> FakeGuests:
    status = captured("endpoint-status.json")
    return FakeGuests(
        {"endpoint status": status, **{f"{name}: .*hashkv": each for name, each in held.items()}}
    )


def members(machines: FakeGuests, acknowledged: set[int], clock: FakeClock | None = None) -> Members:
    return ledger.members(machines, lab_of(), "space", acknowledged, clock or FakeClock())


def test_the_data_of_every_member_is_recorded() -> None:
    machines = guests(cp1=printed(1, 2, 3), cp2=printed(1, 3), cp3=printed(1, 2, 3, hash=8, count=299))
    reading = members(machines, {1, 2})
    assert reading.hashes == {"cp1": 7, "cp2": 7, "cp3": 8}
    assert reading.keys == {"cp1": 300, "cp2": 300, "cp3": 299}
    assert reading.missing == {"cp2": (2,)}


def test_all_members_are_asked_at_the_same_revision() -> None:
    machines = guests(cp1=printed(), cp2=printed(), cp3=printed())
    reading = members(machines, set())
    asked = {
        number
        for call in machines.calls
        if "hashkv" in call.command
        for number in re.findall(r"--rev=(\d+)", call.command)
    }
    assert asked == {str(reading.revision)}


def test_keys_of_the_namespace_are_read_from_the_member_itself() -> None:
    machines = guests(cp1=printed(), cp2=printed(), cp3=printed())
    members(machines, set())
    command = next(call.command for call in machines.calls if "hashkv" in call.command)
    assert "--consistency=s" in command
    assert "/registry/configmaps/space/write-" in command


def test_a_member_that_is_a_moment_behind_gets_time() -> None:
    clock = FakeClock()
    machines = guests(cp1=printed(1), cp2=[FUTURE, printed(1)], cp3=printed(1))
    assert members(machines, {1}, clock).missing == {}
    assert len(clock.slept) == 1


def test_hashes_are_compared_at_equal_compacted_revisions() -> None:
    machines = guests(cp1=printed(hash=1, compacted=9), cp2=[printed(), printed(hash=1, compacted=9)],
                      cp3=printed(hash=1, compacted=9))  # fmt: skip
    assert set(members(machines, set()).hashes.values()) == {1}


def test_a_member_that_never_reaches_the_revision_is_named_with_its_error() -> None:
    with pytest.raises(TimedOut, match="future revision"):
        members(guests(cp1=printed(), cp2=FUTURE, cp3=printed()), set())


def test_patience_stretches_the_wait_for_a_member() -> None:
    clock = FakeClock()
    machines = guests(cp1=printed(), cp2=FUTURE, cp3=printed())
    with pytest.raises(TimedOut):
        ledger.members(machines, lab_of(patience=2), "space", set(), clock)
    assert sum(clock.slept) == pytest.approx(60, abs=2)


def test_a_member_that_does_not_answer_is_named() -> None:
    def status(call: Call) -> str | Completed:
        if call.machine == "cp2":
            raise Unreachable("no route")
        return captured("endpoint-status.json")

    with pytest.raises(TimedOut, match="etcd on cp2 does not answer: no route"):
        members(FakeGuests({"endpoint status": status}), set())


def test_a_member_that_does_not_answer_once_is_asked_again() -> None:
    machines = guests(cp1=printed(1), cp2=printed(1), cp3=printed(1))
    machines.answers = {"cp2: .*endpoint status": [Unreachable("no route"), captured("endpoint-status.json")],
                        **machines.answers}  # fmt: skip
    assert members(machines, {1}).missing == {}


@pytest.mark.parametrize("output", ["", "nonsense", "[]", "[{}]\n1", printed(1).partition("\n")[0]])
def test_unexpected_output_about_keys_is_a_problem(output: str) -> None:
    with pytest.raises(LabProblem, match="unexpected output of etcdctl on cp1"):
        ledger.parse_held("cp1", output)


def test_numbers_hash_and_count_are_read() -> None:
    assert ledger.parse_held("cp1", printed(12, 3)) == Held(7, 3, 300, frozenset({3, 12}))


def test_an_unacknowledged_write_may_exist() -> None:
    assert ledger.compare({1, 2}, {2, 3}) == LedgerReading(2, (1,), 1)


def test_the_last_line_of_a_members_error_is_reported() -> None:
    error = CommandFailed("x", code=1, output="a warning\nError: not yet\n")
    with pytest.raises(TimedOut, match="Error: not yet"):
        members(guests(cp1=error, cp2=error, cp3=error), set())


def test_all_members_are_asked_at_the_highest_revision_that_one_of_them_has() -> None:
    ahead = json.loads(captured("endpoint-status.json"))
    for each in ahead:
        each["Status"]["header"]["revision"] = 777_777
    machines = guests(cp1=printed(), cp2=printed(), cp3=printed())
    machines.answers = {"cp2: .*endpoint status": json.dumps(ahead), **machines.answers}
    assert members(machines, set()).revision == 777_777


def test_a_member_that_never_compacted_has_compacted_nothing() -> None:
    said = json.dumps([{"HashKV": {"hash": 7}}, {"HashKV": {"hash": 8}}])
    assert ledger.parse_held("cp1", f'{said}\n"Count" : 3\n') == Held(7, 0, 3, frozenset())


# what the API itself is asked


CONTEXT = ssl.create_default_context()


class Server:
    """An API that holds these writes, two to a page; it records what it is asked."""

    def __init__(self, *names: str, code: int = 200, fails: bool = False) -> None:
        self.names = names
        self.code = code
        self.fails = fails
        self.asked: list[str] = []
        self.api = Api("https://cp1", CONTEXT, timeout_seconds=1)
        self.api.close()
        self.api._client = httpx.Client(base_url="https://cp1", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        if self.fails:
            raise httpx.ConnectError("refused")
        begin = int(request.url.params.get("continue", 0))
        items = [{"metadata": {"name": name}} for name in self.names[begin : begin + 2]]
        more = {"continue": str(begin + 2)} if begin + 2 < len(self.names) else {}
        return httpx.Response(self.code, json={"items": items, "metadata": more})


def test_the_numbers_of_all_pages_are_read_and_nothing_else() -> None:
    server = Server("write-1", "write-20", "kube-root-ca.crt", "rewrite-7", "write-x", "write-300")
    assert ledger.numbers_found(server.api, "space") == {1, 20, 300}
    assert server.asked == ["GET /api/v1/namespaces/space/configmaps"] * 3
    assert ledger.numbers_found(Server().api, "space") == set()


@pytest.mark.parametrize(
    ("act", "asked", "accepted"),
    [
        (ledger.open_namespace, "POST /api/v1/namespaces", {201, 409}),
        (ledger.close_namespace, "DELETE /api/v1/namespaces/space", {200, 202, 404, 409}),
    ],
)
def test_a_namespace_may_already_exist_or_be_gone(
    act: Callable[[Api, str], None], asked: str, accepted: set[int]
) -> None:
    for code in (*range(199, 204), *range(403, 411)):
        server = Server(code=code)
        if code in accepted:
            act(server.api, "space")
        else:
            with pytest.raises(LabProblem, match=f"the API answered {code}"):
                act(server.api, "space")
        assert server.asked == [asked]
    with pytest.raises(LabProblem, match="refused"):
        act(Server(fails=True).api, "space")


def test_a_write_that_one_api_server_lacks_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not acknowledged is counted where most of it is."""
    servers = {"cp1": Server("write-1", "write-2", "write-8"), "cp2": Server("write-1"),
               "cp3": Server("write-2", "write-8", "write-9")}  # fmt: skip
    lab = lab_of()
    by_address = {api.url(machine): servers[machine.name] for machine in lab.control_planes}
    monkeypatch.setattr(ledger, "Api", lambda url, context, **_options: by_address[url].api)
    credentials: Any = SimpleNamespace(context=ssl.create_default_context)
    reading = ledger.read_back(lab, credentials, "space", {1, 2, 3})
    assert reading == LedgerReading(3, (1, 2, 3), 2)
    assert all(server.api._client.is_closed for server in servers.values())
