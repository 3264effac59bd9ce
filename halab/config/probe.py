"""The probes: requests that are sent to the lab at a fixed rate, as the clients of a cluster would send them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Certificate(StrEnum):
    """The certificate with which a probe identifies itself."""

    ADMINISTRATOR = "administrator"
    ETCD_CLIENT = "etcd client"
    NONE = "none"


@dataclass(frozen=True)
class QuestionTraits:
    """What a question needs. One that etcd's certificate is for is asked of each etcd member, all others of the API.

    A question that `needs_writes` can only be asked while the sampler may write. One that `needs_objects` needs more in
    the cluster than a namespace.
    """

    certificate: Certificate = Certificate.ADMINISTRATOR
    needs_writes: bool = False
    needs_objects: bool = False


_ORDINARY = QuestionTraits()
_OF_A_MEMBER = QuestionTraits(Certificate.ETCD_CLIENT)
_WITH_WRITES = QuestionTraits(needs_writes=True)
_WITH_OBJECTS = QuestionTraits(needs_objects=True)


class Question(StrEnum):
    """What a probe asks, with its traits."""

    # without a certificate, the client saves one signature per connection
    READY = "ready", QuestionTraits(Certificate.NONE)
    READ = "read"
    # a path that the scenario chooses
    GET = "get"
    # the list of API groups, for a client with the token of a service account
    TOKEN = "token", QuestionTraits(Certificate.NONE, needs_objects=True)
    # all objects of a namespace that halab has filled
    LIST = "list", _WITH_OBJECTS
    WRITE = "write", _WITH_WRITES
    # of an etcd member: it answers after a round of its quorum
    HEALTH = "health", _OF_A_MEMBER
    # a key of an etcd member, from its own data: no quorum is needed
    SERIALIZABLE = "serializable", _OF_A_MEMBER
    # a Service at its cluster address, asked by a node
    SERVICE = "service", _WITH_OBJECTS
    # the readiness of the API at its endpoint, asked by a node
    FROM_NODE = "from-node"
    # does a new pod run soon?
    POD = "pod", _WITH_OBJECTS
    # of a watch of what the sampler writes
    NEXT_EVENT = "next-event", _WITH_WRITES
    # a watch without any events
    STILL_OPEN = "still-open"

    traits: QuestionTraits

    def __new__(cls, name: str, traits: QuestionTraits = _ORDINARY) -> Question:
        question = str.__new__(cls, name)
        question._value_ = name
        question.traits = traits
        return question


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
        return self.endswith("-direct") or self.is_of_etcd or self.way is Way.SHELL

    @property
    def is_of_workers(self) -> bool:
        """True for a probe that every worker asks; other probes of machines are about control planes or members."""
        return self.question is Question.FROM_NODE

    @property
    def is_of_etcd(self) -> bool:
        """True for a probe of each etcd member."""
        return self.question.traits.certificate is Certificate.ETCD_CLIENT
