"""The hosts that a scheduler of dask knows: what dask says and raises, in the words of halab."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, cast

import pytest
from distributed.scheduler import KilledWorker
from support.fakes import FakeClock

from halab.errors import BadUsage, HostProblem
from halab.matrix.hosts import dask_cluster
from halab.matrix.hosts.certificates import Certificates
from halab.matrix.hosts.cluster import HostGone
from halab.matrix.hosts.dask_cluster import DaskCluster, connected

ADDRESS = "tcp://10.1.0.5:8786"
NOBODY: Any = None


def act(text: str) -> Any:
    """Something that a host does. No host does it here."""


class FakeFuture:
    def __init__(self, outcome: object) -> None:
        self.outcome = outcome
        self.is_cancelled = False

    def done(self) -> bool:
        return True

    def result(self, timeout: float) -> object:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeClient:
    """A client of dask, with the answers of one worker, `tcp://a`."""

    def __init__(self) -> None:
        self.status = "running"
        self.workers: object = {
            "tcp://a": {"name": "rack-1", "resources": {"LAB": 1}},
            "tcp://b": {"name": "other", "resources": {}},
        }
        self.answer: object = "pong"
        self.outcome: object = "played"
        self.options: dict[str, Any] = {}
        self.is_closed = False
        self.asked: list[str] = []
        self.hangs_at = ""

        self.scheduler = self

    def identity(self) -> dict[str, object]:
        if isinstance(self.workers, Exception):
            raise self.workers
        return {"workers": self.workers}

    def sync(self, question: Callable[[], object]) -> object:
        answer = question()
        return asyncio.run(answer) if asyncio.iscoroutine(answer) else answer

    async def run(
        self, act: Callable[..., object], *args: object, workers: list[str], on_error: str
    ) -> dict[str, object]:
        self.asked.append(act.__name__)
        if isinstance(self.answer, CancelledError):
            raise self.answer
        if self.hangs_at == act.__name__:
            await asyncio.Event().wait()
        return {workers[0]: self.answer}

    def submit(self, act: Callable[..., object], *args: object, **options: Any) -> FakeFuture:
        self.options = options
        return FakeFuture(self.outcome)

    def close(self, timeout: float) -> None:
        self.is_closed = True


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()

    def connect(address: str, **options: Any) -> FakeClient:
        client.options = options
        return client

    monkeypatch.setattr(dask_cluster, "Client", connect)
    return client


def test_only_workers_that_own_a_host_are_hosts(client: FakeClient) -> None:
    with connected(ADDRESS) as cluster:
        assert cluster.hosts() == {"tcp://a": "rack-1"}
    assert client.is_closed


@pytest.mark.parametrize("workers", [OSError("closed"), CancelledError()])
def test_a_scheduler_that_is_gone_is_said(workers: object, client: FakeClient) -> None:
    with connected(ADDRESS) as cluster:
        client.workers = workers
        with pytest.raises(HostProblem, match="the scheduler at tcp://10.1.0.5:8786 no longer answers"):
            cluster.hosts()


def test_a_scheduler_that_comes_back_is_waited_for(client: FakeClient) -> None:
    def connect() -> None:
        client.status = "running"

    client.status = "connecting"
    cluster = DaskCluster(ADDRESS, cast(Any, client), FakeClock(connect))
    assert cluster.hosts() == {"tcp://a": "rack-1"}
    client.status = "connecting"
    with pytest.raises(HostProblem):
        DaskCluster(ADDRESS, cast(Any, client), FakeClock()).hosts()


def test_a_client_that_was_closed_has_no_hosts(client: FakeClient) -> None:
    with connected(ADDRESS) as cluster:
        client.status = "closed"
        with pytest.raises(HostProblem):
            cluster.hosts()
        with pytest.raises(HostProblem):
            cluster.ask("tcp://a", act, "x")


def test_a_host_answers_or_raises_or_is_gone(client: FakeClient) -> None:
    with connected(ADDRESS) as cluster:
        assert cluster.ask("tcp://a", act, "x") == "pong"
        client.answer = ModuleNotFoundError("halab")
        with pytest.raises(ModuleNotFoundError):
            cluster.ask("tcp://a", act, "x")
        client.answer = OSError("timed out")
        with pytest.raises(HostGone):
            cluster.ask("tcp://a", act, "x")
        client.answer = CancelledError()
        with pytest.raises(HostProblem):
            cluster.ask("tcp://a", act, "x")


@pytest.mark.parametrize("hangs_at", ["_is_alive", "act"])
def test_a_host_that_hangs_is_gone_for_a_while(
    hangs_at: str, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "_ALIVE_SECONDS", 0.01)
    monkeypatch.setattr(dask_cluster, "_ANSWER_SECONDS", 0.01)
    clock = FakeClock()
    cluster = DaskCluster(ADDRESS, cast(Any, client), clock)
    client.hangs_at = hangs_at
    with pytest.raises(HostGone):
        cluster.ask("tcp://a", act, "x")
    client.hangs_at, asked = "", len(client.asked)
    # it is not asked for a while, and holds up nobody
    with pytest.raises(HostGone):
        cluster.ask("tcp://a", act, "x")
    assert len(client.asked) == asked and cluster.ask("tcp://b", act, "x") == "pong"
    clock.sleep(31)
    assert cluster.ask("tcp://a", act, "x") == "pong"


def test_a_task_stays_on_its_host(client: FakeClient) -> None:
    with connected(ADDRESS) as cluster:
        task = cluster.begin("tcp://a", act, "x")
        assert client.options["workers"] == ["tcp://a"] and not client.options["allow_other_workers"]
        assert client.options["resources"] == {"LAB": 1}
        assert task.is_over and task.result() == "played"
        task.cancel()


@pytest.mark.parametrize("outcome", [KilledWorker("task", NOBODY, 3), OSError("closed"), CancelledError()])
def test_a_task_whose_worker_died_is_lost(outcome: Exception, client: FakeClient) -> None:
    client.outcome = outcome
    with connected(ADDRESS) as cluster, pytest.raises(HostGone):
        cluster.begin("tcp://a", act, "x").result()


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        (ADDRESS, OSError("refused"), "no scheduler answers at tcp://10.1.0.5:8786"),
        (ADDRESS, ValueError("port"), "not the address of a scheduler: tcp://10.1.0.5:8786: port"),
        ("10.1.0.5:8786", None, "not the address of a scheduler: 10.1.0.5:8786"),
        ("tls://10.1.0.5:8786", None, "TLS needs certificates: tls://10.1.0.5:8786"),
    ],
)
def test_a_wrong_address_is_said(
    address: str, error: Exception | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(address: str, **options: object) -> object:
        assert error
        raise error

    monkeypatch.setattr(dask_cluster, "Client", connect)
    with pytest.raises((BadUsage, HostProblem)) as raised, connected(address):
        pass
    assert raised.value.message == said


def test_certificates_make_the_connection_encrypted(client: FakeClient, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with pytest.raises(BadUsage, match="no such file"), connected("tls://10.1.0.5:8786", certificates):
        pass
    with pytest.raises(BadUsage, match="begins with tls://"), connected(ADDRESS, certificates):
        pass
    certificates.ca.touch()
    certificates.of("client").touch()
    with connected("tls://10.1.0.5:8786", certificates):
        security = client.options["security"]
    assert security.require_encryption and security.tls_ca_file == str(tmp_path / "ca.pem")
    assert security.tls_client_cert == str(tmp_path / "client.pem")
