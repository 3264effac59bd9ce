"""etcd on machines of its own: one control plane and three members, which can be lost and replaced."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, engine_names, lab_in

APART = "e2e-apart"
MEMBERS = ["etcd1", "etcd2", "etcd3"]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    text = f"name: {APART}\ncontrol_planes: 1\netcd: {{topology: external}}\n"
    yield from lab_in(tmp_path_factory.mktemp("apart"), text)
    assert engine_names("container", APART) == ""


@pytest.mark.nightly
def test_no_api_server_depends_on_one_member(apart: UserLab) -> None:
    status = apart.status()
    assert (status["steady"], status["etcd"], status["members"]) == (True, "external", MEMBERS)
    assert status["leaders"]["etcd"] in MEMBERS
    apart.require_proof("stop-external-etcd-member")


@pytest.mark.nightly
def test_a_lost_machine_of_etcd_is_replaced(apart: UserLab) -> None:
    apart.ok("inject", "lose-machine", "--on", "etcd3")
    assert apart.status()["steady"] is False
    apart.ok("heal")
    assert apart.status()["members"] == MEMBERS
    apart.ok("up")
    assert apart.status()["steady"] is True
