"""Downloads. An interrupted one continues where it stopped, and a file with a wrong checksum is never used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from halab.clock import Clock, Deadline, RealClock
from halab.errors import Corrupted, HalabError, HostProblem, TimedOut
from halab.images import cache
from halab.progress import Step

T = TypeVar("T")

_TRIES = 4
_PAUSE_SECONDS = 2.0
_FILE_SECONDS = 1800
_NOTE_BYTES = 8 << 20
_RESUME_HINT = "run the same command again: it continues where it stopped"


class _Broken(Exception):
    """A try that failed; the next one may succeed."""


class Downloads:
    """Downloads through the proxies of the environment. `connect` makes the client; tests pass their own."""

    def __init__(
        self, connect: Callable[[], httpx.Client] | None = None, clock: Clock | None = None
    ) -> None:
        self._connect = connect or _client
        self._clock = clock or RealClock()

    def status(self, url: str, *, seconds: float) -> int:
        """The status of a HEAD for `url`. Raises HostProblem if none comes in time."""
        host = urlsplit(url).netloc
        answers: list[int | str] = [f"no answer within {seconds:.0f} s"]

        def ask() -> None:
            try:
                with self._connect() as client:
                    answers[0] = client.head(url, timeout=seconds).status_code
            except httpx.HTTPError as error:
                answers[0] = str(error) or type(error).__name__

        # In a thread: no time limit of a client ends a slow DNS look-up.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(seconds)
        answer = answers[0]
        if isinstance(answer, str):
            raise HostProblem(
                f"{host}: {answer}",
                hint=f"make {host} reachable from this host, through a proxy if necessary",
            )
        return answer

    def content(self, url: str, *, accept: str = "*/*") -> httpx.Response:
        """A small answer with its whole content."""

        def once() -> httpx.Response:
            with self._connect() as client:
                response = client.get(url, headers={"Accept": accept})
            _raise_for(response, url)
            return response

        return self._insist(once, url)

    def file(self, url: str, target: Path, sha256: str, step: Step) -> None:
        """Download a file, or the rest of it if an earlier download was interrupted."""
        if target.exists() and cache.sha256(target) == sha256:
            return
        partial = target.with_name(f"{target.name}.part")
        partial.parent.mkdir(parents=True, exist_ok=True)
        deadline = Deadline.after(self._clock, _FILE_SECONDS)
        self._insist(lambda: self._append(url, partial, step, deadline), url)
        if cache.sha256(partial) != sha256:
            partial.unlink()
            raise Corrupted(
                f"checksum mismatch of a download: {url}",
                hint="try again; if it happens again, a proxy may change the file",
            )
        partial.rename(target)

    def _append(self, url: str, partial: Path, step: Step, deadline: Deadline) -> None:
        have = partial.stat().st_size if partial.exists() else 0
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with self._connect() as client, client.stream("GET", url, headers=headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # the file is complete: the checksum shows whether it is right
            _raise_for(response, url)
            if response.status_code != httpx.codes.PARTIAL_CONTENT:
                have = 0
            size = _size(response.headers, have)
            noted = 0
            with partial.open("r+b" if have else "wb") as file:
                file.seek(have)
                # raw chunks as they arrive: a chunk of a fixed size would be lost when the connection breaks
                for chunk in response.iter_raw():
                    file.write(chunk)
                    have += len(chunk)
                    if have - noted >= _NOTE_BYTES:
                        noted = have
                        step.note(f"{cache.in_words(have)}{size}")
                    if deadline.expired:
                        raise TimedOut(
                            f"the download did not end within {deadline.limit_seconds:.0f} s: {url}",
                            hint=_RESUME_HINT,
                        )

    def _insist(self, once: Callable[[], T], url: str) -> T:
        last = ""
        for attempt in range(_TRIES):
            if attempt:
                self._clock.sleep(_PAUSE_SECONDS * attempt)
            try:
                return once()
            except (httpx.TransportError, _Broken) as error:
                last = str(error) or type(error).__name__
        raise HalabError(f"download failed {_TRIES} times: {url}: {last}", hint=_RESUME_HINT)


def _client() -> httpx.Client:
    # The release servers redirect to a mirror.
    return httpx.Client(follow_redirects=True, timeout=httpx.Timeout(30, connect=10))


def _raise_for(response: httpx.Response, url: str) -> None:
    code = response.status_code
    if code == httpx.codes.NOT_FOUND:
        raise HalabError(
            f"not found: {url}",
            hint="check whether this version is released: https://kubernetes.io/releases",
        )
    if code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
        raise _Broken(f"the server answers {code}")
    if not response.is_success:
        raise HalabError(f"the server answers {code}: {url}")


def _size(headers: Mapping[str, str], have: int) -> str:
    length = headers.get("Content-Length", "")
    return f" of {cache.in_words(have + int(length))}" if length.isdigit() else ""
