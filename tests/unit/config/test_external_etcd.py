"""etcd on machines of its own: the lab file, and scenarios that fit one topology of etcd or both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from halab import data
from halab.config import lab_rules, scenario_rules
from halab.config.etcd import Topology
from halab.config.lab import LabFile, ProviderKind
from halab.config.lab_traits import Capability, LabTraits
from halab.config.load_balancer import Balancer
from halab.config.scenario import Scenario
from halab.config.targets import FaultTarget, TargetKind, kinds_of
from halab.errors import BadFile
from halab.faults.catalogue import FAULTS
from halab.lifecycle.lab import open_file

STACKED = LabTraits("1.37.2", ProviderKind.DOCKER, Balancer.HAPROXY, 3)
EXTERNAL = LabTraits("1.37.2", ProviderKind.DOCKER, Balancer.HAPROXY, 3, etcd_machines=3)


def refused(folder: Path, text: str) -> list[str]:
    (folder / "lab.yml").write_text(text)
    with pytest.raises(BadFile) as caught:
        open_file(folder / "lab.yml")
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "etcd:\n  topology: external\n  members: 4\n",
            "lab.yml:3: etcd.members: should be an odd number: etcd needs 3 of 4",
        ),
        ("etcd:\n  topology: external\n  members: 0\n", "lab.yml:3: etcd.members: "),
        ("etcd:\n  topology: external\n  members: 7\n", "lab.yml:3: etcd.members: "),
        (
            "etcd:\n  members: 3\n",
            "lab.yml:2: etcd.members: every control plane of a stacked lab has a member",
        ),
        ("etcd: {topology: apart}\n", "lab.yml:1: etcd.topology: "),
        (
            "etcd: {topology: external}\nkubeadm:\n  cluster:\n    etcd:\n      local: {extraArgs: {v: '1'}}\n",
            "lab.yml:5: kubeadm.cluster.etcd.local: is for members on the control planes",
        ),
        (
            "etcd: {topology: external}\nkubeadm:\n  cluster: {etcd: {external: {endpoints: []}}}\n",
            "lab.yml:3: kubeadm.cluster.etcd.external: cannot be set: write `etcd: {topology: external}`",
        ),
        (
            "machines:\n  etcd: {cpus: 2}\n",
            "lab.yml:2: machines.etcd: is for etcd machines, which this lab does not have",
        ),
        ("setup:\n  etcd: {before: b.sh}\n", "lab.yml:2: setup.etcd: is for etcd machines"),
        ("machines:\n  etcd1: {cpus: 2}\n", "lab.yml:2: machines.etcd1: is neither a role nor a machine"),
    ],
)
def test_a_lab_file_that_makes_no_sense_is_refused_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    assert any(problem.startswith(said) for problem in refused(tmp_path, text)), refused(tmp_path, text)


def test_three_members_are_the_default_and_machines_have_settings_of_their_own() -> None:
    lab = LabFile.model_validate(
        {"etcd": {"topology": "external"}, "machines": {"etcd": {"cpus": 2}, "etcd3": {"memory": "2G"}}}
    )
    assert list(lab_rules.names(lab)) == ["lb1", "cp1", "cp2", "cp3", "etcd1", "etcd2", "etcd3"]
    assert not list(lab_rules.problems(lab))


def test_two_control_planes_need_no_quorum_of_their_own() -> None:
    written = {"control_planes": 2, "etcd": {"topology": "external"}}
    assert not list(lab_rules.warnings(LabFile.model_validate(written)))
    assert list(lab_rules.warnings(LabFile.model_validate({"control_planes": 2})))


@pytest.mark.parametrize(
    ("target", "stacked", "external"),
    [
        ("etcd-leader", {TargetKind.CONTROL_PLANE}, {TargetKind.ETCD}),
        ("all-etcd", {TargetKind.CONTROL_PLANE}, {TargetKind.ETCD}),
        ("all-cp", {TargetKind.CONTROL_PLANE}, {TargetKind.CONTROL_PLANE}),
        ("etcd2", set(), {TargetKind.ETCD}),
        ("cp1", {TargetKind.CONTROL_PLANE}, {TargetKind.CONTROL_PLANE}),
    ],
)
def test_a_target_means_machines_of_a_kind_that_depends_on_the_topology(
    target: str, stacked: set[TargetKind], external: set[TargetKind]
) -> None:
    assert kinds_of(target, Topology.STACKED) == stacked
    assert kinds_of(target, Topology.EXTERNAL) == external
    assert kinds_of(target) == stacked | external


@pytest.mark.parametrize(
    ("fault", "options", "target"),
    [
        ("hold-static-pod", {"pod": "etcd"}, FaultTarget.MEMBER),
        ("hold-static-pod", {"pod": "kube-apiserver"}, FaultTarget.CONTROL_PLANE),
        ("expire-certificate", {"certificate": "etcd-peer"}, FaultTarget.MEMBER),
        ("expire-certificate", {"certificate": "apiserver-etcd-client"}, FaultTarget.CONTROL_PLANE),
        ("corrupt-wal", {}, FaultTarget.MEMBER),
        ("leave-cluster", {}, FaultTarget.CONTROL_PLANE),
    ],
)
def test_the_machines_of_a_fault_may_depend_on_its_options(
    fault: str, options: dict[str, str], target: FaultTarget
) -> None:
    assert FAULTS[fault].target_with(options) is target


SCENARIO = """\
title: The leader is stopped
teaches: Something.
needs: {needs}
steps:
  - inject: {inject}
    name: dead
    on: {on}
    with: {options}
  - expect: {{probe: etcd-direct, on: dead, fails: within 10s}}
  - expect: {{probe: ready-direct, on: dead, fails: within 20s}}{when}
  - wait: 5s
  - heal: dead
  - expect: {{probe: etcd-direct, on: others, longest_outage: 5s, during: dead}}
recover: {{steady: within 3m}}
twin: {{replace: {{dead: nothing}}, verdict: fail}}
"""
HOLD = {"inject": "hold-static-pod", "on": "etcd-leader", "options": "{pod: etcd}"}


def read(text: str, folder: Path) -> Scenario:
    path = folder / "s.yml"
    path.write_text(text)
    return scenario_rules.read(path, FAULTS).value


def problems(text: str, folder: Path) -> list[str]:
    with pytest.raises(BadFile) as caught:
        read(text, folder)
    return [str(problem) for problem in caught.value.problems]


def scenario(needs: str = "{members: 3}", when: str = "", **changed: str) -> str:
    return SCENARIO.format(needs=needs, when=f"\n    when: {when}" if when else "", **{**HOLD, **changed})


def test_what_a_machine_of_etcd_does_not_have_is_left_out(tmp_path: Path) -> None:
    loaded = read(scenario(), tmp_path)
    assert not any(loaded.left_out(index, STACKED) for index in range(len(loaded.steps)))
    left_out = {
        index: why for index in range(len(loaded.steps)) if (why := loaded.left_out(index, EXTERNAL))
    }
    assert left_out == {
        2: ["ready-direct needs a control plane, and with external etcd, dead is a machine of another kind"]
    }
    assert not loaded.lacking_in(STACKED, FAULTS)
    assert not loaded.lacking_in(EXTERNAL, FAULTS)


def test_a_fault_that_finds_no_machine_of_its_kind_skips_the_scenario(tmp_path: Path) -> None:
    loaded = read(scenario(on="any-cp"), tmp_path)
    assert not loaded.lacking_in(STACKED, FAULTS)
    assert loaded.lacking_in(EXTERNAL, FAULTS) == [
        "hold-static-pod needs a machine with an etcd member, "
        "and with external etcd, any-cp is a machine of another kind"
    ]


@pytest.mark.parametrize(
    ("needs", "lab", "lacking"),
    [
        ("{etcd: external, members: 3}", STACKED, ["etcd is stacked, not external"]),
        ("{control_planes: 3, etcd: stacked}", EXTERNAL, ["etcd is external, not stacked"]),
        ("{members: 5}", EXTERNAL, ["the lab has 3 etcd members, and 5 are needed"]),
    ],
)
def test_a_scenario_says_which_topology_it_needs(
    tmp_path: Path, needs: str, lab: LabTraits, lacking: list[str]
) -> None:
    when = "{etcd: stacked}" if "external" not in needs else "{load_balancer: nginx}"
    text = scenario(needs, when)
    if "external" in needs:
        text = "".join(line for line in text.splitlines(keepends=True) if "ready-direct" not in line)
        text = text.replace(f"    when: {when}\n", "")
    assert read(text, tmp_path).needs.lacking_in(lab) == lacking


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            scenario("{etcd: external, members: 3}"),
            "ready-direct needs a control plane, but this may be another machine: dead",
        ),
        (scenario(when="{etcd: external}"), "ready-direct needs a control plane, but this may be another"),
        (
            scenario(on="etcd2"),
            "not every lab has this machine; write `needs: {etcd: external, members: 2}`: etcd2",
        ),
        (
            scenario("{etcd: external, members: 3}", on="etcd5"),
            "not every lab has this machine; write `needs: {etcd: external, members: 5}`: etcd5",
        ),
        (
            scenario(options="{pod: kube-apiserver}", on="etcd1", needs="{etcd: external, members: 3}"),
            "hold-static-pod needs a control plane, but this is another machine: etcd1",
        ),
        (
            scenario("{etcd: external, members: 3}", when="{etcd: stacked}"),
            "when says etcd: stacked, but needs says external",
        ),
        (
            scenario("{etcd: external}"),
            "needs a lab with several etcd members: write `needs: {members: 3}`",
        ),
    ],
)
def test_a_scenario_that_cannot_mean_what_it_says_is_refused(tmp_path: Path, text: str, said: str) -> None:
    found = problems(text, tmp_path)
    assert any(said in problem for problem in found), found


def test_every_scenario_of_the_catalogue_runs_on_both_topologies_or_names_one() -> None:
    for path in sorted(data.scenarios().glob("*.yml")):
        written = scenario_rules.read(path, FAULTS).value
        needs_minor = written.needs.kubernetes
        for traits in (STACKED, EXTERNAL):
            lab = replace(
                traits,
                kubernetes=f"{needs_minor.lstrip('<>= ')}.0" if needs_minor else traits.kubernetes,
                provider=written.needs.provider or traits.provider,
                load_balancer=written.needs.load_balancer or traits.load_balancer,
                workers=3,
                balancers=2,
                capabilities=frozenset(Capability),
            )
            if written.needs.etcd in (None, lab.etcd):
                assert written.lacking_in(lab, FAULTS) == [], path.name
