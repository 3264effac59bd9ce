"""The configuration of a lab's load balancer: rendered from the settings of the lab file, or a file of the user's own.

What halab has to read, the states of the API servers, it adds to HAProxy's own file at the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halab import templates
from halab.config.kubernetes import API_PORT
from halab.config.load_balancer import NODE_PORT, STATS_PORT, Balancer, LoadBalancer
from halab.config.load_balancer_choices import Algorithm, BackendCheck, OnMarkedDown
from halab.config.own_file import OwnFile
from halab.errors import BadFile, Problem
from halab.topology import dns
from halab.topology.lab import Lab


@dataclass(frozen=True)
class BalancerFile:
    """A load balancer's configuration, its path, the command that tests it, and its service; `others` must not run.

    `own` is the file that the user wrote. `test_new` tests the file `new`, which is to replace the one in use, and
    prints what is wrong with it.
    """

    path: str
    text: str
    test: str
    test_new: str
    service: str
    others: tuple[str, ...]
    own: OwnFile | None = None

    @property
    def new(self) -> str:
        return self.path + NEW

    @property
    def name(self) -> str:
        """The name of the file, without its folder."""
        return self.path.rpartition("/")[2]


NEW = ".halab-new"
# Where NGINX on a node writes which server each client got.
CONNECTION_LOG = "/var/log/nginx/connections.log"


@dataclass(frozen=True)
class _Program:
    """Where the configuration of a load balancer goes, its template, and the commands that test it."""

    path: str
    template: str
    test: str
    test_new: str

    def file(self, kind: Balancer, text: str, own: OwnFile | None = None) -> BalancerFile:
        # a machine with a proxy may have had another one; with DNS, the endpoint is another one
        proxies = [other for other in _PROGRAMS if other.has_settings and kind.has_settings]
        others = tuple(f"{other.service}.service" for other in proxies if other is not kind.program)
        return BalancerFile(
            self.path, text, self.test, self.test_new, f"{kind.service}.service", others, own
        )


_PROGRAMS = {
    Balancer.HAPROXY: _Program(
        "/etc/haproxy/haproxy.cfg",
        "haproxy.cfg.j2",
        "haproxy -c -q -f /etc/haproxy/haproxy.cfg",
        # with -q, it would not say what is wrong
        f"haproxy -c -f /etc/haproxy/haproxy.cfg{NEW}",
    ),
    Balancer.NGINX: _Program(
        "/etc/nginx/nginx.conf",
        "nginx.conf.j2",
        "nginx -t -q",
        f"nginx -t -q -c /etc/nginx/nginx.conf{NEW}",
    ),
    Balancer.DNS: _Program(
        "/etc/dnsmasq.conf",
        "dnsmasq.conf.j2",
        "dnsmasq --test",
        f"dnsmasq --test -C /etc/dnsmasq.conf{NEW}",
    ),
}
# The methods of NGINX's upstream; round robin has no name.
_NGINX_METHODS = {
    Algorithm.LEASTCONN: "least_conn",
    Algorithm.SOURCE: "hash $remote_addr consistent",
    Algorithm.RANDOM: "random",
}


def configuration(lab: Lab) -> BalancerFile:
    """The configuration of the lab's load balancer. Raises BadFile if it is the user's own and cannot be rendered."""
    if lab.balancer_file:
        text = rendered(lab, lab.balancer_file)
        return _with_statistics(lab, lab.balancer_file, text, _free_port(text))
    return from_settings(lab, lab.load_balancer)


def from_file(lab: Lab, file: OwnFile) -> BalancerFile:
    """The configuration of a file that replaces the lab's for a while. Raises BadFile if it cannot be used."""
    text, port = rendered(lab, file), statistics_port(lab)
    for number, line in enumerate(text.splitlines(), 1):
        if lab.load_balancer.kind.program is Balancer.HAPROXY and str(port) in _PORT.findall(line):
            why = f"halab reads the states of the API servers at port {port}: choose another port"
            raise BadFile([Problem(str(file.path), number, "", why)])
    return _with_statistics(lab, file, text, port)


def path_of(lab: Lab) -> str:
    """Where the load balancer reads its configuration."""
    return _PROGRAMS[lab.load_balancer.kind.program].path


def statistics_port(lab: Lab) -> int:
    """Where HAProxy shows the states of the API servers."""
    return _free_port(rendered(lab, lab.balancer_file)) if lab.balancer_file else STATS_PORT


_PORT = re.compile(r":(\d{1,5})\b")


def _free_port(text: str) -> int:
    """A port that the configuration does not mention."""
    taken = set(_PORT.findall(text))
    return next(port for port in range(STATS_PORT, 65536) if str(port) not in taken)


def rendered(lab: Lab, file: OwnFile, **values: Any) -> str:
    """The text of a file of the user's own. Raises BadFile with the line of a template that cannot be rendered."""
    text = templates.own(file.text, str(file.path), lab=lab, **values) if file.is_template else file.text
    return text if text.endswith("\n") else f"{text}\n"


def _with_statistics(lab: Lab, file: OwnFile, text: str, port: int) -> BalancerFile:
    kind = lab.load_balancer.kind.program
    if kind is Balancer.HAPROXY:
        # at the end, so that the numbers of the lines stay
        text += templates.text("balancer/haproxy-statistics.cfg.j2", lab=lab, stats_port=port)
    return _PROGRAMS[kind].file(kind, templates.Rendered(text), file)


def from_settings(lab: Lab, wanted: LoadBalancer) -> BalancerFile:
    """The configuration of a load balancer with these settings."""
    program = _PROGRAMS[wanted.kind.program]
    text = templates.text(
        f"balancer/{program.template}",
        lab=lab,
        settings=wanted,
        port=API_PORT,
        stats_port=STATS_PORT,
        node_port=NODE_PORT,
        connection_log=CONNECTION_LOG,
        **_values(lab, wanted),
    )
    return program.file(wanted.kind, text)


def _values(lab: Lab, settings: LoadBalancer) -> Mapping[str, str]:
    if settings.kind.has_dns:
        return {"records": dns.RECORDS, "upstream": dns.upstream(lab)}
    if settings.kind.program is Balancer.NGINX:
        counts = settings.check is not BackendCheck.NONE
        failures = f"max_fails={settings.fall or 1} fail_timeout={settings.interval or '10s'}"
        return {
            "failures": failures if counts else "max_fails=0",
            "method": _NGINX_METHODS.get(settings.algorithm, ""),
        }
    seconds = f"{lab.check_seconds}s"
    return {
        "check_timeout": settings.timeout or seconds,
        "server_options": " ".join(_haproxy_checks(settings, seconds)),
    }


def _haproxy_checks(settings: LoadBalancer, interval: str) -> list[str]:
    """The words of HAProxy's `default-server`; none if nothing is checked."""
    if settings.check is BackendCheck.NONE:
        return []
    words = ["check"]
    if settings.check is not BackendCheck.TCP:
        words.append("check-ssl verify none")
    words.append(
        f"inter {settings.interval or interval} fall {settings.fall or 2} rise {settings.rise or 1}"
    )
    if settings.slow_start:
        words.append(f"slowstart {settings.slow_start}")
    if settings.on_marked_down is not OnMarkedDown.NONE:
        words.append(f"on-marked-down {settings.on_marked_down}")
    return words
