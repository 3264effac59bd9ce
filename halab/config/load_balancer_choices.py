"""The choices that a load balancer offers: its checks, how it chooses a server, and what it does when one is down."""

from __future__ import annotations

from enum import StrEnum

# The settings of `load_balancer` that, beside `check`, are about the checks of API servers.
OF_CHECKS = ("interval", "timeout", "fall", "rise", "slow_start", "on_marked_down")


class BackendCheck(StrEnum):
    """What the load balancer asks an API server to find out whether it may send clients there."""

    READYZ = "readyz"
    LIVEZ = "livez"
    TLS = "tls"  # a handshake
    TCP = "tcp"  # a connection
    NONE = "none"


class OnMarkedDown(StrEnum):
    """What happens to the connections of an API server that failed its checks."""

    NONE = "none"
    SHUTDOWN_SESSIONS = "shutdown-sessions"


class Algorithm(StrEnum):
    """How an API server is chosen for a new connection, by HAProxy's names."""

    ROUNDROBIN = "roundrobin"
    STATIC_RR = "static-rr"
    LEASTCONN = "leastconn"
    FIRST = "first"
    SOURCE = "source"
    RANDOM = "random"
