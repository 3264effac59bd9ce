"""The probes: requests that are sent to the lab at a fixed rate, as the clients of a cluster would send them."""

from __future__ import annotations

from enum import StrEnum


class Question(StrEnum):
    READY = "ready"
    READ = "read"
    GET = "get"  # a path that the scenario chooses
    TOKEN = "token"  # the list of API groups, for a client with the token of a service account
    LIST = "list"  # all objects of a namespace that halab has filled
    WRITE = "write"
    HEALTH = "health"  # of an etcd member: it answers after a round of its quorum
    SERIALIZABLE = "serializable"  # a key of an etcd member, from its own data: no quorum is needed
    SERVICE = "service"  # a Service at its cluster address, asked by a node
    FROM_NODE = "from-node"  # the readiness of the API at its endpoint, asked by a node
    POD = "pod"  # does a new pod run soon?
    NEXT_EVENT = "next-event"  # of a watch
    STILL_OPEN = "still-open"  # a watch without any events


class Way(StrEnum):
    """A new connection for each request, one connection for all, or a stream that stays open.

    A stream that is cut begins again or, if it is resumed, where it ended. `shell` is a shell on a node.
    """

    NEW = "new"
    KEPT = "kept"
    WATCH = "watch"
    RESUMED_WATCH = "resumed-watch"
    SHELL = "shell"


class ProbeName(StrEnum):
    """A request that is sent again and again: what it asks, how, and of whom."""

    READY_VIA_LB = "ready-via-lb", Question.READY
    READ_VIA_LB = "read-via-lb", Question.READ
    WRITE_VIA_LB = "write-via-lb", Question.WRITE
    GET_VIA_LB = "get-via-lb", Question.GET
    TOKEN_VIA_LB = "token-via-lb", Question.TOKEN
    READ_KEPT_VIA_LB = "read-kept-via-lb", Question.READ, Way.KEPT
    LIST_VIA_LB = "list-via-lb", Question.LIST
    WATCH_VIA_LB = "watch-via-lb", Question.NEXT_EVENT, Way.WATCH
    WATCH_RESUMING = "watch-resuming", Question.NEXT_EVENT, Way.RESUMED_WATCH
    QUIET_WATCH_VIA_LB = "quiet-watch-via-lb", Question.STILL_OPEN, Way.WATCH
    POD_STARTS = "pod-starts", Question.POD
    READY_DIRECT = "ready-direct", Question.READY
    READ_DIRECT = "read-direct", Question.READ
    WRITE_DIRECT = "write-direct", Question.WRITE
    GET_DIRECT = "get-direct", Question.GET
    TOKEN_DIRECT = "token-direct", Question.TOKEN
    ETCD_DIRECT = "etcd-direct", Question.HEALTH
    SERIALIZABLE_READ = "serializable-read", Question.SERIALIZABLE
    SERVICE = "service", Question.SERVICE, Way.SHELL
    READY_FROM_NODE = "ready-from-node", Question.FROM_NODE, Way.SHELL

    question: Question
    way: Way

    def __new__(cls, name: str, question: Question, way: Way = Way.NEW) -> ProbeName:
        probe = str.__new__(cls, name)
        probe._value_ = name
        probe.question, probe.way = question, way
        return probe

    @property
    def is_direct(self) -> bool:
        """True for a probe of or from several machines; the others ask the load balancer, from outside."""
        asked = (Question.SERIALIZABLE, Question.SERVICE, Question.FROM_NODE)
        return self.endswith("-direct") or self.question in asked

    @property
    def is_of_workers(self) -> bool:
        """True for a probe that every worker asks; other probes of machines are about control planes or members."""
        return self.question is Question.FROM_NODE

    @property
    def is_of_etcd(self) -> bool:
        """True for a probe of each etcd member."""
        return self.question in (Question.HEALTH, Question.SERIALIZABLE)

    @property
    def needs_objects(self) -> bool:
        """True if it needs more in the cluster than a namespace."""
        return self.question in (Question.LIST, Question.POD, Question.SERVICE, Question.TOKEN)
