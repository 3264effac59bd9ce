"""The same lab behind NGINX, and a smaller one beside it on the same host."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, engine_names, interrupt, lab_in

NAME = "e2e-nginx"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    text = f"name: {NAME}\nload_balancer: {{kind: nginx}}\n"
    # in the middle of a join is where an interrupt leaves most behind: half a member, half a node
    yield from lab_in(
        tmp_path_factory.mktemp("nginx"),
        text,
        before=lambda lab: interrupt(lab.begin("up"), "… kubeadm join on cp2"),
    )
    assert engine_names("container", NAME) == ""


def test_a_scenario_passes_behind_nginx(lab: UserLab) -> None:
    [result] = json.loads(lab.ok("run", "black-hole-backend", "--json"))
    assert result["verdict"] == "pass", result["reasons"]


def test_two_labs_live_side_by_side(lab: UserLab, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A lab of one, and with a worker: its own network, its own machines; `down` touches no other's."""
    text = "name: e2e-small\ncontrol_planes: 1\nworkers: 1\n"
    for small in lab_in(tmp_path_factory.mktemp("small"), text):
        networks = {each.status()["endpoint"] for each in (lab, small)}
        assert len(networks) == 2
        nodes = small.ok("kubectl", "--", "get", "nodes", "--no-headers").splitlines()
        assert [line.split()[:2] for line in nodes] == [["cp1", "Ready"], ["w1", "Ready"]]
        skipped = small.halab("run", "stop-apiserver")
        assert skipped.code == 3
        assert "the lab has 1 control planes, not 3" in skipped.output
    assert engine_names("container", "e2e-small") == ""
    # so many labs on few cores: a controller may have lost its lease meanwhile, and is started anew
    lab.wait_until_steady()


def test_a_lab_of_the_same_name_elsewhere_is_refused(
    lab: UserLab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = UserLab(tmp_path_factory.mktemp("other"))
    (other.folder / "lab.yml").write_text(f"name: {NAME}\n")
    done = other.halab("up")
    assert done.code == 3
    assert str(lab.folder) in done.errors
