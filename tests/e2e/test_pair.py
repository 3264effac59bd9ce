"""Two load balancers in front of one control plane: the address moves when it must, and a run can tell."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, engine_names, lab_in

PAIR = "e2e-pair"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    text = f"name: {PAIR}\ncontrol_planes: 1\nload_balancer: {{machines: 2}}\n"
    yield from lab_in(tmp_path_factory.mktemp("pair"), text)
    assert engine_names("container", PAIR) == ""


def test_a_learner_solves_the_drill_of_a_pair_and_the_lab_is_put_back(pair: UserLab) -> None:
    told = json.loads(pair.ok("drill", "start", "two-masters", "--json"))
    assert {task["state"] for task in told["tasks"]} == {"not-yet"}

    # no conflict any more, and nobody who takes over
    pair.ok("ssh", "lb2", "--", "sudo systemctl stop keepalived")
    wrong = pair.halab("drill", "check", "--json")
    assert wrong.code == 1
    assert states(wrong.output) == {"one": "done", "ready": "not-yet", "protocol": "not-yet"}

    repair = "sudo sed -i '/virtual_router_id/s/52/51/' /etc/keepalived/keepalived.conf"
    pair.ok("ssh", "lb2", "--", f"{repair} && sudo systemctl start keepalived")
    pair.ok("drill", "answer", "protocol", "vrrp")
    solved = json.loads(pair.ok("drill", "check", "--json"))
    assert (solved["verdict"], solved["score"], solved["ending"]) == ("pass", 100, "complete")
    status = pair.status()
    assert (status["drill_is_on"], status["steady"], status["vip_holders"]) == (False, True, ["lb1"])


def states(told: str) -> dict[str, str]:
    return {task["name"]: task["state"] for task in json.loads(told)["tasks"]}


@pytest.mark.nightly
def test_the_address_moves_when_its_load_balancer_stops(pair: UserLab) -> None:
    assert pair.status()["vip_holders"] == ["lb1"]
    pair.require_proof("stop-one-of-two-load-balancers")
    assert pair.status()["vip_holders"] == ["lb1"]
