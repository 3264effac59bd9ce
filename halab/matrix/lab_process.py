"""Play labs in turn or side by side. Side by side, each lab has a process of its own, which says what came of it."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from halab import process
from halab.errors import HalabError
from halab.printable import one_line
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class EndedRun:
    """A run that came to its end. `name` is that of its cell."""

    name: str
    seed: int
    folder: RunFolder
    result: Result
    is_over_limit: bool = False


@dataclass(frozen=True)
class EndedLab:
    """What came of a lab. `why` says why runs did not take place, or why the lab was not removed; empty if all is well.

    `built_seconds` is how long it took to build and to remove it; None if it did not come up. With `is_lost`, the
    process that played it was killed, and the lab may still be up. With `is_unfit`, the host cannot run the lab.
    """

    why: str = ""
    was_interrupted: bool = False
    built_seconds: float | None = None
    repairs: tuple[str, ...] = ()
    is_lost: bool = False
    is_unfit: bool = False


class Listener(Protocol):
    """What is done when a lab begins, when one of its runs has ended, and when it has ended.

    A lab that several hosts play ends on each of them.
    """

    def on_begin(self, lab: str) -> None: ...

    def on_run(self, lab: str, run: EndedRun) -> None: ...

    def on_end(self, lab: str, end: EndedLab) -> None: ...


@dataclass(frozen=True)
class LabWork:
    """A lab and how it is played: `play` gets a function for every run that has ended."""

    lab: str
    play: Callable[[Callable[[EndedRun], None]], EndedLab]


def play_all(works: Sequence[LabWork], listener: Listener, *, at_once: int) -> bool:
    """Play all labs, so many at once, and return whether the user has interrupted them.

    Whatever ends it, no process is left, and each has removed its lab.
    """
    return _side_by_side(works, listener, at_once) if at_once > 1 else _in_turn(works, listener)


def _in_turn(works: Sequence[LabWork], listener: Listener) -> bool:
    for work in works:
        listener.on_begin(work.lab)
        end = work.play(partial(listener.on_run, work.lab))
        listener.on_end(work.lab, end)
        if end.was_interrupted:
            return True
    return False


@dataclass
class _Child:
    lab: str
    process: BaseProcess
    has_ended: bool = False


def _side_by_side(works: Sequence[LabWork], listener: Listener, at_once: int) -> bool:
    left, children = deque(works), dict[Connection, _Child]()
    was_interrupted = False
    try:
        while left or children:
            while left and len(children) < at_once:
                work = left.popleft()
                listener.on_begin(work.lab)
                _begin(work, children)
            if _hear(children, listener):
                was_interrupted = True
                left.clear()
    except KeyboardInterrupt:
        _stop(children, listener)
        return True
    except BaseException:
        # such as a full disk: what the labs still say cannot be kept
        _stop(children, _Deaf())
        raise
    return was_interrupted


def _begin(work: LabWork, children: dict[Connection, _Child]) -> None:
    """Start the process of a lab. A fork has everything that was read, and holds the lock of the matrix as well."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    handlers = {int(number): signal.getsignal(number) for number in _SIGNALS}
    child = context.Process(
        target=_play, args=(work, sender, [receiver, *children], handlers), name=work.lab
    )
    # after an interrupt in between, nobody would know the process
    with process.signals_wait():
        child.start()
        sender.close()
        children[receiver] = _Child(work.lab, child)


def _play(
    work: LabWork, sender: Connection, receivers: Sequence[Connection], handlers: Mapping[int, Any]
) -> None:
    """The process of a lab: play it, and tell what happens. If nobody listens any more, it ends after this run."""
    for number, handler in handlers.items():
        signal.signal(number, handler)
    # only halab itself listens: when it is gone, no process must keep the pipes open
    for receiver in receivers:
        receiver.close()

    def tell(what: EndedRun | EndedLab) -> None:
        # half of a message cannot be read
        with process.signals_wait():
            sender.send(what)

    end = ended(lambda: work.play(tell))
    with suppress(OSError, KeyboardInterrupt):
        tell(end)


def ended(play: Callable[[], EndedLab]) -> EndedLab:
    """Play a lab in a process of its own. What ends it is said, whatever it is."""
    try:
        return play()
    except KeyboardInterrupt:
        return EndedLab("interrupted", was_interrupted=True)
    except HalabError as error:
        return EndedLab(one_line(error.message))
    except Exception as error:
        return EndedLab(one_line(f"internal error: {type(error).__name__}: {error}"))


def _hear(children: dict[Connection, _Child], listener: Listener) -> bool:
    """Wait for something that a lab says, or for its end. Return whether the user has interrupted a lab."""
    was_interrupted = False
    for connection in wait(list(children)):
        assert isinstance(connection, Connection)
        child = children[connection]
        try:
            with process.signals_wait():
                said = connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            child.process.join()
            connection.close()
            del children[connection]
            if not child.has_ended:
                why = (
                    f"the process of the lab has ended without a result (exit code {child.process.exitcode})"
                )
                listener.on_end(child.lab, EndedLab(why, is_lost=True))
            continue
        if isinstance(said, EndedLab):
            child.has_ended = True
            was_interrupted = was_interrupted or said.was_interrupted
            listener.on_end(child.lab, said)
        else:
            listener.on_run(child.lab, said)
    return was_interrupted


def _stop(children: dict[Connection, _Child], listener: Listener) -> None:
    """Interrupt all processes, and wait until they have removed their labs.

    On a terminal, Ctrl-C has reached them too. SIGTERM does nothing more then: it is no second Ctrl-C.
    """
    problem: Exception | None = None
    for child in children.values():
        child.process.terminate()
    while children:
        try:
            _hear(children, listener)
        except KeyboardInterrupt:
            # a second Ctrl-C has reached the processes, which end at once
            continue
        except Exception as error:
            problem, listener = error, _Deaf()
    if problem:
        raise problem


class _Deaf:
    def on_begin(self, lab: str) -> None: ...

    def on_run(self, lab: str, run: EndedRun) -> None: ...

    def on_end(self, lab: str, end: EndedLab) -> None: ...
