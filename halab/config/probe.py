"""The probes: questions that are asked of the lab at a fixed rate, as the clients of a cluster would ask them."""

from __future__ import annotations

from enum import StrEnum


class Question(StrEnum):
    READY = "ready"
    READ = "read"
    WRITE = "write"
    HEALTH = "health"  # of an etcd member: it answers after a round of its quorum
    NEXT_EVENT = "next-event"  # of a watch
    STILL_OPEN = "still-open"  # a watch without any events


class Way(StrEnum):
    """A new connection for each question, one connection for all, or a stream that stays open."""

    NEW = "new"
    KEPT = "kept"
    WATCH = "watch"


class ProbeName(StrEnum):
    """One question, asked again and again: what is asked, how, and of whom.

    Probes `via-lb` ask the load balancer; `direct` ones ask each control plane.
    """

    READY_VIA_LB = "ready-via-lb", Question.READY
    READ_VIA_LB = "read-via-lb", Question.READ
    WRITE_VIA_LB = "write-via-lb", Question.WRITE
    READ_KEPT_VIA_LB = "read-kept-via-lb", Question.READ, Way.KEPT
    WATCH_VIA_LB = "watch-via-lb", Question.NEXT_EVENT, Way.WATCH
    QUIET_WATCH_VIA_LB = "quiet-watch-via-lb", Question.STILL_OPEN, Way.WATCH
    READY_DIRECT = "ready-direct", Question.READY
    READ_DIRECT = "read-direct", Question.READ
    WRITE_DIRECT = "write-direct", Question.WRITE
    ETCD_DIRECT = "etcd-direct", Question.HEALTH

    question: Question
    way: Way

    def __new__(cls, name: str, question: Question, way: Way = Way.NEW) -> ProbeName:
        probe = str.__new__(cls, name)
        probe._value_ = name
        probe.question, probe.way = question, way
        return probe

    @property
    def is_direct(self) -> bool:
        return self.endswith("-direct")
