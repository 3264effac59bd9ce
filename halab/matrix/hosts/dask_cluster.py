"""The hosts that a scheduler of dask knows: the only module that uses dask."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from distributed import Client, Future
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker
from distributed.security import Security

from halab.clock import Clock, Deadline, NotYet, RealClock, wait_for
from halab.errors import BadUsage, HostProblem, TimedOut
from halab.matrix.hosts.certificates import Certificates
from halab.matrix.hosts.cluster import HostGone, Task

T = TypeVar("T")

# A worker owns a host if it was started with `--resources LAB=1`.
_RESOURCE = "LAB"
_CONNECT_SECONDS = 10
_RECONNECT_SECONDS = 30
# A worker that lives answers at once. The archives of runs, up to 50 MB, may take longer.
_ALIVE_SECONDS = 10.0
_ANSWER_SECONDS = 120.0
_SILENT_SECONDS = 30.0
# What dask raises for connections that are lost is an OSError.
_LOST = (OSError, TimeoutError, CancelledError)


class DaskCluster:
    def __init__(self, address: str, client: Client, clock: Clock) -> None:
        self._address = address
        self._client = client
        self._clock = clock
        # by address: until when a worker that did not answer in time is not asked again
        self._silent: dict[str, float] = {}

    def hosts(self) -> Mapping[str, str]:
        """The names of the workers that own a host, by address. Raises HostProblem if the scheduler is gone."""
        with suppress(TimedOut):
            # dask connects again by itself, or closes the client
            wait_for("the scheduler", self._require_settled, Deadline.after(self._clock, _RECONNECT_SECONDS))
        scheduler = self._client.scheduler
        if self._client.status != "running" or scheduler is None:
            raise self._gone()
        try:
            # not scheduler_info(): dask overwrites its answer now and then with one without workers
            identity = self._client.sync(scheduler.identity)
        except _LOST as error:
            raise self._gone() from error
        workers: Mapping[str, Any] = identity["workers"]
        return {
            address: str(facts["name"])
            for address, facts in workers.items()
            if facts.get("resources", {}).get(_RESOURCE)
        }

    def _require_settled(self) -> None:
        if self._client.status == "connecting":
            raise NotYet("connecting")

    def ask(self, address: str, act: Callable[..., T], *args: object) -> T:
        """Call a function on a host at once, beside what it plays. Raises HostGone, or what the function raises.

        A host that hangs would hold up all others. It is gone for a while, until the scheduler notices.
        """
        if self._client.status != "running":
            raise self._gone()
        if self._clock.now() < self._silent.get(address, 0.0):
            raise HostGone(address)
        try:
            self._run(address, _ALIVE_SECONDS, _is_alive)
            answers = self._run(address, _ANSWER_SECONDS, act, *args)
        except TimeoutError as error:
            self._silent[address] = self._clock.now() + _SILENT_SECONDS
            raise HostGone(address) from error
        except _LOST as error:
            raise self._gone() from error
        answer: Any = answers.get(address)
        if isinstance(answer, OSError):
            raise HostGone(address) from answer
        if isinstance(answer, Exception):
            raise answer
        result: T = answer
        return result

    def _run(
        self, address: str, limit_seconds: float, act: Callable[..., T], *args: object
    ) -> Mapping[str, Any]:
        """What a worker answers, by address. Raises TimeoutError."""

        async def run() -> Mapping[str, Any]:
            # in the loop of dask, `run` returns something to wait for
            asked: Any = self._client.run(act, *args, workers=[address], on_error="return")
            answers: Mapping[str, Any] = await asyncio.wait_for(asked, limit_seconds)
            return answers

        answers: Mapping[str, Any] = self._client.sync(run)
        return answers

    def begin(self, address: str, act: Callable[..., T], *args: object) -> Task[T]:
        """Let a host do something that takes long, as soon as it does nothing else of this kind."""
        return _DaskTask(
            self._client.submit(
                act,
                *args,
                workers=[address],
                allow_other_workers=False,
                resources={_RESOURCE: 1},
                pure=False,
            )
        )

    def _gone(self) -> HostProblem:
        return HostProblem(
            f"the scheduler at {self._address} no longer answers",
            hint="the hosts remove their labs when their workers end; start the scheduler and the workers again, and "
            "the same command continues",
        )


def _is_alive() -> bool:
    """What a worker is asked first: the answer takes no time."""
    return True


class _DaskTask(Task[T]):
    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    @property
    def is_over(self) -> bool:
        return bool(self._future.done())

    def result(self) -> T:
        try:
            result: T = self._future.result(timeout=_CONNECT_SECONDS)
        except (KilledWorker, FutureCancelledError, *_LOST) as error:
            raise HostGone("the worker") from error
        return result

    def cancel(self) -> None:
        with suppress(*_LOST):
            self._future.cancel()


def _security(address: str, certificates: Certificates | None) -> Security:
    if not address.startswith(("tcp://", "tls://")):
        raise BadUsage(
            f"not the address of a scheduler: {address}", hint="write tcp://HOST:PORT or tls://HOST:PORT"
        )
    if certificates is None:
        if address.startswith("tls://"):
            raise BadUsage(
                f"TLS needs certificates: {address}",
                hint="name their folder with --certificates FOLDER; `halab matrix certificates FOLDER` makes them",
            )
        return Security()
    if address.startswith("tcp://"):
        raise BadUsage(
            f"with --certificates, the address begins with tls://, and not with tcp://: {address}",
            hint="start the scheduler and the workers with the certificates, too",
        )
    certificates.require_client()
    return Security(
        require_encryption=True,
        tls_ca_file=str(certificates.ca),
        tls_client_cert=str(certificates.of("client")),
    )


@contextmanager
def connected(address: str, certificates: Certificates | None = None) -> Iterator[DaskCluster]:
    """Connect to a scheduler while the block lasts; with `certificates`, over TLS.

    Raises BadUsage for a wrong address or missing certificates, and HostProblem.
    """
    security = _security(address, certificates)
    # dask tells its log about every lost connection; halab says what it means
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        # about other versions of libraries: halab compares its own
        warnings.simplefilter("ignore")
        try:
            client = Client(
                address, timeout=_CONNECT_SECONDS, set_as_default=False, name="halab", security=security
            )
        except _LOST as error:
            raise HostProblem(
                f"no scheduler answers at {address}",
                hint="start one with `dask scheduler --host HOST --port PORT`",
            ) from error
        except ValueError as error:
            raise BadUsage(f"not the address of a scheduler: {address}: {error}") from error
    try:
        yield DaskCluster(address, client, RealClock())
    finally:
        with suppress(*_LOST):
            client.close(timeout=_CONNECT_SECONDS)
