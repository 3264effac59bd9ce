"""The API server to which the kubelet of a node is connected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fakes import Call, FakeGuests, lab_of
from support.site_builder import Shell

from halab.cluster import node_choice
from halab.errors import LabProblem
from halab.topology.balancer import CONNECTION_LOG

ADDRESSES = {"cp1": "10.213.7.11", "cp2": "10.213.7.12"}
LOCAL: dict[str, Any] = {"load_balancer": {"kind": "local"}, "workers": 1}
# of a worker of a real lab: the kubelet and kube-proxy go through the load balancer on the node
CONNECTIONS = """\
0 0 127.0.0.1:40002 127.0.0.1:7445 users:(("kubelet",pid=512,fd=12))
0 0 127.0.0.1:40010 127.0.0.1:7445 users:(("kube-proxy",pid=800,fd=9))
0 0 10.213.7.21:51000 10.213.7.12:6443 users:(("haproxy",pid=300,fd=5))
"""
SESSIONS = """\
0x55d0: proto=tcpv4 src=127.0.0.1:40010 fe=kube-apiserver be=control-planes srv=cp1 ts=00 epoch=0 age=1m
0x55d1: proto=tcpv4 src=127.0.0.1:40002 fe=kube-apiserver be=control-planes srv=cp2 ts=00 epoch=0 age=1m
0x55d2: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 age=0s
"""


# of NGINX 1.22.1: the connection of the kubelet, to a second server because the first one refused, and two that ended
LOG = """\
2026/11/30 11:53:33 [info] 17#17: *1 client 127.0.0.1:40002 connected to 127.0.0.1:7445
2026/11/30 11:53:33 [info] 17#17: *1 proxy 10.213.7.21:34710 connected to 10.213.7.11:6443
2026/11/30 11:53:33 [info] 17#17: *1 client disconnected, bytes from/to client:2/2, bytes from/to upstream:2/2
2026/11/30 11:53:34 [info] 18#18: *3 client 127.0.0.1:40010 connected to 127.0.0.1:7445
2026/11/30 11:53:34 [info] 17#17: *5 client 127.0.0.1:40002 connected to 127.0.0.1:7445
2026/11/30 11:53:34 [info] 18#18: *3 proxy 10.213.7.21:34720 connected to 10.213.7.11:6443
2026/11/30 11:53:34 [error] 17#17: *5 connect() failed (111: Connection refused) while connecting to upstream, client: \
127.0.0.1, server: 127.0.0.1:7445, upstream: "10.213.7.11:6443", bytes from/to client:0/0, bytes from/to upstream:0/0
2026/11/30 11:53:34 [info] 17#17: *5 proxy 10.213.7.21:35388 connected to 10.213.7.12:6443
2026/11/30 11:53:35 [info] 18#18: *3 client disconnected, bytes from/to client:2/2, bytes from/to upstream:2/2
"""


def printed(tmp_path: Path, connections: str, sessions: str = "", log: str = "") -> str:
    """What the command prints on a machine with these connections, sessions of HAProxy and log of NGINX."""
    machine = Shell(tmp_path / "machine")
    machine.add_tool("ss", f"cat <<'EOF'\n{connections}EOF")
    machine.add_tool("socat", f"cat <<'EOF'\n{sessions}EOF")
    (tmp_path / "log").write_text(log)
    command = node_choice.COMMAND
    for there, here in (
        ("[ -S /run/haproxy/admin.sock ]", "true"),
        ("unix-connect:/run/haproxy/admin.sock", "x"),
        ("[ -s /run/nginx.pid ]", "true"),
        (CONNECTION_LOG, str(tmp_path / "log")),
    ):
        assert there in command
        command = command.replace(there, here)
    return machine(Call("w1", command, None, None, 5)).output


def test_behind_the_load_balancer_on_the_node_the_server_of_the_kubelet_s_connection_counts(
    tmp_path: Path,
) -> None:
    output = printed(tmp_path, CONNECTIONS, SESSIONS)
    assert node_choice.parse(output, ADDRESSES) == {"cp2"}


def test_behind_nginx_on_the_node_its_log_names_the_server_of_the_kubelet_s_connection(
    tmp_path: Path,
) -> None:
    assert node_choice.parse(printed(tmp_path, CONNECTIONS, log=LOG), ADDRESSES) == {"cp2"}


@pytest.mark.parametrize(
    ("added", "chosen"),
    [
        # another program had the port before the kubelet, and NGINX still connects
        ("*9 client 127.0.0.1:40002 connected to 127.0.0.1:7445", set()),
        # NGINX has restarted, and begins with 1
        ("*5 client 127.0.0.1:40099 connected to 127.0.0.1:7445", set()),
        # the kubelet has a second connection, which is newer
        (
            "*9 client 127.0.0.1:40003 connected to 127.0.0.1:7445\n2026/11/30 11:54:00 [info] 17#17: "
            "*9 proxy 10.213.7.21:35390 connected to 10.213.7.11:6443",
            {"cp1"},
        ),
    ],
)
def test_the_last_line_of_a_connection_in_nginx_s_log_counts(
    tmp_path: Path, added: str, chosen: set[str]
) -> None:
    second = '0 0 127.0.0.1:40003 127.0.0.1:7445 users:(("kubelet",pid=512,fd=13))\n'
    log = f"{LOG}2026/11/30 11:54:00 [info] 17#17: {added}\n"
    assert node_choice.parse(printed(tmp_path, CONNECTIONS + second, log=log), ADDRESSES) == chosen


@pytest.mark.parametrize(
    ("ages", "chosen"),
    [
        (("1m9s", "1m8s"), {"cp2"}),
        (("59s", "1m1s"), {"cp1"}),
        (("1h1m", "59m59s"), {"cp2"}),
        (("1d2h", "23h59m"), {"cp2"}),
        (("0s", "0s"), {"cp1", "cp2"}),
    ],
)
def test_of_several_connections_the_newest_counts(
    tmp_path: Path, ages: tuple[str, str], chosen: set[str]
) -> None:
    connections = "".join(
        f'0 0 127.0.0.1:4000{number} 127.0.0.1:7445 users:(("kubelet",pid=512,fd={number}))\n'
        for number in (1, 2)
    )
    sessions = "".join(
        f"0x{number}: proto=tcpv4 src=127.0.0.1:4000{number} fe=kube-apiserver be=control-planes srv=cp{number}"
        f" ts=00 epoch=0 age={age} calls=2\n"
        for number, age in enumerate(ages, start=1)
    )
    assert node_choice.parse(printed(tmp_path, connections, sessions), ADDRESSES) == chosen


def test_a_kubelet_that_asks_an_api_server_itself_has_chosen_that_one(tmp_path: Path) -> None:
    direct = '0 0 10.213.7.11:40002 10.213.7.11:6443 users:(("kubelet",pid=512,fd=12))\n'
    assert node_choice.parse(printed(tmp_path, direct), ADDRESSES) == {"cp1"}


@pytest.mark.parametrize(
    ("output", "who"),
    [("", "no API server"), ("cp1=9s cp2=9s", "cp1 and cp2"), ("<NONE>=0s", "no API server")],
)
def test_without_one_answer_there_is_no_choice(output: str, who: str) -> None:
    guests = FakeGuests({"^w1: ": output})
    with pytest.raises(LabProblem, match=f"the kubelet of w1 is connected to {who}"):
        node_choice.of(guests, lab_of(**LOCAL), "w1")


def test_the_choice_is_a_control_plane() -> None:
    assert node_choice.of(FakeGuests({"^w1: ": "10.213.7.12:6443\n"}), lab_of(**LOCAL), "w1") == "cp2"


def test_all_nodes_that_give_an_answer_are_in_the_list() -> None:
    guests = FakeGuests(
        {"^w1: ": "cp2=1m9s", "^cp1: ": "10.213.7.11:6443", "^cp2: ": LabProblem("no answer")}
    )
    assert node_choice.all_of(guests, lab_of(**LOCAL)) == {"w1": "cp2", "cp1": "cp1"}
    assert node_choice.all_of(guests, lab_of()) == {}
