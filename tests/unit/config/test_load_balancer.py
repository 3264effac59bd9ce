"""The settings of the load balancer in a lab file, and which of them are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.config import own_file
from halab.config.lab import LabFile
from halab.config.load_balancer import LoadBalancer
from halab.config.load_balancer_choices import BackendCheck
from halab.config.loading import loads
from halab.errors import BadFile, BadUsage


def problems(text: str) -> list[str]:
    with pytest.raises(BadFile) as caught:
        loads(text, "lab.yml", LabFile)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("interval: 2", "interval: should be a whole number above 0 with one unit (ms, s, m or h)"),
        ("timeout: 0s", "timeout: should be a whole number above 0 with one unit (ms, s, m or h)"),
        ("idle_timeout: 1d", "idle_timeout: should be a whole number above 0 with one unit (ms, s, m or h)"),
        ("fall: 0", "fall: should be 1 or more, not 0"),
        ("rise: 101", "rise: should be 100 or less, not 101"),
        ("check: https", 'check: should be readyz, livez, tls, tcp or none, not "https"'),
        ("redispatch: 1", "redispatch: should be true or false, not 1"),
        ("algorithm: hash", "algorithm: should be roundrobin, static-rr, leastconn, first, source or random, not"),
        ("port: 22", "port: is used for SSH to the machine: choose another port than 22"),
        ("port: 8404", "port: is used for the statistics of HAProxy: choose another port"),
        ("port: 65536", "port: should be 65535 or less, not 65536"),
        ("intervall: 2s", "intervall: is not known; did you mean interval?"),
        ("config: ''", "config: should be text of 1 characters or more"),
        ("config: a, fall: 3", "fall: has no effect beside `config`: write it in a"),
        ("config: a, check: tls", "check: has no effect beside `config`: write it in a"),
        *(
            (
                f"check: none, {setting}",
                f"{setting.partition(':')[0]}: has no effect with `check: none`: remove this setting",
            )
            for setting in ("interval: 1s", "timeout: 1s", "fall: 2", "rise: 2", "slow_start: 1s",
                            "on_marked_down: none")
        ),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_its_line(settings: str, problem: str) -> None:
    (said,) = problems(f"name: ha\nload_balancer: {{{settings}}}\n")
    assert said.startswith(f"lab.yml:2: load_balancer.{problem}")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("check: tls", "check: nginx has no health checks, it only counts failed connections"),
        ("timeout: 1s", "timeout: nginx has no health checks that could time out"),
        ("rise: 2", "rise: nginx tries a failed server again after `interval`"),
        ("slow_start: 1s", "slow_start: is in NGINX Plus only"),
        ("on_marked_down: none", "on_marked_down: nginx never cuts the connections"),
        ("algorithm: first", "algorithm: nginx has roundrobin, leastconn, source and random, not first"),
        ("interval: 500ms", "interval: nginx's fail_timeout has whole seconds, such as 5s"),
    ],
)
def test_what_nginx_cannot_do_is_refused_with_the_reason(settings: str, problem: str) -> None:
    (said,) = problems(f"name: ha\nload_balancer: {{kind: nginx, {settings}}}\n")
    assert said.startswith(f"lab.yml:2: load_balancer.{problem}")


@pytest.mark.parametrize("check", ["readyz", "none"])
def test_nginx_takes_the_check_that_init_writes_and_none(check: str) -> None:
    assert (
        loads(f"load_balancer: {{kind: nginx, check: {check}}}", "f", LabFile).load_balancer.check == check
    )


def test_changes_are_read_as_text() -> None:
    changed = LoadBalancer(fall=5).changed({"check": "tls", "rise": "3", "redispatch": "false"})
    assert (changed.fall, changed.rise, changed.check, changed.redispatch) == (5, 3, BackendCheck.TLS, False)


def test_an_own_file_is_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_bytes(b"\xef\xbb\xbfglobal\r\n\tmaxconn 5\r\n")
    assert own_file.read(path).text == "global\n\tmaxconn 5\n"
    assert not own_file.read(path).is_template


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"a\n\xff\n", ":2: not UTF-8 text"), (b"a\nb\0c\n", r":2: a control character: \x00")],
)
def test_an_own_file_that_is_no_text_is_refused_with_the_line(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_bytes(content)
    with pytest.raises(BadFile) as raised:
        own_file.read(path)
    assert str(raised.value) == f"{path}{problem}"


@pytest.mark.parametrize("name", ["missing", "a\0b", "folder"])
def test_an_own_file_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadUsage, match="no such file|a folder, not a file"):
        own_file.read(tmp_path / name)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("machines: 2", "machines: kube-vip runs on the control planes: remove this setting"),
        ("keepalived: {check: api}", "keepalived: kube-vip chooses the holder of the address itself"),
        ("config: kube-vip.yaml", "config: kube-vip has no configuration file, only settings"),
        ("check: tcp", "check: kube-vip does not check API servers"),
        ("fall: 3", "fall: kube-vip does not check API servers"),
        (
            "idle_timeout: 5s",
            "idle_timeout: kube-vip is no proxy, connections go to the API servers themselves",
        ),
        ("port: 7443", "port: kube-vip is no proxy, clients reach the port of the API servers, 6443"),
        ("kube_vip: {version: latest}", "kube_vip.version: "),
        ("kube_vip: {lease_duration: 0}", "kube_vip.lease_duration: should be 1 or more, not 0"),
        ("kube_vip: {balance: true}", "kube_vip.balance: is not known; did you mean balancing?"),
        ("address: 10.1.1.400", "address: "),
    ],
)
def test_what_kube_vip_has_not_is_refused_with_the_reason(settings: str, problem: str) -> None:
    (said,) = problems(f"name: ha\nload_balancer: {{kind: kube-vip, {settings}}}\n")
    assert said.startswith(f"lab.yml:2: load_balancer.{problem}")


@pytest.mark.parametrize("settings", ["check: readyz", "port: 6443", "kube_vip: {balancing: true}"])
def test_kube_vip_takes_what_init_writes_and_its_own_settings(settings: str) -> None:
    read = loads(f"load_balancer: {{kind: kube-vip, {settings}}}", "f", LabFile).load_balancer
    assert (read.machine_count, read.kind.checks_backends) == (0, False)


@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_settings_of_kube_vip_are_refused_behind_another_load_balancer(kind: str) -> None:
    (said,) = problems(f"load_balancer: {{kind: {kind}, kube_vip: {{balancing: true}}}}\n")
    assert said.startswith("lab.yml:1: load_balancer.kube_vip: is for kube-vip: write `kind: kube-vip`")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("machines: 2", "machines: the load balancers run on the nodes: remove this setting"),
        ("address: 10.1.1.100", "address: every node reaches its own load balancer at 127.0.0.1"),
        ("keepalived: {check: api}", "keepalived: every node has a load balancer of its own, and no address moves"),
        ("kube_vip: {balancing: true}", "kube_vip: is for kube-vip: write `kind: kube-vip`"),
        ("config: haproxy.cfg", "config: halab writes the configuration of every node, from the other settings"),
        ("port: 7443", "port: nodes connect to 127.0.0.1:7445, and clients outside to port 6443 of the API servers"),
        ("check: none, fall: 3", "fall: has no effect with `check: none`: remove this setting"),
    ],
)  # fmt: skip
def test_what_load_balancers_on_nodes_have_not_is_refused_with_the_reason(
    settings: str, problem: str
) -> None:
    (said,) = problems(f"name: ha\nload_balancer: {{kind: local, {settings}}}\n")
    assert said.startswith(f"lab.yml:2: load_balancer.{problem}")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("port: 7443", "port: nodes connect to 127.0.0.1:7445, and clients outside to port 6443 of the API servers"),
        ("config: nginx.conf", "config: halab writes the configuration of every node, from the other settings"),
        ("check: tcp", "check: nginx has no health checks, it only counts failed connections"),
        ("on_marked_down: none", "on_marked_down: nginx never cuts the connections to a failed server"),
        ("interval: 500ms", "interval: nginx's fail_timeout has whole seconds, such as 5s"),
    ],
)  # fmt: skip
def test_what_nginx_on_nodes_has_not_is_refused_with_the_reason(settings: str, problem: str) -> None:
    (said,) = problems(f"name: ha\nload_balancer: {{kind: local-nginx, {settings}}}\n")
    assert said.startswith(f"lab.yml:2: load_balancer.{problem}")


def test_load_balancers_on_nodes_have_the_settings_of_nginx() -> None:
    text = "{kind: local-nginx, check: none, algorithm: leastconn, idle_timeout: 10m}"
    read = loads(f"load_balancer: {text}", "f", LabFile).load_balancer
    assert (read.machine_count, read.kind.service, read.kind.checks_backends) == (0, "nginx", False)


def test_load_balancers_on_nodes_have_the_settings_of_haproxy() -> None:
    text = "{kind: local, check: tcp, fall: 3, slow_start: 5s, on_marked_down: none, algorithm: first, port: 6443}"
    read = loads(f"load_balancer: {text}", "f", LabFile).load_balancer
    assert (read.fall, read.machine_count, read.kind.program, read.kind.has_settings) == (
        3,
        0,
        "haproxy",
        True,
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("machines: 2", "machines: halab has one DNS server, on lb1: remove this setting"),
        ("address: 10.213.7.9", "address: clients reach the addresses of the API servers themselves"),
        ("keepalived: {check: api}", "keepalived: no address moves between machines here"),
        ("kube_vip: {balancing: true}", "kube_vip: is for kube-vip: write `kind: kube-vip`"),
        ("config: dnsmasq.conf", "config: halab writes the configuration of dnsmasq, of which only `ttl`"),
        ("check: tcp", "check: a DNS server does not check API servers: remove this setting"),
        ("fall: 3", "fall: a DNS server does not check API servers: remove this setting"),
        ("algorithm: leastconn", "algorithm: a DNS server is no proxy, clients connect to the API servers"),
        ("connect_timeout: 5s", "connect_timeout: a DNS server is no proxy"),
        ("port: 7443", "port: a DNS record has no port, clients use the port of the API servers, 6443"),
        ("ttl: 500ms", "ttl: should be a time in whole seconds, such as 0s, 30s or 5m, not 500ms"),
        ("ttl: 30", "ttl: should be a time in whole seconds"),
    ],
)
def test_what_dns_has_not_is_refused_with_the_reason(settings: str, problem: str) -> None:
    (said,) = problems(f"name: ha\nload_balancer: {{kind: dns, {settings}}}\n")
    assert said.startswith(f"lab.yml:2: load_balancer.{problem}")


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [("", 30), ("check: readyz, machines: 1, port: 6443, ttl: 0s", 0), ("ttl: 5m", 300)],
)
def test_dns_takes_what_init_writes_and_a_time_to_live(settings: str, seconds: int) -> None:
    read = loads(f"load_balancer: {{kind: dns, {settings}}}", "f", LabFile).load_balancer
    assert (read.machine_count, read.kind.checks_backends, read.ttl_seconds) == (1, False, seconds)
    assert not read.kind.has_settings


@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_a_time_to_live_is_refused_behind_a_load_balancer(kind: str) -> None:
    (said,) = problems(f"load_balancer: {{kind: {kind}, ttl: 5s}}\n")
    assert said.startswith(
        "lab.yml:1: load_balancer.ttl: is for the records of a DNS server: write `kind: dns`"
    )
