"""Play the labs of a matrix on several hosts: give each host a lab at a time, and take the runs as soon as they end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from halab.clock import Clock
from halab.config.twin import Verdict
from halab.errors import Corrupted, HalabError
from halab.machines.work import Work
from halab.matrix import results
from halab.matrix.hosts import agent, fetch, parcel, place
from halab.matrix.hosts.agent import News
from halab.matrix.hosts.cluster import Cluster, HostGone, Task
from halab.matrix.hosts.host import HostFacts
from halab.matrix.hosts.part import end_of, parts_of, planned_of
from halab.matrix.hosts.place import SentRun
from halab.matrix.hosts.roster import Act, Host, Lab, Roster
from halab.matrix.lab_process import EndedLab, EndedRun, Listener
from halab.matrix.places import LabOrders
from halab.printable import one_line
from halab.progress import Progress
from halab.scenario.record.folder import RunFolder

_EVERY_SECONDS = 1.0
# A worker that died is back within some seconds if its nanny starts it again.
_WITHOUT_HOSTS_SECONDS = 60.0
# A lab that did not come up, or whose host died, is tried again on another host, but not for ever.
_MOST_TRIES = 3
# A host that has not answered for so long may hang: Ctrl-C does not wait for it.
_SILENT_SECONDS = 60.0
_MOST_BYTES = 50_000_000  # more archives wait for the next question


class Fleet:
    """The hosts that play a matrix. `matrix` is its name on them."""

    def __init__(
        self,
        cluster: Cluster,
        matrix: str,
        clock: Clock,
        shown: Progress,
        labelled: Callable[[str], Progress],
        own: HostFacts,
    ) -> None:
        self._cluster = cluster
        self._matrix = matrix
        self._clock = clock
        self._shown = shown
        self._labelled = labelled
        self._roster = Roster(cluster, matrix, shown, own)
        # by name; a lab that several hosts play has a part for each
        self._labs: dict[str, list[Lab]] = {}
        self._begun: set[str] = set()
        self._waiting: deque[Lab] = deque()
        # the hashes of runs that do not count, because other hosts play them again
        self._returned: set[str] = set()
        self._idle_since: float | None = None

    @property
    def size(self) -> int:
        """How many hosts could play a lab. Raises HostProblem if the scheduler is gone."""
        self._look()
        return len(self._roster.usable)

    @property
    def set_aside(self) -> Mapping[str, str]:
        return self._roster.set_aside

    def play_all(self, orders: Sequence[LabOrders], listener: Listener) -> bool:
        """Play all labs, and return whether the user has interrupted them.

        With twice as many hosts as labs or more, several hosts build the same lab, and each plays a part of its runs.
        """
        hosts_of_each = self.size // max(1, len(orders))
        self._labs = {each.lab: parts_of(each, hosts_of_each) for each in orders}
        self._waiting = deque(part for parts in self._labs.values() for part in parts)
        self._listener = listener
        try:
            while self._is_busy or any(lab.left for lab in self._waiting):
                self._look()
                self._listen()
                self._assign()
                self._give_up()
                self._clock.sleep(_EVERY_SECONDS)
        except KeyboardInterrupt:
            self._shown.say("interrupted: the hosts remove their labs")
            self._stop()
            return True
        except BaseException:
            with suppress(HalabError):
                self._stop()
            raise
        return False

    @property
    def _is_busy(self) -> bool:
        return any(host.act or host.leftovers for host in self._roster.hosts)

    def _look(self) -> None:
        """Notice hosts that have come and gone: another one plays what those that are gone did not send."""
        for host in self._roster.look():
            if host.act and host.act.task:
                host.act.task.cancel()
            lab = host.act.lab if host.act else None
            self._shown.say(
                f"host {host.name} is gone" + (f"; it was playing the lab {lab.name}" if lab else "")
            )
            if lab:
                self._again(lab, EndedLab(f"the host {host.name} is gone", is_lost=True))

    def _assign(self) -> None:
        for host in self._roster.hosts:
            if host.act:
                continue
            if host.leftovers:
                # also if the host gets no more labs
                host.act = Act(host.leftovers.popleft(), None, None)
            elif host.name not in self.set_aside and (lab := self._next_for(host)):
                self._waiting.remove(lab)
                self._send(host, lab)

    def _next_for(self, host: Host) -> Lab | None:
        """The first lab that fits; one that another host could not play goes to a host that has not tried it."""
        fitting = [
            lab
            for lab in self._waiting
            # some of its runs may be on another host already
            if lab.left and lab.name not in self._roster.uncollected and not host.facts.lacks(lab.written)
        ]
        return next(
            (lab for lab in fitting if host.name not in lab.tries or not self._roster.others(lab)), None
        )

    def _send(self, host: Host, lab: Lab) -> None:
        if lab.name not in self._begun:
            self._listener.on_begin(lab.name)
            self._begun.add(lab.name)
        part = f", {len(lab.left)} of its runs" if len(self._labs[lab.name]) > 1 else ""
        self._shown.say(f"host {host.name} plays the lab {lab.name}{part}")
        lab.tries.append(host.name)
        host.act = Act(lab.name, lab, None)
        host.act.fetch = fetch.begin(
            self._cluster,
            host.address,
            lab.orders.file.read_text(),
            lambda: self._roster.donors(host),
            lambda line: self._shown.say(f"host {host.name}: {line}"),
        )
        if host.act.fetch is None:
            self._begin(host, host.act)

    def _begin(self, host: Host, act: Act) -> None:
        assert act.lab
        sent = parcel.of(self._matrix, act.lab.orders, act.lab.left)
        act.fetch, act.task = None, self._cluster.begin(host.address, agent.play, sent)

    def _listen(self) -> None:
        for host in self._roster.hosts:
            if host.act:
                try:
                    if host.act.fetch is None:
                        self._hear(host, host.act)
                    elif not host.act.fetch.step():
                        self._begin(host, host.act)
                except HostGone:
                    # if it has really gone, the scheduler knows it soon
                    continue

    def _hear(self, host: Host, act: Act) -> None:
        """Take what a host has to say about a lab, and notice the end of what it does."""
        is_over = act.task is not None and act.task.is_over
        news = self._ask_news(host, act)
        if not news.is_complete:
            return
        if act.task is None:
            # an earlier halab has ended, and its lab goes on
            if news.is_running:
                self._cluster.ask(host.address, agent.stop, self._matrix, act.name)
            else:
                act.task = self._cluster.begin(host.address, agent.clean, self._matrix, act.name)
        elif is_over:
            host.act = None
            self._end(host, act, act.task)

    def _ask_news(self, host: Host, act: Act) -> News:
        news = self._cluster.ask(
            host.address, agent.news, self._matrix, act.name, act.known, act.printed, _MOST_BYTES
        )
        lines = act.lines(news.printed)
        if act.lab:
            shown = self._labelled(f"{act.name} on {host.name}")
            for line in lines:
                shown.say(line)
        for run, content in news.runs:
            self._take(host, act, run, content)
            act.known.add(run.name)
        return news

    def _take(self, host: Host, act: Act, run: SentRun, content: bytes) -> None:
        """Keep a run that a host has sent, unless it is known already or belongs to the matrix no more."""
        found = planned_of(self._labs.get(act.name, ()), run)
        if found is None or run.digest in self._returned:
            return
        lab, planned = found
        runs = Work.beside(lab.orders.file).runs
        try:
            folder = RunFolder.existing(place.unpacked(run, content, runs), or_proof=True)
            ended = EndedRun(run.cell, run.seed, folder, results.judged(folder), run.is_over_limit)
        except Corrupted as error:
            # asked again, the host would send the same
            lab.why = one_line(f"the run {run.name} does not count: {error.message}")
            self._shown.say(f"host {host.name}, lab {lab.name}: {lab.why}")
            return
        if act.lab is None:
            self._shown.say(
                f"host {host.name} still had a run of {run.cell} on {lab.name}, which now counts"
            )
        self._listener.on_run(lab.name, ended)
        # only now: the host must keep a run that could not be recorded here
        lab.left.remove(planned)
        if act.lab:
            is_error = ended.result.verdict is Verdict.ERROR
            host.erred = [*host.erred, (lab, planned, run.digest)] if is_error else []
            self._count(host, lab.name, run.cell, is_error=is_error)

    def _count(self, host: Host, lab: str, cell: str, *, is_error: bool) -> None:
        host.errors.add(lab, cell, is_error=is_error)
        if host.errors.are_too_many and host.name not in self.set_aside:
            self._set_aside(host, f"errors in a row: {host.errors}")
            self._play_elsewhere(host)

    def _play_elsewhere(self, host: Host) -> None:
        """Let other hosts play again what ended in an error on a host that was set aside: it may be to blame."""
        for lab, planned, digest in host.erred:
            if self._roster.others(lab):
                self._shown.say(f"{planned} on {lab.name} is played again on another host")
                self._returned.add(digest)
                lab.left.append(planned)
                if not self._roster.plays(lab):
                    self._wait(lab)
        host.erred = []

    def _wait(self, lab: Lab) -> None:
        if all(other is not lab for other in self._waiting):
            self._waiting.append(lab)

    def _set_aside(self, host: Host, why: str) -> None:
        self._roster.set_aside[host.name] = one_line(why)
        self._shown.say(f"host {host.name} is set aside: {one_line(why)}")
        if host.act and host.act.lab:
            host.act.is_stopped = True
            with suppress(HostGone):
                self._cluster.ask(host.address, agent.stop, self._matrix, host.act.name)

    def _end(self, host: Host, act: Act, task: Task[EndedLab]) -> None:
        end = end_of(task, host.name)
        if act.lab is None:
            if end.why:
                self._shown.say(f"host {host.name}, lab {act.name}: {end.why}")
            # it has more memory now
            host.facts = self._cluster.ask(host.address, agent.describe)
            return
        host.leftovers.append(act.name)
        if end.is_unfit:
            self._set_aside(host, end.why)
        elif end.why and not (end.was_interrupted or act.is_stopped):
            self._count(host, act.name, "", is_error=True)
        self._again(act.lab, end, is_hosts_fault=act.is_stopped or end.is_unfit)

    def _again(self, lab: Lab, end: EndedLab, *, is_hosts_fault: bool = False) -> None:
        """Let another host play what is left of a lab; without anything left, the lab has ended."""
        if lab.left and is_hosts_fault:
            end = EndedLab()
            lab.tries.pop()
        lab.why = end.why or lab.why
        # one that did not come up does not come up on the same host either
        may_stay = end.is_lost or end.was_interrupted or is_hosts_fault
        if lab.left and len(lab.tries) < _MOST_TRIES and (may_stay or self._roster.others(lab)):
            self._wait(lab)
        else:
            # the lab is not on this host, and its user has interrupted nothing
            why = end.why or (lab.why if lab.left else "")
            self._listener.on_end(lab.name, replace(end, why=why, is_lost=False, was_interrupted=False))

    def _give_up(self) -> None:
        """Without a host for what is left, do not wait for ever."""
        waiting = [lab for lab in self._waiting if lab.left]
        if not waiting or self._is_busy:
            self._idle_since = None
            return
        now = self._clock.now()
        self._idle_since = self._idle_since if self._idle_since is not None else now
        if now - self._idle_since < _WITHOUT_HOSTS_SECONDS:
            return
        for lab in waiting:
            self._waiting.remove(lab)
            self._listener.on_end(lab.name, EndedLab(self._roster.why_nobody_plays(lab)))

    def _stop(self) -> None:
        """End all labs. What they have completed is kept. A host that does not answer is left."""
        self._waiting.clear()
        answered = dict.fromkeys((host.name for host in self._roster.hosts), self._clock.now())
        while busy := [host for host in self._roster.hosts if host.act]:
            self._look()
            for host in busy:
                now = self._clock.now()
                if now - answered.setdefault(host.name, now) > _SILENT_SECONDS:
                    self._shown.say(f"host {host.name} does not answer; the next command removes its labs")
                    host.act = None
                    continue
                with suppress(HostGone):
                    try:
                        self._stop_host(host)
                        answered[host.name] = self._clock.now()
                    except HalabError as error:
                        # such as a full disk here: the next command takes what the host has
                        self._shown.say(f"host {host.name}: {one_line(error.message)}")
                        if act := host.act:
                            host.act = None
                            self._cluster.ask(host.address, agent.stop, self._matrix, act.name)
            self._clock.sleep(_EVERY_SECONDS)

    def _stop_host(self, host: Host) -> None:
        act = host.act
        assert act is not None
        if act.fetch:
            act.fetch.stop()
            host.act = None
            return
        is_over = act.task is None or act.task.is_over
        news = self._ask_news(host, act)
        if news.is_running:
            self._cluster.ask(host.address, agent.stop, self._matrix, act.name)
        elif act.task and not is_over:
            # it may wait until the host has played a lab of another matrix
            act.task.cancel()
        elif news.is_complete:
            host.act = None
            if act.lab:
                self._listener.on_end(act.name, EndedLab("interrupted", was_interrupted=True))
            if not self._cluster.ask(host.address, agent.forget, self._matrix, act.name):
                self._shown.say(
                    f"host {host.name} still has machines of the lab {act.name}; the next command removes them"
                )
