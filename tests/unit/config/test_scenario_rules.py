"""What a scenario file must obey beyond its form, and that whatever is written gets an answer with a line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.run_builder import META, STOP, MadeRun, readings
from support.scenario_files import KNOWN, problems

from halab.config import scenario_rules
from halab.config.scenario import Scenario
from halab.config.twin import Verdict
from halab.errors import BadFile, BadUsage
from halab.faults.catalogue import FAULTS
from halab.scenario.verdict.promises import promised
from halab.scenario.verdict.result import PromiseKind, PromiseStatus
from halab.scenario.verdict.verdict import judge

WAIT = "  - wait: 10s\n"
LONG_WAIT = "  - wait: 60s\n"
SECOND = """
  - inject: {fault}
    name: second
    on: {on}
"""


def changed(changes: dict[str, str], tmp_path: Path) -> list[str]:
    text = STOP
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return problems(text, tmp_path)


def expecting(words: str, tmp_path: Path, *, needs: str = "{control_planes: 3}") -> list[str]:
    """Another expectation before the wait, on line 11."""
    return changed({WAIT: f"  - expect: {{{words}}}\n{WAIT}", "{control_planes: 3}": needs}, tmp_path)


def injecting(words: str, tmp_path: Path) -> list[str]:
    """A second fault before the first is healed, on line 11."""
    return changed({WAIT: f"  - {{{words}}}\n{WAIT}"}, tmp_path)


# faults and their targets


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("inject: kill-process, name: b, on: [cp1, cp2], with: {process: etcd}", None),
        ("inject: kill-process, name: b, on: [stopped, lb], with: {process: etcd}", None),
        ("inject: kill-process, name: b, on: [cp1, cp1], with: {process: etcd}", "on[2]: is listed twice: cp1"),
        ("inject: kill-process, name: b, on: [cp1, cp5], with: {process: etcd}", "on[2]: not every lab has this"),
        ("inject: kill-process, name: b, on: [cp1, c3], with: {process: etcd}", "on[2]: no such target: c3"),
        ("inject: kill-process, name: b, on: b, with: {process: etcd}", "on: no such target: b"),
        ("inject: kill-process, name: b, on: w1, with: {process: etcd}", "write `needs: {workers: 1}`: w1"),
        ("inject: kill-process, name: b, on: w30, with: {process: etcd}", "no lab has more than 20 workers: w30"),
        ("inject: kill-process, name: b, on: all, with: {process: etcd}", None),
        # places
        (
            "inject: hold-static-pod, name: b, on: lb, with: {pod: etcd}",
            "on: hold-static-pod needs a control plane, but this is another machine: lb",
        ),
        ("inject: hold-static-pod, name: b, on: lb1, with: {pod: etcd}", "but this is another machine: lb1"),
        (
            "inject: hold-static-pod, name: b, on: all, with: {pod: etcd}",
            "on: hold-static-pod needs a control plane, but this may be another machine: all",
        ),
        ("inject: hold-static-pod, name: b, on: all-cp, with: {pod: etcd}", None),
        ("inject: hold-static-pod, name: b, on: stopped, with: {pod: etcd}", None),
        ("inject: stop-service, name: b, on: lb, with: {service: kubelet}", "but this is another machine: lb"),
        ("inject: edit-balancer, name: b, on: cp1, with: {check: tcp}", "but this is another machine: cp1"),
        ("inject: edit-balancer, name: b, on: stopped, with: {check: tcp}", "but this is another machine: stopped"),
        ("inject: edit-balancer, name: b, on: lb, with: {check: http}", "check: should be readyz or tcp, not http"),
        ("inject: nothing, name: b, on: vip-holder", "a virtual address; write `needs: {balancers: 2}` or `needs"),
        ("inject: nothing, name: b, on: lb2", "a pair of load balancers; write `needs: {balancers: 2}`: lb2"),
        ("inject: nothing, name: b, on: lb3", "no lab has more than 2 load balancers: lb3"),
        ("inject: nothing, name: b, on: all-lb", None),
        # options that name machines
        ("inject: partition, name: b, on: cp1, with: {from: others}", None),
        ("inject: partition, name: b, on: cp1, with: {from: everyone}", None),
        ("inject: partition, name: b, on: cp1, with: {from: cp3}", None),
        ("inject: partition, name: b, on: cp1, with: {from: stopped}", None),
        ("inject: partition, name: b, on: cp1, with: {from: etcd-leader}", None),
        ("inject: partition, name: b, on: all-cp, with: {from: all-cp}", None),
        ("inject: partition, name: b, on: cp1, with: {from: cp5}", "with.from: not every lab has this machine"),
        ("inject: partition, name: b, on: cp1, with: {from: cp1}", "should be a machine other than that of the fault"),
        ("inject: partition, name: b, on: cp1, with: {from: evryone}", "not a target: evryone; did you mean everyone?"),
        # names
        ("inject: nothing, name: others, on: cp1", "name: is a machine or a role; choose another name: others"),
        ("inject: nothing, name: everyone, on: cp1", "name: is a machine or a role; choose another name: everyone"),
        ("inject: nothing, name: all-cp, on: cp1", "name: is a machine or a role; choose another name: all-cp"),
        ("inject: nothing, name: stopped, on: cp1", "name: is already the name of the fault of step 1: stopped"),
    ],
)  # fmt: skip
def test_faults_and_their_targets(words: str, said: str | None, tmp_path: Path) -> None:
    found = injecting(words, tmp_path)
    assert len(found) == (said is not None), found
    if said is not None:
        assert said in found[0]
        assert found[0].startswith("s.yml:11: steps[3]")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("expect: {fact: vip-holder, value: lb2, reached: within 5s}", None),
        (
            "expect: {fact: vip-holder, value: cp1, reached: within 5s}",
            "a load balancer, such as lb2, not cp1",
        ),
        ("expect: {fact: vip-holders, value: 2, reached: within 5s}", None),
        ("expect: {fact: vip-holders, value: 6, reached: within 5s}", "should be 0, 1, 2, 3, 4 or 5, not 6"),
        ("{inject: partition, name: b, on: all-lb, with: {from: all-lb}}", None),
        ("{inject: nothing, name: b, on: [lb2, vip-holder]}", None),
    ],
)
def test_a_scenario_for_a_pair_names_its_machines_and_facts(
    words: str, said: str | None, tmp_path: Path
) -> None:
    pair = {WAIT: f"  - {words}\n{WAIT}", "{control_planes: 3}": "{control_planes: 3, balancers: 2}"}
    found = changed(pair, tmp_path)
    assert len(found) == (said is not None), found
    assert said is None or said in found[0]


def test_a_role_that_needs_several_control_planes_is_refused(tmp_path: Path) -> None:
    found = changed({"on: any-cp": "on: etcd-follower", "needs: {control_planes: 3}\n": ""}, tmp_path)
    assert "needs a lab with several etcd members: write `needs: {members: 3}`: etcd-follower" in found[0]


def test_a_worker_that_the_lab_must_have_may_be_named(tmp_path: Path) -> None:
    needs = "{control_planes: 3, workers: 2}"
    assert (
        expecting("fact: node-ready, on: w2, value: true, reached: within 5s", tmp_path, needs=needs) == []
    )


def test_a_fault_that_comes_later_is_told_from_one_that_does_not_exist(tmp_path: Path) -> None:
    later = SECOND.format(fault="nothing", on="cp1")
    changes = {WAIT: "  - expect: {probe: write-via-lb, ok: always, during: second}\n  - wait: 10s\n"}
    found = changed({**changes, "\nrecover:": f"{later}recover:"}, tmp_path)
    assert found == ["s.yml:11: steps[3].expect.during: is injected later, in step 8: second"]
    changes = {WAIT: "  - expect: {probe: ready-direct, on: second, ok: within 5s}\n  - wait: 10s\n"}
    found = changed({**changes, "\nrecover:": f"{later}recover:"}, tmp_path)
    assert found == ["s.yml:11: steps[3].expect.on: is injected later, in step 8: second"]
    changes = {WAIT: "  - expect: {probe: write-via-lb, ok: always, during: heal second}\n  - wait: 10s\n"}
    found = changed({**changes, "\nrecover:": f"{later}recover:"}, tmp_path)
    assert found == ["s.yml:11: steps[3].expect.during: is injected later, in step 8: second"]
    found = changed({WAIT: "  - heal: second\n  - wait: 10s\n", "\nrecover:": f"{later}recover:"}, tmp_path)
    assert found == ["s.yml:11: steps[3].heal: is injected later, in step 8: second"]


# expectations


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("probe: write-via-lb, longest_outage: 1s to 9s, during: stopped", None),
        ("probe: write-via-lb, outages: 2 to 50, during: stopped", None),
        ("probe: write-via-lb, longest_outage: 5s, during: heal stopped", None),
        ("probe: write-via-lb, longest_outage: 5s, during: heal stoped", "did you mean stopped?"),
        ("probe: write-via-lb, ok: within 5s, during: heal stopped", "leave `during` out"),
        ("probe: write-via-lb, outages: 2", "`outages` needs a window"),
        ("probe: write-via-lb, ok: always, outages: 2, during: stopped", "cannot expect both ok and outages"),
        ("probe: write-via-lb, longest_outage: 9s to 1s, during: stopped", "from the lower to the higher value"),
        (
            "probe: write-via-lb, longest_outage: 1s to 5s, failed_share: 0%, during: stopped",
            "longest_outage expects an outage, but failed_share expects none",
        ),
        ("probe: etcd-direct, on: stopped, fails: within 5s", None),
        ("probe: etcd-direct, fails: within 5s", "etcd-direct needs `on`"),
        ("probe: watch-via-lb, on: cp1, ok: within 5s", "watch-via-lb asks the load balancer"),
        ("probe: ready-direct, on: all-cp, ok: within 5s", None),
        ("probe: ready-direct, on: lb, ok: within 5s", "no such machine or fault: lb1"),
        ("probe: ready-direct, on: w1, ok: within 5s", "no such machine or fault: w1"),
        ("probe: ready-direct, on: etcd-leader, ok: within 5s", "no such machine or fault: etcd-leader"),
        ("probe: ready-direct, on: cp4, ok: within 5s", "not every lab has this machine"),
        # facts and the machines they are of
        ("fact: balancer-started, on: lb, unchanged: true", None),
        ("fact: balancer-started, on: cp1, unchanged: true", "but this may be another machine: cp1"),
        ("fact: etcd-started, on: lb, unchanged: true", "needs a control plane or etcd machine, but this may be"),
        ("fact: machine-started, on: lb, unchanged: true", None),
        ("fact: etcd-started, on: all-cp, changed: within 5s", None),
        ("fact: etcd-started, on: others, changed: within 5s", "is read from named machines only"),
        ("fact: node-ready, on: others, value: true, during: stopped", None),
        ("fact: node-ready, value: true, during: stopped", "node-ready needs `on`"),
        ("fact: kcm-leader, on: cp1, changed: within 5s", "is a fact of the whole lab: leave `on` out"),
        # their forms
        ("fact: etcd-leader, changed: within 5s, value: cp1", "needs exactly one of changed, unchanged, value"),
        ("fact: etcd-leader, value: cp1, reached: within 5s", None),
        ("fact: etcd-leader, value: cp1, during: stopped", None),
        ("fact: etcd-leader, value: cp1", "a value needs `reached: within` a time, or `during` a fault"),
        ("fact: etcd-leader, value: cp1, reached: within 5s, during: stopped", "a value needs `reached"),
        ("fact: etcd-leader, reached: within 5s", "needs exactly one of"),
        ("fact: etcd-leader, changed: within 5s, reached: within 5s", "`reached` needs a value, not changed"),
        ("fact: etcd-leader, changed: within 5s, during: stopped", "leave `during` out"),
        ("fact: etcd-leader, changed: always", '"within" and a time'),
        ("fact: etcd-leader, unchanged: true, during: stopped", None),
        ("fact: etcd-started, on: stopped, unchanged: true, during: stopped", "is unknown over a window"),
        ("fact: etcd-term, increase: 1 to 5, during: stopped", None),
        ("fact: etcd-term, increase: 5", "`increase` needs a window"),
        ("fact: etcd-leader, increase: 5, during: stopped", "etcd-leader is not a number and cannot increase"),
        ("fact: etcd-term, increase: 5 to 1, during: stopped", "should go from the lower to the higher value"),
        ("fact: vip-holder, changed: within 5s", "vip-holder needs a virtual address: write `needs: {balancers: 2}`"),
        ("fact: vip-holders, value: 2, reached: within 5s", "vip-holders needs a virtual address: write `needs: {b"),
        # their values
        ("fact: etcd-leader, value: cp4, reached: within 5s", "value: not every lab has this machine"),
        ("fact: etcd-leader, value: up, reached: within 5s", "should be a control plane or etcd machine, such"),
        ("fact: node-ready, on: stopped, value: maybe, reached: within 5s", "be false, true or unknown, not maybe"),
        ("fact: node-ready, on: stopped, value: unknown, reached: within 5s", None),
        ("fact: etcd-alarm, on: stopped, value: NOSPACE, reached: within 5s", None),
        ("fact: etcd-member, on: cp2, value: learner, reached: within 5s", None),
        ("fact: etcd-member, on: cp2, value: gone, reached: within 5s", "absent, learner or voter, not gone"),
        ("fact: etcd-member, value: learner, reached: within 5s", "etcd-member needs `on`"),
        ("fact: kubernetes-endpoint, on: stopped, value: absent, reached: within 5s", None),
        ("fact: kubernetes-endpoint, on: lb, value: absent, reached: within 5s", "needs a control plane"),
        ("fact: etcd-memory, on: stopped, increase: 200, during: stopped", None),
        ("fact: etcd-memory, on: stopped, value: 200, during: stopped", "cannot be known in advance"),
        ("fact: unit-state, unit: kubelet, on: stopped, value: inactive, reached: within 5s", None),
        ("fact: unit-state, unit: getty@tty1.service, on: lb, value: active, during: stopped", None),
        ("fact: unit-state, unit: kubelet, on: cp1, value: dead, during: stopped", "or reloading, not dead"),
        ("fact: unit-state, on: stopped, value: active, during: stopped", "unit-state needs `unit`, such as kubelet"),
        ("fact: unit-state, unit: a b, on: cp1, unchanged: true", "should be the name of a systemd unit"),
        ("fact: unit-state, unit: [a], on: cp1, unchanged: true", "should be the name of a systemd unit"),
        ("fact: node-ready, unit: kubelet, on: cp1, unchanged: true", "node-ready has no unit: leave `unit` out"),
        ("fact: etcd-term, value: 5, during: stopped", "the value of etcd-term cannot be known in advance"),
        ("fact: etcd-started, on: stopped, value: 5, reached: within 5s", "a start time cannot be known in advance"),
        ("fact: node-ready, on: stopped, value: [true], during: stopped", "should be one word"),
        # HAProxy's alone
        ("fact: backend, on: stopped, value: down, reached: within 5s", "add `when: {load_balancer: haproxy}`"),
        ("fact: backend, on: stopped, value: down, reached: within 5s, when: {load_balancer: haproxy}", None),
        ("fact: backend, on: stopped, value: down, reached: within 5s, when: {load_balancer: nginx}", "only haproxy"),
    ],
)  # fmt: skip
def test_expectations(words: str, said: str | None, tmp_path: Path) -> None:
    found = expecting(words, tmp_path)
    assert len(found) == (said is not None), found
    if said is not None:
        assert said in found[0]
        assert found[0].startswith("s.yml:11: steps[3].expect")


@pytest.mark.parametrize(("balancer", "wrong"), [("haproxy", False), ("nginx", True)])
def test_backends_are_those_of_haproxy(balancer: str, wrong: bool, tmp_path: Path) -> None:
    needs = f"{{control_planes: 3, load_balancer: {balancer}}}"
    found = expecting("fact: backend, on: stopped, value: down, reached: within 5s", tmp_path, needs=needs)
    assert bool(found) is wrong
    assert not wrong or "only haproxy reports its backends, and this step is for nginx" in found[0]


def test_a_fault_that_hits_every_control_plane_leaves_no_others(tmp_path: Path) -> None:
    for target in ("all-cp", "all", "[cp1, all-cp]"):
        found = changed({"on: any-cp": f"on: {target}", "hold-static-pod": "kill-process",
                         "{pod: kube-apiserver}": "{process: etcd}"}, tmp_path)  # fmt: skip
        assert any("there are no others: stopped hits every control plane" in each for each in found)


def test_an_expectation_of_a_fault_that_hit_the_load_balancer_asks_no_api_server(tmp_path: Path) -> None:
    found = changed({"on: any-cp": "on: lb", "hold-static-pod": "kill-process",
                     "{pod: kube-apiserver}": "{process: haproxy}"}, tmp_path)  # fmt: skip
    assert any(
        "ready-direct needs a control plane, but this may be another machine: stopped" in e for e in found
    )


# how long a fault must last

SHORT = "s.yml:13: steps[5].expect.longest_outage: stopped must last"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"wait: 10s": "wait: 5s"}, None),
        (
            {"wait: 10s": "wait: 1500ms"},
            f"{SHORT} 5s to show this, but the waits while it lasts add up to 1.5s:"
            " add `wait: 4s` before `heal: stopped`",
        ),
        # the lower bound shows that the fault was long enough
        ({"longest_outage: 5s": "longest_outage: 1s to 11s"}, None),
        ({"longest_outage: 5s": "longest_outage: 11s to 20s"}, f"{SHORT} 11s to show this"),
        ({"longest_outage: 5s": "longest_outage: at least 11s"}, f"{SHORT} 11s to show this"),
        ({"longest_outage: 5s": "longest_outage: at least 1s"}, None),
        ({"longest_outage: 5s": "longest_outage: 20s", "during: stopped}": "during: heal stopped}"}, None),
        # waits before and after count for nothing
        (
            {"steps:\n": "steps:\n  - wait: 9s\n", "wait: 10s\n  - heal: stopped": "heal: stopped\n  - wait: 9s"},
            "but the waits while it lasts add up to 0s: add `wait: 5s` before `heal: stopped`",
        ),
        # an expectation may take long, and may end at once
        ({"wait: 10s": "expect: {probe: read-via-lb, ok: within 60s}"}, "add up to 0s: add `wait: 5s`"),
        ({"  - heal: stopped\n": ""}, None),
        ({"  - heal: stopped\n": "", "wait: 10s": "wait: 3s"}, "add `wait: 2s` after the inject of stopped"),
        (
            {"wait: 10s": "wait: 2s\n  - wait: 3s\n    when: {load_balancer: nginx}"},
            "add up to 2s on a lab with Kubernetes 1.34, docker and haproxy: add `wait: 3s` before `heal: stopped`",
        ),
        (
            {
                "wait: 10s": "wait: 2s\n  - wait: 3s\n    when: {load_balancer: nginx}",
                "control_planes: 3": "control_planes: 3, load_balancer: nginx",
            },
            None,
        ),
        (
            {
                "wait: 10s": "wait: 2s\n  - wait: 3s\n    when: {load_balancer: nginx}",
                "longest_outage: 5s": "longest_outage: 5s, when: {load_balancer: nginx}",
            },
            None,
        ),
    ],
)  # fmt: skip
def test_a_fault_must_last_as_long_as_the_outage_that_is_promised(
    changes: dict[str, str], said: str | None, tmp_path: Path
) -> None:
    found = [each for each in changed(changes, tmp_path) if "stands before" not in each]
    assert len(found) == (said is not None), found
    if said is not None:
        assert said in found[0]


@pytest.mark.parametrize("fault", ["kill-process", "reboot"])
def test_a_fault_that_is_over_at_once_needs_no_wait(fault: str, tmp_path: Path) -> None:
    options = "{process: etcd}" if fault == "kill-process" else "{}"
    found = changed(
        {"hold-static-pod": fault, "{pod: kube-apiserver}": options, "wait: 10s": "wait: 1s"}, tmp_path
    )
    assert not [each for each in found if "must last" in each], found


# what contradicts what


@pytest.mark.parametrize(
    ("first", "second", "contradict"),
    [
        ("probe: P, longest_outage: 5s", "probe: P, longest_outage: 10s to 20s", True),
        ("probe: P, longest_outage: 15s", "probe: P, longest_outage: 10s to 20s", False),
        ("probe: P, longest_outage: 5s", "probe: read-via-lb, longest_outage: 10s to 20s", False),
        ("probe: P, failed_share: 5%", "probe: P, failed_share: 10% to 20%", True),
        ("probe: P, outages: 2", "probe: P, outages: 3 to 4", True),
        ("probe: P, outages: 2", "probe: P, failed_share: 3% to 4%", False),
        ("probe: P, ok: always", "probe: P, outages: 1 to 4", True),
        ("probe: P, ok: always", "probe: P, longest_outage: 5s", False),
        ("probe: P, ok: always", "probe: P, fails: always", True),
        ("probe: P, fails: always", "probe: P, longest_outage: 5s", True),
        ("probe: P, fails: always", "probe: P, longest_outage: 5s to 60s", False),
        ("probe: P, fails: always", "probe: P, failed_share: 50%", True),
        ("probe: P, fails: always", "probe: P, failed_share: 50% to 100%", False),
        ("probe: P, fails: always", "probe: P, outages: 1", False),
        ("probe: P, fails: always", "probe: P, outages: 0", True),
        ("fact: etcd-leader, value: cp1", "fact: etcd-leader, value: cp2", True),
        ("fact: etcd-leader, value: cp1", "fact: kcm-leader, value: cp2", False),
        (
            "fact: unit-state, unit: a, on: cp1, value: failed",
            "fact: unit-state, unit: b, on: cp1, value: active",
            False,
        ),
        (
            "fact: unit-state, unit: a, on: cp1, value: failed",
            "fact: unit-state, unit: a.service, on: cp1, value: active",
            True,
        ),
        ("fact: etcd-term, increase: 1", "fact: etcd-term, increase: 2 to 4", True),
        ("fact: etcd-term, increase: 1 to 3", "fact: etcd-term, unchanged: true", True),
        ("fact: etcd-term, increase: 3", "fact: etcd-term, unchanged: true", False),
    ],
)
def test_two_promises_over_one_window(first: str, second: str, contradict: bool, tmp_path: Path) -> None:
    both = [f"  - expect: {{{words}, during: stopped}}\n" for words in (first, second)]
    text = STOP.replace("  - expect: {probe: write-via-lb, longest_outage: 5s, during: stopped}\n", "")
    for one, other in (both, reversed(both)):
        found = problems(
            text.replace(WAIT, one + other + LONG_WAIT).replace("P,", "write-via-lb,"), tmp_path
        )
        expected = ["s.yml:12: steps[4].expect: contradicts step 3"] if contradict else []
        assert [each for each in found if "contradicts" in each] == expected
        assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("one", "other", "contradict"),
    [
        ("{load_balancer: nginx}", "{load_balancer: haproxy}", False),
        ("{provider: docker}", "{provider: libvirt}", False),
        ("{load_balancer: nginx}", "{provider: docker}", True),
        ("{kubernetes: '<1.36'}", "{kubernetes: '>=1.36'}", False),
        ("{kubernetes: '<1.36'}", "{kubernetes: '>=1.35'}", True),
        ("{}", "{load_balancer: nginx}", True),
    ],
)
def test_promises_that_never_meet_on_a_lab_do_not_contradict_each_other(
    one: str, other: str, contradict: bool, tmp_path: Path
) -> None:
    both = [
        f"  - expect: {{probe: read-via-lb, {words}, during: stopped, when: {when}}}\n"
        for words, when in (("outages: 0", one), ("outages: 1 to 2", other))
    ]
    found = changed({WAIT: "".join(both) + WAIT}, tmp_path)
    assert bool(found) is contradict, found


def test_what_has_changed_is_not_unchanged_until_the_next_fault(tmp_path: Path) -> None:
    change = "  - expect: {fact: etcd-leader, changed: within 5s}\n"
    same = "  - expect: {fact: etcd-leader, unchanged: true}\n"
    found = changed({WAIT: change + same + WAIT}, tmp_path)
    assert found == ["s.yml:12: steps[4].expect: contradicts step 3"]
    assert changed({WAIT: same + change + WAIT}, tmp_path) == []
    between = "  - {inject: nothing, name: second, on: cp1}\n"
    assert changed({WAIT: change + between + same + WAIT}, tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"wait: 10s": "wait: 10s\n  - wait: 1s\n    when: {kubernetes: '<1.30'}"},
            "s.yml:12: steps[4]: can never apply: halab has no Kubernetes version",
        ),
        (
            {"{control_planes: 3}": "{control_planes: 3, kubernetes: '<1.30'}"},
            "s.yml:4: needs.kubernetes: halab has no Kubernetes version",
        ),
        (
            {
                "{control_planes: 3}": "{control_planes: 3, kubernetes: '>=1.36'}",
                "wait: 10s": "wait: 10s\n  - wait: 1s\n    when: {kubernetes: '<1.36'}",
            },
            "can never apply: when says kubernetes: <1.36, but needs says >=1.36",
        ),
        (
            {
                "during: stopped}\n  - expect: {probe: ready-direct, on: others": "during: stopped, "
                "when: {load_balancer: nginx}}\n    when: {load_balancer: haproxy}\n"
                "  - expect: {probe: ready-direct, on: others"
            },
            "can never apply: when says load_balancer: haproxy, but its expectation says nginx",
        ),
        ({"title:": "ledger: until-snapshot\ntitle:"}, "ledger: until-snapshot needs a step that injects"),
        ({"title:": "ledger: some\ntitle:"}, "ledger: should be all, until-snapshot or none, not"),
        (
            {"title:": "checks: [" + "x" * 5000 + "]\ntitle:"},
            "checks[1]: no such file: xxx",
        ),
    ],
)
def test_rules_for_the_whole_file(changes: dict[str, str], said: str, tmp_path: Path) -> None:
    found = changed(changes, tmp_path)
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    ("words", "shows"),
    [
        ("probe: read-via-lb, fails: within 5s", True),
        ("probe: read-via-lb, ok: within 5s", False),
        ("probe: read-via-lb, longest_outage: 1s to 9s, during: stopped", True),
        ("probe: read-via-lb, longest_outage: 9s, during: stopped", False),
        ("probe: read-via-lb, failed_share: 1% to 9%, during: stopped", True),
        ("probe: read-via-lb, outages: 1 to 9, during: stopped", True),
        ("fact: etcd-leader, changed: within 5s", True),
        ("fact: etcd-leader, unchanged: true", False),
        ("fact: node-ready, on: stopped, value: false, reached: within 5s", True),
        ("fact: node-ready, on: stopped, value: true, reached: within 5s", False),
        ("fact: etcd-alarm, on: stopped, value: none, during: stopped", False),
        ("fact: etcd-term, increase: 1 to 2, during: stopped", True),
        ("fact: etcd-term, increase: 2, during: stopped", False),
        ("fact: etcd-term, changed: within 5s", True),
        ("probe: read-via-lb, longest_outage: at least 1s, during: stopped", True),
        # the sampler writes all the time
        ("fact: etcd-revision, on: cp1, increase: 1 to 9999999, during: stopped", False),
        ("fact: etcd-revision, on: cp1, increase: at least 1, during: stopped", False),
        ("fact: etcd-revision, on: cp1, increase: 999000000 to 1001000000, during: stopped", True),
        ("fact: etcd-revision, on: cp1, changed: within 5s", False),
        # cp1 may have led before
        ("fact: etcd-leader, value: cp1, reached: within 5s", False),
        ("fact: etcd-memory, on: cp1, increase: 100 to 900, during: stopped", False),
        ("fact: etcd-memory, on: cp1, increase: at least 2000, during: stopped", True),
        ("fact: unit-state, unit: kubelet, on: stopped, value: inactive, reached: within 5s", True),
        ("fact: kcm-leader, value: cp1, during: stopped", False),
    ],
)
def test_a_scenario_must_show_that_its_fault_happened(words: str, shows: bool, tmp_path: Path) -> None:
    found = changed({"probe: ready-direct, on: stopped, fails: within 10s": words}, tmp_path)
    assert bool(found) is not shows, found
    assert shows or "no expectation shows that the fault had an effect: add one" in found[0]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"fails: within 10s}": "fails: within 10s, when: {load_balancer: haproxy}}"}, "1.34, docker and nginx"),
        ({"fails: within 10s}": "fails: within 10s}\n    when: {provider: docker}"}, "1.34, libvirt and haproxy"),
        ({"fails: within 10s}": "fails: within 10s, when: {kubernetes: '<1.37'}}"}, "1.37, docker and haproxy"),
        # what is expected of a fault goes with the fault
        (
            {"with: {pod: kube-apiserver}": "with: {pod: kube-apiserver}\n    when: {kubernetes: '>1.34'}"},
            "1.34, docker and haproxy",
        ),
        # another one shows it there
        (
            {
                "fails: within 10s}": "fails: within 10s, when: {load_balancer: haproxy}}\n"
                "  - expect: {fact: etcd-leader, changed: within 5s, when: {load_balancer: nginx}}"
            },
            None,
        ),
        # no such lab can play it
        (
            {
                "fails: within 10s}": "fails: within 10s, when: {load_balancer: haproxy}}",
                "control_planes: 3": "control_planes: 3, load_balancer: haproxy",
            },
            None,
        ),
    ],
)  # fmt: skip
def test_a_fault_must_show_on_every_lab_that_can_play_it(
    changes: dict[str, str], where: str | None, tmp_path: Path
) -> None:
    found = changed(changes, tmp_path)
    assert len(found) == (where is not None), found
    if where is not None:
        assert (
            f"no expectation shows that the fault had an effect on a lab with Kubernetes {where}: add one"
            in found[0]
        )


# twins


@pytest.mark.parametrize(
    ("twin", "said"),
    [
        ("{replace: {stopped: {fault: kill-process, with: {process: etcd}}}}", None),
        ("{replace: {stopped: {fault: kill-process, with: {}}}}", "kill-process needs the option process"),
        ("{replace: {stopped: {fault: hold-static-pod, with: {pod: etcd}}}}", None),
        ("{replace: {stopped: {fault: hold-static-pod, with: {pod: kube-apiserver}}}}", "changes nothing"),
        ("{replace: {stopped: {fault: hold-static-pod, with: {}}}}", "hold-static-pod needs the option pod"),
        ("{replace: {stopped: {fault: edit-balancer, with: {check: tcp}}}}", "but this is another machine: any-cp"),
        ("{replace: {stopped: nothing}, add: [{inject: partition, on: cp1}]}", "needs exactly one of replace"),
        ("{verdict: fail}", "twin: needs exactly one of replace, add or set"),
        ("{add: [{inject: partition, name: cut, on: [cp1, cp2]}]}", None),
        ("{add: [{inject: partition, name: cut, on: stopped}]}", "twin.add[1].on: no such target: stopped"),
        ("{add: [{inject: partition, name: stopped, on: cp1}]}", "is already the name of the fault of step 1"),
        ("{add: [{inject: partition, on: cp1}, {inject: partition, on: cp2}]}", "twin.add[2].name: is already"),
        ("{add: [{inject: partition, on: cp9}]}", "no lab has more than 5 control planes: cp9"),
        ("{add: [{inject: nothing, on: cp1}]}", "twin.add[1].inject: changes nothing: this fault does nothing"),
        ("{add: [{inject: partitoin, on: cp1}]}", "no such fault: partitoin; did you mean partition?"),
        ("{set: {load_balancer: {check: tcp}}}", None),
        ("{set: {load_balancer: {check: readyz}}}", "changes nothing: every lab has this setting by default: readyz"),
        ("{set: {load_balancer: {chekc: tcp}}}", "edit-balancer has no option chekc"),
        ("{set: {load_balancer: {check: http}}}", "check: should be readyz or tcp, not http"),
    ],
)  # fmt: skip
def test_twins(twin: str, said: str | None, tmp_path: Path) -> None:
    found = changed({"{replace: {stopped: nothing}}": twin}, tmp_path)
    assert len(found) == (said is not None), found
    if said is not None:
        assert said in found[0]
        assert found[0].startswith("s.yml:16: twin")


def test_only_haproxy_can_be_set_to_another_check(tmp_path: Path) -> None:
    found = changed(
        {
            "{replace: {stopped: nothing}}": "{set: {load_balancer: {check: tcp}}}",
            "{control_planes: 3}": "{control_planes: 3, load_balancer: nginx}",
        },
        tmp_path,
    )
    assert "only haproxy checks its backends, but the scenario needs nginx" in found[0]


# whatever a person may write

WORDS = st.sampled_from(
    [
        "title", "teaches", "needs", "steps", "recover", "twin", "inject", "heal", "expect", "wait", "on",
        "with", "name", "when", "probe", "fact", "ok", "fails", "during", "longest_outage", "failed_share",
        "outages", "changed", "unchanged", "value", "reached", "increase", "replace", "add", "set", "verdict",
        "fault", "load_balancer", "check", "kubernetes", "provider", "capabilities", "control_planes",
        "steady", "from", "stopped", "others", "everyone", "all-cp", "cp1", "cp99", "lb", "nothing",
        "hold-static-pod", "partition", "edit-balancer", "snapshot-etcd", "within 5s", "always", "5s",
        "5s to 1s", "1s to 5s", "50%", "10% to 5%", "2 to 9", "ready-direct", "etcd-leader", "etcd-term",
        "backend", "node-ready", "true", "until-snapshot", "tcp", ">=1.33", "<1.0", "", "é", "x" * 50, "/",
    ]
)  # fmt: skip
SCALARS = st.one_of(
    WORDS, WORDS, WORDS, st.booleans(), st.none(), st.integers(), st.floats(), st.text(max_size=5)
)
ANYTHING = st.recursive(
    SCALARS, lambda each: st.lists(each, max_size=3) | st.dictionaries(WORDS, each, max_size=4), max_leaves=8
)
ALMOST: dict[str, Any] = yaml.safe_load(STOP.replace(" on:", ' "on":').replace("{on:", '{"on":'))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], what: Any) -> Any:
    if not path:
        return what
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], what)
    return copy


PLACES = st.sampled_from(places(ALMOST))


@st.composite
def almost_right(draw: st.DrawFn) -> Any:
    """A scenario with something else in a few of its places."""
    value: Any = ALMOST
    for _ in range(draw(st.integers(1, 3))):
        place = draw(PLACES)
        try:
            value = put(value, place, draw(ANYTHING))
        except (KeyError, IndexError, TypeError):
            continue
    return value


# mostly right, so that many of the scenarios make sense
NAMES = st.sampled_from(["first"] * 9 + ["second"])
TARGETS = st.sampled_from(
    ["cp1", "cp3", "any-cp", "etcd-leader", "cp1", "cp3", "cp4", "lb", "all-cp", "first"]
)
ASKED = st.sampled_from(["cp1", "cp3", "first", "first", "others", "all-cp", "lb", "second"])
OPTIONS: dict[str, dict[str, Any]] = {
    "kill-process": {"process": "etcd"},
    "hold-static-pod": {"pod": "etcd"},
    "partition": {"from": "others"},
    "snapshot-etcd": {},
    "nothing": {},
}
INJECTS = st.builds(
    lambda fault, name, on: {"inject": fault, "name": name, "on": on, "with": OPTIONS[fault]},
    st.sampled_from(sorted(OPTIONS)),
    st.sampled_from(["second", "third", "fourth"]),
    TARGETS | st.lists(TARGETS, min_size=1, max_size=3),
)
AMOUNTS = st.fixed_dictionaries(
    {},
    optional={
        "longest_outage": st.sampled_from(["0s", "5s", "1s to 20s"]),
        "failed_share": st.sampled_from(["0%", "50%", "10% to 100%"]),
        "outages": st.sampled_from([0, 3, "1 to 9"]),
    },
)
WAITED = st.sampled_from([{"ok": "within 5s"}, {"fails": "within 5s"}])
ALWAYS = st.sampled_from([{"ok": "always"}, {"fails": "always"}])


def window(promises: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda promise, during: {**promise, "during": during}, promises, NAMES)


PROBES = st.one_of(
    st.builds(
        lambda probe, promise: {"probe": probe, **promise},
        st.sampled_from(["write-via-lb", "ready-via-lb", "watch-via-lb"]),
        WAITED | window(ALWAYS) | window(AMOUNTS),
    ),
    st.builds(
        lambda promise, on: {"probe": "ready-direct", "on": on, **promise},
        WAITED | window(ALWAYS) | window(AMOUNTS),
        ASKED,
    ),
)
FORMS = st.one_of(
    st.sampled_from(
        [{"changed": "within 5s"}, {"unchanged": True}, {"value": "cp1", "reached": "within 5s"}]
    ),
    st.sampled_from([{"value": True, "reached": "within 5s"}, {"value": "down", "reached": "within 5s"}]),
    window(st.sampled_from([{"value": True}, {"increase": 5}, {"increase": "1 to 9"}, {"unchanged": True}])),
)
FACTS = st.builds(
    lambda fact, form, on, asked: {"fact": fact, **form, **({"on": on} if asked else {})},
    st.sampled_from(["etcd-leader", "etcd-term", "node-ready", "etcd-revision", "etcd-started", "backend"]),
    FORMS,
    ASKED,
    st.booleans(),
)
WHEN = st.sampled_from([{}, {}, {"when": {"load_balancer": "haproxy"}}, {"when": {"provider": "libvirt"}}])
STEPS = st.lists(
    st.one_of(
        st.builds(lambda inject, when: {**inject, **when}, INJECTS, WHEN),
        st.builds(lambda name: {"heal": name}, NAMES),
        st.builds(lambda what, when: {"expect": what, **when}, PROBES | FACTS, WHEN),
        st.just({"wait": "5s"}),
    ),
    min_size=1,
    max_size=4,
)
TWINS = st.one_of(
    st.just({"replace": {"first": "nothing"}}),
    st.just({"set": {"load_balancer": {"check": "tcp"}}}),
    st.builds(lambda inject: {"add": [{**inject, "name": "added"}]}, INJECTS),
)
SHOWN = {"expect": {"probe": "write-via-lb", "fails": "within 5s"}}


@st.composite
def well_formed(draw: st.DrawFn) -> dict[str, Any]:
    """A scenario whose words are right, one by one; whether they make sense together is another matter."""
    first = {**draw(INJECTS), "name": "first"}
    return {
        "title": "Made up",
        "teaches": "Nothing.",
        "needs": {"control_planes": 3},
        "steps": [first, SHOWN, *draw(STEPS)],
        "recover": {"steady": "within 90s"},
        "ledger": draw(st.sampled_from(["all", "all", "until-snapshot"])),
        "twin": draw(TWINS),
    }


def read(text: str, folder: Path) -> Scenario | None:
    """The scenario, or None where all that is wrong with it was said with its line."""
    path = folder / "s.yml"
    path.write_bytes(text.encode(errors="replace"))
    try:
        return scenario_rules.read(path, KNOWN).value
    except BadFile as error:
        assert error.problems
        for problem in error.problems:
            assert re.match(r".*s\.yml:\d+: ", str(problem))
            assert 1 <= problem.line <= len(re.split(r"[\n\r\x85\u2028\u2029]", text)) + 1
    except BadUsage:
        pass
    return None


FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(value=almost_right())
def test_whatever_is_written_is_read_or_refused_with_its_line(value: Any, tmp_path: Path) -> None:
    found = read(yaml.safe_dump(value, allow_unicode=True, sort_keys=False), tmp_path)
    if found is not None:
        # what was accepted can be used
        assert found.losing().steps
        assert found.probes is not None
        assert all(promised(each) for each in found.expectations)
        assert all(step.targets and step.arguments is not None for step in found.injects)


@FUZZ
@given(value=well_formed(), is_twin=st.booleans(), seed=st.integers(0, 9))
def test_whatever_is_accepted_can_be_played_and_judged(
    value: dict[str, Any], is_twin: bool, seed: int, tmp_path: Path
) -> None:
    text = yaml.safe_dump(value, sort_keys=False)
    if read(text, tmp_path) is None:
        return
    states = [
        *readings("etcd-leader", None, {0: "cp2", 9: None, 9 + seed: "cp3"}),
        *readings("node-ready", "cp1", {0: "true", 8 + seed: "unknown"}),
        *readings("etcd-revision", "cp3", {0: "5", 12: "9"}),
    ]
    out = {"write-via-lb": [(6.0, 6.0 + seed)], "ready-direct@cp1": [(7.0, 30.0)]}
    run = MadeRun(text=text, meta=replace(META, is_twin=is_twin), states=states, out=out)
    result = judge(run.evidence())
    assert result.verdict is not Verdict.SKIP
    assert all(outcome.seen and outcome.promised for outcome in result.outcomes)
    assert json.loads(result.to_json())["verdict"] == result.verdict
    broken = result.of(PromiseStatus.BROKEN)
    assert (result.verdict is Verdict.FAIL) is bool(broken)
    for outcome in broken:
        # everything that is broken says where to look
        assert outcome.evidence or outcome.kind is not PromiseKind.EXPECTATION


@FUZZ
@given(
    typed=st.text(alphabet=st.sampled_from(STOP + "!&*|>%@`\t\"'[]#"), max_size=60),
    place=st.integers(0, len(STOP)),
)
def test_whatever_is_typed_into_it_is_read_or_refused_with_its_line(
    typed: str, place: int, tmp_path: Path
) -> None:
    read(STOP[:place] + typed + STOP[place:], tmp_path)


def test_every_fault_of_the_catalogue_is_what_the_rules_expect() -> None:
    for fault in FAULTS.values():
        assert list(fault.problems_with({})) is not None
        assert isinstance(fault.needs, frozenset)
        assert all(isinstance(option.is_target, bool) for option in fault.options.values())


@pytest.mark.parametrize(
    ("probes", "said"),
    [
        ("{list-via-lb: {objects: 2000, object_bytes: 1000}, pod-starts: {limit: 15s}}", None),
        ("{pod-starts: {}}", None),
        ("{list-via-lb: {objects: 0}}", "s.yml:2: probes.list-via-lb.objects: should be 1 or more"),
        ("{list-via-lb: {objects: 10001}}", "s.yml:2: probes.list-via-lb.objects: should be 10000 or less"),
        ("{list-via-lb: {objects: many}}", "s.yml:2: probes.list-via-lb.objects: should be a whole number"),
        (
            "{list-via-lb: {objects: 10000, object_bytes: 100000}}",
            "s.yml:2: probes.list-via-lb: an answer would have",
        ),
        ("{list-via-lb: {object: 5}}", "did you mean objects?"),
        ("{pod-starts: {limit: 1s}}", "s.yml:2: probes.pod-starts.limit: should be 2s to 60s"),
        ("{pod-starts: {limit: soon}}", "s.yml:2: probes.pod-starts.limit:"),
        ("{pod-start: {}}", "did you mean pod-starts?"),
        ("{get-via-lb: {path: '/apis/example.com/v1/widgets?limit=1'}, get-direct: {}}", None),
        ("{get-direct: {path: api/v1}}", "s.yml:2: probes.get-direct.path: should be a path of the API"),
        ("{get-via-lb: {path: '/a b'}}", "s.yml:2: probes.get-via-lb.path: should be a path of the API"),
        ("[service]", "s.yml:2: probes:"),
    ],
)
def test_options_of_probes(probes: str, said: str | None, tmp_path: Path) -> None:
    first, rest = STOP.strip().split("\n", 1)
    seen = problems(f"{first}\nprobes: {probes}\n{rest}\n", tmp_path)
    assert (said is None and seen == []) or (said is not None and said in "; ".join(seen)), seen


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("probe: list-via-lb, longest_outage: 5s, during: stopped", None),
        ("probe: list-via-lb, on: cp1, ok: within 5s", "list-via-lb asks the load balancer: leave `on` out"),
        ("probe: watch-resuming, on: cp1, ok: within 5s", "asks the load balancer: leave `on` out"),
        ("probe: pod-starts, ok: within 20s", None),
        ("probe: serializable-read, on: all-cp, ok: always, during: stopped", None),
        (
            "probe: serializable-read, ok: within 5s",
            "serializable-read needs `on`: a machine with an etcd member",
        ),
        ("probe: service, on: others, ok: always, during: stopped", None),
        ("probe: service, on: lb, ok: within 5s", "no such machine or fault: lb1"),
        ("probe: sevice, on: cp1, ok: within 5s", "service"),
    ],
)
def test_probes_are_of_the_balancer_or_of_a_control_plane(
    words: str, said: str | None, tmp_path: Path
) -> None:
    seen = expecting(words, tmp_path)
    assert (said is None and seen == []) or (said is not None and said in "; ".join(seen)), seen


# kube-vip

WITH_KUBE_VIP = {"{control_planes: 3}": "{control_planes: 3, load_balancer: kube-vip}"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("expect: {fact: vip-holder, value: cp2, reached: within 5s}", None),
        (
            "expect: {fact: vip-holder, value: lb1, reached: within 5s}",
            "a control plane, such as cp1, not lb1",
        ),
        ("expect: {fact: vip-holders, value: 3, reached: within 5s}", None),
        ("{inject: hold-static-pod, name: b, on: vip-holder, with: {pod: etcd}}", None),
    ],
)
def test_the_holder_of_kube_vip_s_address_is_a_control_plane(
    words: str, said: str | None, tmp_path: Path
) -> None:
    found = changed({WAIT: f"  - {words}\n{WAIT}", **WITH_KUBE_VIP}, tmp_path)
    assert len(found) == (said is not None), found
    assert said is None or said in found[0]


def test_a_twin_cannot_set_what_kube_vip_has_not(tmp_path: Path) -> None:
    change = {"{replace: {stopped: nothing}}": "{set: {load_balancer: {check: tcp}}}", **WITH_KUBE_VIP}
    (said,) = changed(change, tmp_path)
    assert "kube-vip has no settings that a run can change" in said


# a load balancer on every node

ON_NODES = {"{control_planes: 3}": "{control_planes: 3, workers: 1, load_balancer: local}"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("expect: {fact: backend-of, on: w1, changed: within 5s}", None),
        ("expect: {fact: backend-of, on: w1, value: cp2, reached: within 5s}", None),
        (
            "expect: {fact: backend-of, on: w1, value: w1, reached: within 5s}",
            "backend-of should be a control plane, such as cp1, not w1",
        ),
        ("expect: {fact: backend-of, changed: within 5s}", "backend-of needs `on`"),
        ("expect: {fact: backend, on: cp1, value: down, reached: within 5s}", "only haproxy reports its backends"),
        ("{inject: hold-static-pod, name: b, on: backend-of w1, with: {pod: etcd}}", None),
        ("{inject: nothing, name: b, on: backend-of cp3}", "no such target: backend-of cp3"),
        ("{inject: edit-balancer, name: b, on: w1, with: {check: tcp}}", None),
        ("{inject: nothing, name: b, on: backend-of w2}", "write `needs: {workers: 2}`: w2"),
        ("{inject: nothing, name: b, on: backend-of lb1}", "no such target: backend-of lb1"),
        ("expect: {probe: ready-from-node, on: w1, ok: within 5s}", None),
        ("expect: {probe: ready-from-node, ok: within 5s}", "ready-from-node needs `on`: a worker"),
        ("expect: {probe: ready-direct, on: w1, ok: within 5s}", "no such machine or fault: w1"),
    ],
)  # fmt: skip
def test_nodes_with_load_balancers_of_their_own_choose_an_api_server(
    words: str, said: str | None, tmp_path: Path
) -> None:
    found = changed({WAIT: f"  - {words}\n{WAIT}", **ON_NODES}, tmp_path)
    assert len(found) == (said is not None), found
    assert said is None or said in found[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "expect: {fact: backend-of, on: w1, changed: within 5s}",
            "backend-of needs nodes that choose an API server: add `when: {load_balancer: local}` or "
            "`when: {load_balancer: local-nginx}`",
        ),
        (
            "{inject: nothing, name: b, on: backend-of w1}",
            "not every lab has nodes that choose an API server; write `needs: {load_balancer: local}` or "
            "`needs: {load_balancer: local-nginx}`: backend-of w1",
        ),
    ],
)
def test_elsewhere_nodes_choose_nothing(words: str, said: str, tmp_path: Path) -> None:
    workers = {"{control_planes: 3}": "{control_planes: 3, workers: 1}"}
    (found,) = changed({WAIT: f"  - {words}\n{WAIT}", **workers}, tmp_path)
    assert said in found


def test_a_step_for_such_labs_alone_may_ask_for_the_choice(tmp_path: Path) -> None:
    step = "expect: {fact: backend-of, on: w1, changed: within 5s}\n    when: {load_balancer: local}"
    workers = {"{control_planes: 3}": "{control_planes: 3, workers: 1}"}
    assert changed({WAIT: f"  - {step}\n{WAIT}", **workers}, tmp_path) == []


def test_a_twin_can_change_the_load_balancers_of_all_nodes(tmp_path: Path) -> None:
    change = {"{replace: {stopped: nothing}}": "{set: {load_balancer: {check: tcp}}}", **ON_NODES}
    assert changed(change, tmp_path) == []


WITH_DNS = {"{control_planes: 3}": "{control_planes: 3, load_balancer: dns}"}
ABSENT = f"  - expect: {{fact: dns-record, on: cp1, value: absent, reached: within 5s}}\n{WAIT}"


def test_a_record_in_dns_is_a_fact_of_labs_with_dns_only(tmp_path: Path) -> None:
    assert changed({WAIT: ABSENT, **WITH_DNS}, tmp_path) == []
    (said,) = changed({WAIT: ABSENT}, tmp_path)
    assert "dns-record needs a lab with DNS: write `needs: {load_balancer: dns}`" in said
