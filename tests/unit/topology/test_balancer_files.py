"""The configuration of the load balancer: every setting, a file of the user's own, and what is wrong with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fakes import lab_of

from halab.config.own_file import OwnFile
from halab.errors import BadFile
from halab.topology import balancer_messages
from halab.topology.balancer import BalancerFile, configuration, from_file, statistics_port
from halab.topology.lab import Lab

NGINX = {"kind": "nginx"}


def text_of(**settings: Any) -> str:
    return configuration(lab_of(load_balancer=settings)).text


def with_own(text: str, path: str = "haproxy.cfg", **settings: Any) -> Lab:
    """A lab whose load balancer has a configuration of the user's own."""
    lab = lab_of(load_balancer={"config": path, **settings})
    return replace(lab, balancer_file=OwnFile(Path(path), text))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"check": "livez"}, "http-check send meth GET uri /livez ver HTTP/1.1 hdr Host kube-apiserver"),
        ({"check": "tls"}, "not ready stays in use.\n  default-server check check-ssl"),
        ({"check": "tls", "fall": 3, "rise": 2, "interval": "2s"}, "verify none inter 2s fall 3 rise 2 on-marked"),
        ({"check": "tcp", "slow_start": "30s"}, "default-server check inter 1s fall 2 rise 1 slowstart 30s"),
        ({"timeout": "500ms"}, "  timeout check 500ms\n"),
        ({"connect_timeout": "5s"}, "  timeout connect 5s\n"),
        ({"idle_timeout": "20s"}, "  timeout client 20s\n  timeout server 20s\n  timeout tunnel 20s\n"),
        ({"algorithm": "leastconn"}, "  balance leastconn\n"),
        ({"connections": 10}, "  maxconn 10\n"),
        ({"port": 7443}, "  bind :7443\n"),
    ],
)  # fmt: skip
def test_haproxy_has_every_setting(settings: dict[str, Any], line: str) -> None:
    assert line in text_of(**settings)
    assert line not in text_of()


def test_haproxy_leaves_out_what_is_switched_off() -> None:
    assert "default-server" not in text_of(check="none")
    assert "redispatch" not in text_of(redispatch=False)
    assert "on-marked-down" not in text_of(on_marked_down="none")


@pytest.mark.parametrize("check", ["tls", "tcp", "none"])
def test_only_a_check_of_a_path_sends_a_request(check: str) -> None:
    assert "http-check" not in text_of(check=check)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"fall": 3, "interval": "20s"}, ":6443 max_fails=3 fail_timeout=20s;"),
        ({"check": "none"}, ":6443 max_fails=0;"),
        ({"connect_timeout": "5s"}, "proxy_connect_timeout 5s;"),
        ({"idle_timeout": "20s"}, "proxy_timeout 20s;"),
        ({"redispatch": False}, "proxy_next_upstream off;"),
        ({"algorithm": "leastconn"}, "    least_conn;\n"),
        ({"algorithm": "source"}, "    hash $remote_addr consistent;\n"),
        ({"algorithm": "random"}, "    random;\n"),
        ({"port": 7443}, "    listen 7443;\n"),
    ],
)
def test_nginx_has_its_own_equivalents(settings: dict[str, Any], line: str) -> None:
    assert line in text_of(**NGINX, **settings)
    assert line not in text_of(**NGINX)


def test_the_endpoint_has_the_port_of_the_load_balancer() -> None:
    assert lab_of(load_balancer={"port": 7443}).endpoint == "10.213.7.10:7443"


def test_haproxy_s_statistics_come_after_a_file_of_the_user_s_own() -> None:
    own = "defaults\n  mode tcp\n"
    text = configuration(with_own(own)).text
    assert text.startswith(f"{own}\n# Added by halab")
    assert "bind 10.213.7.10:8404 transparent" in text


def test_a_file_without_a_line_end_at_its_end_gets_one() -> None:
    assert "  mode tcp\n\n# Added" in configuration(with_own("defaults\n  mode tcp")).text


def test_the_statistics_take_a_port_that_the_file_does_not_use() -> None:
    lab = with_own("listen stats\n  bind *:8404\n  bind :8405\n")
    assert statistics_port(lab) == 8406
    assert "bind 10.213.7.10:8406" in configuration(lab).text


def test_nginx_s_own_file_stays_as_it_is() -> None:
    assert configuration(with_own("events {}\n", "nginx.conf", **NGINX)).text == "events {}\n"


def test_a_template_knows_the_lab() -> None:
    own = (
        "bind :{{ lab.load_balancer.port }}\n"
        "{% for m in lab.control_planes %}\nserver {{ m.name }} {{ m.address }}\n{% endfor %}\n"
    )
    text = configuration(with_own(own, port=7443)).text
    assert text.startswith("bind :7443\nserver cp1 10.213.7.11\nserver cp2 10.213.7.12\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\n{{ lab.masters }}\n", "own/h.cfg:2: Lab has no attribute 'masters'"),
        ("a\nb\n{{ labs }}\n", "own/h.cfg:3: 'labs' is undefined"),
        ("{% for x in lab.machines %}\n", "own/h.cfg:1: Unexpected end of template"),
        ("\n{{ 1 // 0 }}", "own/h.cfg:2: "),
        ("\n{% include '/etc/passwd' %}", "own/h.cfg:2: a file of your own cannot include another one: /etc/passwd"),
        ("\n{{ ().__class__ }}", "own/h.cfg:2: access to attribute '__class__'"),
        ("{{ 'a\\nb' }}", "own/h.cfg:1: a value with a control character cannot be rendered"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_template_has_a_line(text: str, problem: str) -> None:
    with pytest.raises(BadFile) as raised:
        configuration(with_own(text, "own/h.cfg"))
    assert raised.value.message.startswith(problem)


def test_a_file_for_a_while_must_leave_the_statistics_their_port() -> None:
    with pytest.raises(BadFile, match="x:2: halab reads the states of the API servers at port 8404"):
        from_file(lab_of(), OwnFile(Path("x"), "listen stats\n  bind *:8404\n"))


HAPROXY_SAYS = """\
21:03:05 [NOTICE]   (77) : haproxy version is 2.6.12-1+deb12u4
21:03:05 [ALERT]    (77) : config : parsing [/etc/haproxy/haproxy.cfg.halab-new:2] : unknown keyword 'blance' in \
'backend' section; did you mean 'balance' maybe ?
21:03:05 [ALERT]    (77) : config : [/etc/haproxy/haproxy.cfg.halab-new:3] : 'server b/x' : unknown keyword 'chekc'
21:03:05 [ALERT]    (77) : config : Proxy 'a': unable to find required default_backend: 'nix'.
21:03:05 [ALERT]    (77) : config : Error(s) found in configuration file : /etc/haproxy/haproxy.cfg.halab-new
21:03:05 [ALERT]    (77) : config : Fatal errors found in configuration.
21:03:05 error: the load balancer rejects the configuration; the one in use was not changed
"""
BAD = "backend b\n  blance roundrobin\n  server x 1.2.3.4:5 chekc\n"


def said(output: str, file: BalancerFile) -> list[str]:
    return [str(problem) for problem in balancer_messages.problems(output, file, ".halab/haproxy.cfg")]


def test_what_haproxy_says_has_the_lines_of_the_user_s_file() -> None:
    assert said(HAPROXY_SAYS, configuration(with_own(BAD))) == [
        "haproxy.cfg:2: unknown keyword 'blance' in 'backend' section; did you mean 'balance' maybe ?: "
        "blance roundrobin",
        "haproxy.cfg:3: 'server b/x' : unknown keyword 'chekc': server x 1.2.3.4:5 chekc",
        "haproxy.cfg:1: Proxy 'a': unable to find required default_backend: 'nix'.",
    ]  # fmt: skip


def test_a_journal_says_nothing_about_a_rejected_file() -> None:
    """Its lines are indented: they may be about the configuration before."""
    output = "21:03:05   [ALERT]    (77) : Current worker (715) exited with code 143 (Terminated)\n"
    assert said(output, configuration(with_own(BAD))) == []


def test_lines_of_a_template_are_those_of_the_rendered_file() -> None:
    file = configuration(with_own(f"{BAD}# {{{{ lab.name }}}}\n"))
    assert said(HAPROXY_SAYS, file)[0].startswith(".halab/haproxy.cfg:2: unknown keyword 'blance'")


@pytest.mark.parametrize("head", ["nginx: [emerg] ", "2026/11/28 21:23:10 [emerg] 23622#23622: "])
def test_what_nginx_says_has_the_line_of_the_user_s_file(head: str) -> None:
    output = f'21:03:05 {head}unknown directive "sever" in /etc/nginx/nginx.conf.halab-new:2\n'
    output += "21:03:05 nginx: configuration file /etc/nginx/nginx.conf.halab-new test failed\n"
    file = configuration(with_own("stream {\n  sever {}\n}\n", "nginx.conf", **NGINX))
    assert said(output, file) == ['nginx.conf:2: unknown directive "sever": sever {}']
