"""Two load balancers in front of one control plane: the address moves when it must, and a run can tell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, engine_names, lab_in

PAIR = "e2e-pair"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    text = f"name: {PAIR}\ncontrol_planes: 1\nload_balancer: {{machines: 2}}\n"
    yield from lab_in(tmp_path_factory.mktemp("pair"), text)
    assert engine_names("container", PAIR) == ""


@pytest.mark.nightly
def test_the_address_moves_when_its_load_balancer_stops(pair: UserLab) -> None:
    assert pair.status()["vip_holders"] == ["lb1"]
    pair.require_proof("stop-one-of-two-load-balancers")
    assert pair.status()["vip_holders"] == ["lb1"]
