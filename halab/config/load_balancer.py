"""The way to the API of a lab: which load balancer, how it checks the API servers, what it does with connections."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from halab.config import dns
from halab.config.keepalived import Keepalived
from halab.config.kube_vip import KubeVip
from halab.config.kubernetes import API_PORT
from halab.config.load_balancer_choices import OF_CHECKS, Algorithm, BackendCheck, OnMarkedDown
from halab.config.loading import Model, listed
from halab.config.quantities import text_like
from halab.config.roles import MOST_BALANCERS

# HAProxy's statistics over HTTP, at the port that its documentation uses.
STATS_PORT = 8404
# Where the load balancer on a node listens for the clients on that node: that of Talos (KubePrism) is there, too. The
# API server of a control plane has port 6443 of all its addresses.
NODE_PORT = 7445
_SSH_PORT = 22
# Four days at most (99h): HAProxy accepts times up to 24 days.
TIME = r"[1-9][0-9]{0,6}ms|[1-9][0-9]{0,4}s|[1-9][0-9]{0,3}m|[1-9][0-9]?h"
MOST_CHECKS = 100
MOST_CONNECTIONS = 9999


class Balancer(StrEnum):
    HAPROXY = "haproxy"
    NGINX = "nginx"
    KUBE_VIP = "kube-vip"
    LOCAL = "local"
    LOCAL_NGINX = "local-nginx"
    DNS = "dns"

    @property
    def most_machines(self) -> int:
        """On how many machines of its own it can run: kube-vip is a static pod on every control plane."""
        if self.is_on_every_node or self is Balancer.KUBE_VIP:
            return 0
        return 1 if self.has_dns else MOST_BALANCERS

    @property
    def has_machines(self) -> bool:
        return self.most_machines > 0

    @property
    def is_on_every_node(self) -> bool:
        """Whether it is a service on every node, for the clients on that node alone."""
        return self in (Balancer.LOCAL, Balancer.LOCAL_NGINX)

    @property
    def nodes_choose(self) -> bool:
        """Whether every node chooses an API server by itself: which one is a fact of the node."""
        return self.is_on_every_node

    @property
    def has_dns(self) -> bool:
        """Whether it is a DNS server instead of a load balancer, on a machine of its own."""
        return self is Balancer.DNS

    @property
    def needs_a_name(self) -> bool:
        """Whether clients outside the nodes reach the API by a name with the addresses of all control planes."""
        return self.is_on_every_node or self.has_dns

    @property
    def has_address(self) -> bool:
        """Whether the control planes share a virtual address."""
        return self is Balancer.KUBE_VIP

    @property
    def program(self) -> Balancer:
        """The kind whose program it runs."""
        return {Balancer.LOCAL: Balancer.HAPROXY, Balancer.LOCAL_NGINX: Balancer.NGINX}.get(self, self)

    @property
    def service(self) -> str:
        """The name of its process, and of its systemd unit without `.service`."""
        return "dnsmasq" if self.has_dns else str(self.program)

    @property
    def has_settings(self) -> bool:
        """Whether it is a proxy, with settings that a run can change."""
        return self not in (Balancer.KUBE_VIP, Balancer.DNS)

    @property
    def checks_backends(self) -> bool:
        """Whether it asks every API server for its health, and reports which ones it considers up.

        Open-source NGINX notices a bad backend only when a connection to it fails, and shows no state.
        """
        return self.program is Balancer.HAPROXY

    @property
    def has_one_view(self) -> bool:
        """Whether it checks its backends, and all clients share what it finds: those on every node may differ."""
        return self is Balancer.HAPROXY


def checking_balancers() -> str:
    """The programs that check their backends, as words of a sentence."""
    return listed(dict.fromkeys(balancer.program for balancer in Balancer if balancer.checks_backends))


def reporting_balancers() -> str:
    """The load balancers whose view of the backends is a fact of the lab, as words of a sentence."""
    return listed(balancer for balancer in Balancer if balancer.has_one_view)


def choosing_nodes(key: str) -> str:
    """What to write below `needs` or `when`, which is the key, if every node has to choose an API server by itself."""
    return listed(f"`{key}: {{load_balancer: {kind}}}`" for kind in Balancer if kind.nodes_choose)


def balancers_on_machines() -> str:
    """The services that lead to the API from machines of their own, as words of a sentence."""
    return listed(balancer.service for balancer in Balancer if balancer.has_machines)


Time = Annotated[
    str,
    text_like(TIME, "a whole number above 0 with one unit (ms, s, m or h), such as 500ms or 90m"),
    Field(json_schema_extra={"type": "string", "pattern": f"^({TIME})$"}),
]
Count = Annotated[int, Field(ge=1, le=MOST_CHECKS)]


class LoadBalancer(Model):
    """Settings of the load balancer. A setting without a value has a default that depends on the load balancer.

    The defaults of `interval` and `timeout` are longer if processors are emulated.
    """

    example: ClassVar[str] = "{kind: haproxy}"

    kind: Balancer = Field(
        Balancer.HAPROXY,
        description="haproxy or nginx: on a machine of its own; kube-vip: a virtual address of the control planes; "
        "local: HAProxy on every node for the clients on that node, and for others a name with the addresses of all "
        "control planes; local-nginx: the same with NGINX; dns: only a name with these addresses, which dnsmasq on lb1 "
        "serves",
    )
    machines: int = Field(
        1, ge=1, le=MOST_BALANCERS, description="2: lb1 and lb2, with one virtual address and keepalived"
    )
    address: IPv4Address | None = Field(
        None,
        description="the virtual address of two machines or of kube-vip, inside `network`, which must be a fixed /24; "
        "by default the first free one from .100 on",
    )
    keepalived: Keepalived = Field(
        Keepalived(), description="settings of keepalived on two machines: see below"
    )
    kube_vip: KubeVip = Field(KubeVip(), description="settings of kube-vip: see below")
    config: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="a configuration of your own, plain or with Jinja: its path from the lab file"
    )
    check: BackendCheck = Field(
        BackendCheck.READYZ,
        description=f"what {checking_balancers()} asks an API server: /readyz, /livez, a TLS handshake, a TCP "
        "connection or nothing (none); nginx: none stops the counting of failed connections",
    )
    interval: Time | None = Field(
        None,
        description="haproxy: the time between two checks, by default 1s; nginx: fail_timeout, how long a failed "
        "server is left out, by default 10s",
    )
    timeout: Time | None = Field(
        None, description="haproxy: the time for the answer to a check, by default 1s"
    )
    fall: Count | None = Field(
        None,
        description="haproxy: failed checks until a server is down, by default 2; nginx: max_fails, failed connections "
        "until it is left out, by default 1",
    )
    rise: Count | None = Field(
        None, description="haproxy: good checks until a server is up again, by default 1"
    )
    slow_start: Time | None = Field(
        None, description="haproxy: how long a server that is up again gets fewer clients"
    )
    connect_timeout: Time = Field("1s", description="the time for a connection to a server")
    idle_timeout: Time | None = Field(
        None,
        description="how long a connection may be idle: by default 24h with haproxy (timeout tunnel), 1h with nginx",
    )
    redispatch: bool = Field(
        True, description="try another server if one cannot be reached; nginx: proxy_next_upstream"
    )
    on_marked_down: OnMarkedDown = Field(
        OnMarkedDown.SHUTDOWN_SESSIONS,
        description="haproxy: cut the connections to a server that goes down (shutdown-sessions) or keep them (none)",
    )
    algorithm: Algorithm = Field(
        Algorithm.ROUNDROBIN,
        description="how a server is chosen: roundrobin, leastconn, source (by the client's address), random; haproxy: "
        "also static-rr, first",
    )
    connections: int | None = Field(
        None, ge=1, le=MOST_CONNECTIONS, description="the maximum number of client connections at a time"
    )
    ttl: dns.Ttl | None = Field(
        None,
        description="dns: the time to live of the records, in whole seconds, such as 30s or 5m; by default "
        f"{dns.DEFAULT_TTL}; 0s: no client may keep an answer",
    )
    port: int = Field(API_PORT, ge=1, le=65535, description="the port where clients connect")

    @field_validator("*")
    @classmethod
    def _is_possible(cls, value: Any, info: ValidationInfo) -> Any:
        # an earlier field that is invalid itself is missing in info.data
        name, kind = str(info.field_name), info.data.get("kind")
        reason = _general_reason(name, value, info.data.get("check"))
        if kind is Balancer.KUBE_VIP:
            reason = _reason_of_kube_vip(name, value)
        elif kind is Balancer.DNS:
            reason = dns.reason(name, value)
        elif name == "ttl":
            reason = (
                f"is for the records of a DNS server: write `kind: {Balancer.DNS}`, or remove this setting"
            )
        elif kind and kind.is_on_every_node and (of_nodes := _reason_of_local(name, value)):
            reason = of_nodes
        elif name == "kube_vip":
            reason = f"is for kube-vip: write `kind: {Balancer.KUBE_VIP}`, or remove this setting"
        elif name in _OF_A_PAIR and info.data.get("machines", MOST_BALANCERS) == 1:
            reason = _OF_A_PAIR[name]
        if info.data.get("config") and name not in BESIDE_CONFIG:
            reason = f"has no effect beside `config`: write it in {info.data['config']}"
        elif kind and kind.program is Balancer.NGINX:
            reason = _reason_of_nginx(name, value) or reason
        if reason:
            raise ValueError(reason)
        return value

    @property
    def machine_count(self) -> int:
        """How many machines have nothing but a load balancer or the DNS server; 0 for kube-vip and for local."""
        return self.machines if self.kind.has_machines else 0

    @property
    def ttl_seconds(self) -> int:
        """The time to live of the records in DNS."""
        return dns.seconds(self.ttl or dns.DEFAULT_TTL)

    def changed(self, options: Mapping[str, str]) -> LoadBalancer:
        """The load balancer with other settings, which are given as text. ValueError if they are not possible."""
        try:
            other = LoadBalancer.model_validate({"kind": self.kind, **options})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(
                f"{first['loc'][0]} {first.get('ctx', {}).get('error', first['msg'])}"
            ) from error
        return self.model_copy(update={name: getattr(other, name) for name in options})


# The settings that have an effect beside a configuration of the user's own.
BESIDE_CONFIG = ("kind", "machines", "address", "keepalived", "config", "port")
_TWO = f"write `machines: {MOST_BALANCERS}`"
_OF_A_PAIR = {
    "address": f"is for two load balancers or kube-vip: {_TWO} or `kind: {Balancer.KUBE_VIP}`, or remove this setting",
    "keepalived": f"is for two load balancers: {_TWO}, or remove this setting",
}


def _general_reason(name: str, value: Any, check: BackendCheck | None) -> str:
    """Why a setting is not possible behind any load balancer; empty if it is."""
    if check is BackendCheck.NONE and name in OF_CHECKS:
        return "has no effect with `check: none`: remove this setting"
    if name == "port" and value == _SSH_PORT:
        return f"is used for SSH to the machine: choose another port than {value}"
    if name == "port" and value == STATS_PORT:
        return f"is used for the statistics of HAProxy: choose another port than {value}"
    return ""


def _reason_of_kube_vip(name: str, value: Any) -> str:
    """Why kube-vip cannot have a setting; empty if it can."""
    if name in ("kind", "address", "kube_vip") or (name, value) == ("check", BackendCheck.READYZ):
        return ""
    if name == "port" and value == API_PORT:
        return ""
    return {
        "machines": "kube-vip runs on the control planes: remove this setting",
        "keepalived": "kube-vip chooses the holder of the address itself: remove this setting",
        "config": "kube-vip has no configuration file, only settings: write `kube_vip: {…}`",
        "port": f"kube-vip is no proxy, clients reach the port of the API servers, {API_PORT}: remove this setting",
        **dict.fromkeys(("check", *OF_CHECKS), "kube-vip does not check API servers: remove this setting"),
    }.get(name, "kube-vip is no proxy, connections go to the API servers themselves: remove this setting")


def _reason_of_local(name: str, value: Any) -> str:
    """Why load balancers on every node cannot have a setting; empty if they can."""
    if name == "port" and value == API_PORT:
        return ""
    return {
        "machines": "the load balancers run on the nodes: remove this setting",
        "address": "every node reaches its own load balancer at 127.0.0.1: remove this setting",
        "keepalived": "every node has a load balancer of its own, and no address moves: remove this setting",
        "config": "halab writes the configuration of every node, from the other settings: remove this setting",
        "port": f"nodes connect to 127.0.0.1:{NODE_PORT}, and clients outside to port {API_PORT} of the API servers: "
        "remove this setting",
    }.get(name, "")


def _reason_of_nginx(name: str, value: Any) -> str:
    """Why open-source NGINX cannot have a setting; empty if it can."""
    if name == "check" and value not in (BackendCheck.READYZ, BackendCheck.NONE):
        return (
            "nginx has no health checks, it only counts failed connections: remove this setting, or write "
            "`none`, which stops the counting"
        )
    if name == "interval" and value is not None and value.endswith("ms"):
        return "nginx's fail_timeout has whole seconds, such as 5s"
    if name == "algorithm" and value in (Algorithm.FIRST, Algorithm.STATIC_RR):
        return f"nginx has roundrobin, leastconn, source and random, not {value}"
    return {
        "timeout": "nginx has no health checks that could time out: remove this setting",
        "rise": "nginx tries a failed server again after `interval`: remove this setting",
        "slow_start": "is in NGINX Plus only: remove this setting",
        "on_marked_down": "nginx never cuts the connections to a failed server: remove this setting",
    }.get(name, "")
