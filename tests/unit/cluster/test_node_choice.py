"""The API server to which the kubelet of a node is connected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fakes import Call, FakeGuests, lab_of
from support.site_builder import Shell

from halab.cluster import node_choice
from halab.errors import LabProblem

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


def printed(tmp_path: Path, connections: str, sessions: str = "") -> str:
    """What the command prints on a machine with these connections and sessions."""
    machine = Shell(tmp_path / "machine")
    machine.add_tool("ss", f"cat <<'EOF'\n{connections}EOF")
    machine.add_tool("socat", f"cat <<'EOF'\n{sessions}EOF")
    socket = "[ -S /run/haproxy/admin.sock ]"
    assert socket in node_choice.COMMAND
    command = node_choice.COMMAND.replace(socket, "true").replace(
        "unix-connect:/run/haproxy/admin.sock", "x"
    )
    return machine(Call("w1", command, None, None, 5)).output


def test_behind_the_load_balancer_on_the_node_the_server_of_the_kubelet_s_connection_counts(
    tmp_path: Path,
) -> None:
    output = printed(tmp_path, CONNECTIONS, SESSIONS)
    assert node_choice.parse(output, ADDRESSES) == {"cp2"}


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
