"""The settings of a lab whose endpoint is a name in DNS with the addresses of all API servers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from halab.config.kubernetes import API_PORT
from halab.config.load_balancer_choices import OF_CHECKS
from halab.config.quantities import text_like

DEFAULT_TTL = "30s"
_TTL = r"0s|[1-9][0-9]{0,4}s|[1-9][0-9]{0,2}m|[1-9][0-9]?h"
_UNITS = {"s": 1, "m": 60, "h": 3600}
Ttl = Annotated[
    str,
    text_like(_TTL, "a time in whole seconds, such as 0s, 30s or 5m"),
    Field(json_schema_extra={"type": "string", "pattern": f"^({_TTL})$"}),
]


def seconds(ttl: str) -> int:
    """A time to live in seconds."""
    return int(ttl[:-1]) * _UNITS[ttl[-1]]


# What `halab init` writes changes nothing.
_HARMLESS = {"machines": 1, "check": "readyz", "port": API_PORT}
_REASONS = {
    "machines": "halab has one DNS server, on lb1: remove this setting",
    "address": "clients reach the addresses of the API servers themselves: remove this setting",
    "keepalived": "no address moves between machines here: remove this setting",
    "kube_vip": "is for kube-vip: write `kind: kube-vip`, or remove this setting",
    "config": "halab writes the configuration of dnsmasq, of which only `ttl` is a setting: remove this setting",
    "port": f"a DNS record has no port, clients use the port of the API servers, {API_PORT}: remove this setting",
    **dict.fromkeys(("check", *OF_CHECKS), "a DNS server does not check API servers: remove this setting"),
}


def reason(name: str, value: Any) -> str:
    """Why such a lab cannot have a setting of `load_balancer`; empty if it can."""
    if name in ("kind", "ttl") or (name in _HARMLESS and value == _HARMLESS[name]):
        return ""
    proxy = "a DNS server is no proxy, clients connect to the API servers themselves: remove this setting"
    return _REASONS.get(name, proxy)
