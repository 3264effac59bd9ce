"""`halab scenarios`: steps, promises and losing twin of a scenario, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.run_builder import STOP

from halab.cli import main
from halab.config.step import Expect, Inject, Join, conditions
from halab.scenario.run import description, library

Shown = pytest.CaptureFixture[str]

MINE = """
title: The leader dies
teaches: |
  A majority elects
  a new leader.
tags: [etcd, first]
needs: {control_planes: 3, workers: 1, kubernetes: ">=1.35", load_balancer: haproxy, capabilities: [own-kernel]}
steps:
  - inject: kill-process
    name: dead
    on: etcd-leader
    with: {process: etcd, signal: KILL}
  - expect: {fact: etcd-leader, changed: within 5s}
    when: {kubernetes: ">=1.36", provider: docker}
  - wait: 90s
  - inject: lose-packets
    on: [cp1, cp2]
    with: {share: 30%, from: cp3}
  - heal: dead
  - expect: {probe: write-via-lb, longest_outage: 2s to 20s, failed_share: 25%, during: dead}
  - expect: {probe: read-via-lb, ok: always, during: lose-packets}
recover: {steady: within 2m30s, from: inject}
twin: {replace: {dead: {fault: freeze, with: {}}, lose-packets: nothing}, verdict: error}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yml"
    path.write_text(MINE)
    return path


def listed(capsys: Shown, *words: str) -> list[dict[str, Any]]:
    assert main(["scenarios", *words, "--json"]) == 0
    described: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return described


def test_the_data_for_programs_has_needs_steps_and_promises(mine: Path, capsys: Shown) -> None:
    (described,) = listed(capsys, str(mine))
    assert (described["name"], described["title"], described["tags"]) == (
        "mine",
        "The leader dies",
        ["etcd", "first"],
    )
    assert described["file"] == str(mine)
    assert described["needs"] == {
        "control_planes": 3,
        "workers": 1,
        "balancers": 1,
        "members": 1,
        "kubernetes": ">=1.35",
        "load_balancer": "haproxy",
        "capabilities": ["nft-numgen", "own-kernel"],
    }
    assert described["faults"] == [
        {"step": 1, "name": "dead", "fault": "kill-process", "on": ["etcd-leader"],
         "with": {"process": "etcd", "signal": "KILL"}},
        {"step": 4, "name": "lose-packets", "fault": "lose-packets", "on": ["cp1", "cp2"],
         "with": {"share": "30%", "from": "cp3"}},
    ]  # fmt: skip
    assert described["conditions"] == [{"step": 2, "when": {"kubernetes": ">=1.36", "provider": "docker"}}]
    assert described["twin"] == {
        "change": "the fault dead is freeze instead of kill-process (process=etcd, signal=KILL) and "
        "the fault lose-packets does nothing",
        "verdict": "error",
        "replace": {"dead": {"fault": "freeze", "with": {}}, "lose-packets": "nothing"},
    }
    limits = {bound["step"]: bound["limits"] for bound in described["bounds"]}
    assert limits == {
        2: [{"what": "changed within", "unit": "seconds", "least": 0.0, "most": 5.0}],
        6: [
            {"what": "longest outage", "unit": "seconds", "least": 2.0, "most": 20.0},
            {"what": "failed share", "unit": "share", "least": 0.0, "most": 0.25},
        ],
        7: [],
        None: [{"what": "steady", "unit": "seconds", "least": 0.0, "most": 150.0}],
    }
    assert described["bounds"][-1]["promised"] == "steady within 2m30s, counted from the first inject"


def test_people_read_sentences(mine: Path, capsys: Shown) -> None:
    assert main(["scenarios", str(mine)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "mine: The leader dies\n  A majority elects a new leader.\n\n"
        "Needs\n  at least 3 control planes\n  at least 1 worker\n  Kubernetes >=1.35, load balancer haproxy\n"
        "  the capability nft-numgen\n  the capability own-kernel\n\n"
        "Steps\n"
        "  1. Inject kill-process (process=etcd, signal=KILL) on etcd-leader, called dead.\n"
        "  2. Expect: etcd-leader changed within 5s, only with Kubernetes >=1.36, provider docker.\n"
        "  3. Wait 90s.\n"
        "  4. Inject lose-packets (share=30%, from=cp3) on cp1, cp2.\n"
        "  5. Heal dead.\n"
        "  6. Expect: write-via-lb longest outage 2s to 20s, failed share at most 25% during dead.\n"
        "  7. Expect: read-via-lb ok always during lose-packets.\n\n"
        "Afterwards\n  The lab is steady within 2m30s, counted from the first inject.\n"
        "  Every write that the API acknowledged is still there.\n\n"
        "Losing twin\n  With one change, the scenario must end with an error: the fault dead is freeze instead of\n"
        "  kill-process (process=etcd, signal=KILL) and the fault lose-packets does nothing.\n\n"
        "tags: etcd, first\ntakes up to about "
    )
    assert text.endswith(f"\nfile: {mine}\n")


@pytest.mark.parametrize(
    ("twin", "change"),
    [
        ("{replace: {stopped: nothing}}", "the fault stopped does nothing"),
        ("{add: [{inject: freeze, on: cp1}]}", "freeze on cp1 is injected before the first step"),
        ("{set: {load_balancer: {check: tcp}}}", "the load balancer has check=tcp from the beginning"),
    ],
)
def test_every_kind_of_twin_is_described(twin: str, change: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(STOP.replace("{replace: {stopped: nothing}}", twin))
    described = description.as_data(library.find(str(tmp_path / "mine.yml")))
    assert (described["twin"]["change"], described["twin"]["verdict"]) == (change, "fail")


def test_all_scenarios_are_described(capsys: Shown) -> None:
    described = {each["name"]: each for each in listed(capsys)}
    assert sorted(described) == library.names()
    for name, each in described.items():
        scenario = library.find(name).scenario
        expected = [
            number for number, step in enumerate(scenario.steps, 1) if isinstance(step, Expect | Join)
        ]
        assert [bound["step"] for bound in each["bounds"]] == [*expected, None]
        assert len(each["faults"]) == sum(isinstance(step, Inject) for step in scenario.steps)
        assert len(each["conditions"]) == sum(len(conditions(step)) for step in scenario.steps)
        assert each["twin"]["verdict"] in ("fail", "error")
    assert main(["scenarios", *described]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 200
    assert not [line for line in lines if "Verdict." in line or "None" in line or line.strip() == "."]


def test_a_join_is_described_with_its_bound() -> None:
    script = library.find("join-behind-closed-port")
    bound = description.as_data(script)["bounds"][0]
    says = 'says "error creating local etcd static pod manifest file"'
    assert bound == {
        "step": 3,
        "promised": f"kubeadm join on left fails within 5m and {says}",
        "on": "left",
        "during": None,
        "limits": [{"what": "fails within", "unit": "seconds", "least": 0.0, "most": 300.0}],
    }
    assert (
        description.step_in_words(script.scenario.steps[2])
        == f"Join: kubeadm join on left fails within 5m and {says}."
    )


def test_without_names_it_is_a_table(capsys: Shown) -> None:
    assert main(["scenarios"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "TITLE", "TAGS"]
    assert [line.split()[0] for line in lines] == library.names()


def test_an_unknown_name_is_a_usage_error(capsys: Shown) -> None:
    assert main(["scenarios", "kill-etcd-membre"]) == 2
    assert "did you mean kill-etcd-member?" in capsys.readouterr().err


def test_a_scenario_that_checks_reads_says_so(mine: Path, capsys: Shown) -> None:
    mine.write_text(f"{MINE}linearizable: true\n")
    assert main(["scenarios", str(mine)]) == 0
    assert "  Reads and writes of etcd's keys were linearizable." in capsys.readouterr().out
    assert listed(capsys, str(mine))[0]["linearizable"]
