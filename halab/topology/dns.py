"""The DNS server of a lab whose endpoint is a name with the addresses of all API servers."""

from __future__ import annotations

from typing import Any

from halab.config.lab import ProviderKind
from halab.topology.lab import Lab

# The records that dnsmasq serves, in the format of /etc/hosts. A reload reads them again.
RECORDS = "/etc/halab/dns-records"
# What /etc/resolv.conf of a container must be, and what its engine wrote there.
_RESOLVER = "/etc/halab/resolver"
_OF_THE_ENGINE = "/etc/halab/upstream.conf"
# dnsmasq leaves out its own address, which systemd-resolved lists too.
_OF_RESOLVED = "/run/systemd/resolve/resolv.conf"


def upstream(lab: Lab) -> str:
    """The file on the DNS server with the servers for all other names."""
    return _OF_THE_ENGINE if lab.provider is ProviderKind.DOCKER else _OF_RESOLVED


def script_values(lab: Lab) -> dict[str, Any]:
    """What the scripts need to set up the DNS server and the machines that ask it."""
    return {
        "records": RECORDS,
        "addresses": [machine.address for machine in lab.control_planes],
        "resolver": _RESOLVER,
        "upstream": _OF_THE_ENGINE,
    }
