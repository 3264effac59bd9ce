"""The words of the scenario language: lists of targets, ranges, facts, twins, what a lab lacks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from support.run_builder import META, STOP, scenario
from support.scenario_files import KNOWN

from halab.config.expectation import Expectation, FactExpectation, FactName, ProbeExpectation
from halab.config.lab import ProviderKind
from halab.config.lab_traits import Capability, LabTraits, Needs
from halab.config.leader_roles import ETCD, LEADER_ROLES, LEASED_ROLES
from halab.config.load_balancer import Balancer
from halab.config.probe import ProbeName
from halab.config.quantities import Bounds, format_count, format_duration, format_share
from halab.config.scenario import LedgerScope, RevisionRule, Scenario
from halab.config.step import Expect, Inject
from halab.config.targets import ROLES, FaultTarget, TargetKind, kind_of, kinds_of, number_of
from halab.errors import BadFile
from halab.faults.catalogue import FAULTS
from halab.scenario.verdict.promises import limit_seconds, promised, waited_seconds


def expectation(**words: Any) -> Expectation:
    model = ProbeExpectation if "probe" in words else FactExpectation
    return model.model_validate(words)


def injected(words: str) -> Inject:
    step = scenario(STOP.replace("on: any-cp", words)).steps[0]
    assert isinstance(step, Inject)
    return step


def with_twin(words: str, text: str = STOP) -> Scenario:
    return scenario(text.replace("{replace: {stopped: nothing}}", words))


# targets


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        ("on: cp1", ("cp1",)),
        ("on: [cp1, cp3]", ("cp1", "cp3")),
        ("on:\n      - etcd-leader\n      - lb", ("etcd-leader", "lb")),
    ],
)
def test_a_fault_is_on_one_target_or_on_several(words: str, targets: tuple[str, ...]) -> None:
    assert injected(words).targets == targets
    assert injected(words).target == ", ".join(targets)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("on: []", "steps[1].on: should have 1 or more entries, not 0"),
        ("on: [cp1, 2]", 'steps[1].on[2]: should be text: write "2", with the quotes'),
        ("on: {cp1: cp2}", "steps[1].on: should be text, not a mapping"),
        ("on:", "steps[1].on: has no value: write one, or leave the line out"),
        ("name: other", "steps[1].on: is missing"),
    ],
)
def test_an_invalid_target_is_refused(words: str, said: str) -> None:
    with pytest.raises(BadFile) as raised:
        injected(words)
    assert said in str(raised.value)


def test_the_kind_of_a_machine_is_in_its_name() -> None:
    assert (kind_of("cp3"), kind_of("w12"), kind_of("lb1")) == (
        TargetKind.CONTROL_PLANE,
        TargetKind.WORKER,
        TargetKind.BALANCER,
    )
    assert (number_of("cp3"), number_of("w12"), number_of("lb1")) == (3, 12, 1)
    no_machines = ("cp", "cp0", "cp01", "lb", "lb0", "w100", "CP1", "")
    assert {name: kind_of(name) for name in no_machines} == dict.fromkeys(no_machines)
    assert kinds_of("lb2") == kinds_of("all-lb") == {TargetKind.BALANCER}
    assert kinds_of("vip-holder") == {TargetKind.BALANCER, TargetKind.CONTROL_PLANE}
    assert kinds_of("all") == set(TargetKind)
    assert kinds_of("stopped") == frozenset()


def test_every_place_of_a_fault_has_its_kinds_of_machines() -> None:
    assert all(place.kinds for place in FaultTarget)
    assert FaultTarget.ANY.kinds == set(TargetKind)
    assert "others" not in ROLES


def test_every_leader_is_a_target_a_fact_and_a_sampled_state() -> None:
    for role in LEADER_ROLES:
        machines = {TargetKind.CONTROL_PLANE, *([TargetKind.ETCD] if role is ETCD else [])}
        assert ROLES[role.leader] == machines
        assert FactName(role.leader).is_sampled
    assert all(FactName(role.holder).is_sampled for role in LEASED_ROLES)


# amounts


@pytest.mark.parametrize(
    ("words", "bounds", "text"),
    [
        ({"longest_outage": "5s"}, Bounds(5), "longest outage at most 5s"),
        ({"longest_outage": "at least 5s"}, Bounds(math.inf, 5), "longest outage at least 5s"),
        ({"failed_share": "at least 5%"}, Bounds(math.inf, 0.05), "failed share at least 5%"),
        ({"outages": "at least 5"}, Bounds(math.inf, 5), "outages at least 5"),
        ({"longest_outage": "2s to 20s"}, Bounds(20, 2), "longest outage 2s to 20s"),
        ({"longest_outage": "500ms to 1m30s"}, Bounds(90, 0.5), "longest outage 500ms to 90s"),
        ({"failed_share": "5%"}, Bounds(0.05), "failed share at most 5%"),
        ({"failed_share": "10% to 60%"}, Bounds(0.6, 0.1), "failed share 10% to 60%"),
        ({"outages": 3}, Bounds(3), "outages at most 3"),
        ({"outages": "3"}, Bounds(3), "outages at most 3"),
        ({"outages": "2 to 50"}, Bounds(50, 2), "outages 2 to 50"),
    ],
)
def test_amounts_are_bounds(words: dict[str, Any], bounds: Bounds, text: str) -> None:
    found = expectation(probe="write-via-lb", during="f", **words)
    assert getattr(found, next(iter(words))) == bounds
    assert promised(found) == f"write-via-lb {text} during f"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("longest_outage", "20s to 2s"),
        ("longest_outage", "2s to"),
        ("longest_outage", "to 2s"),
        ("longest_outage", "2s to 3s to 4s"),
        ("longest_outage", "2 to 3"),
        ("longest_outage", "at least"),
        ("longest_outage", "at least 0s"),
        ("longest_outage", "at least 2s to 3s"),
        ("longest_outage", "at most 2s"),
        ("longest_outage", 5),
        ("longest_outage", ["2s", "3s"]),
        ("failed_share", "60% to 10%"),
        ("failed_share", "10 to 60%"),
        ("failed_share", "10% to 160%"),
        ("outages", -1),
        ("outages", 1.5),
        ("outages", True),
        ("outages", "many"),
        ("outages", "5 to 2"),
        ("outages", 10**10),
        ("outages", "٣"),
        ("longest_outage", "٣s"),
    ],
)
def test_an_invalid_amount_is_refused_in_words(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="should "):
        expectation(probe="write-via-lb", during="f", **{field: value})


def test_bounds_allow_what_lies_between_them() -> None:
    bounds = Bounds(20, 2)
    assert [bounds.allow(amount) for amount in (1.9, 2, 20, 20.1)] == [False, True, True, False]
    assert bounds.meet(Bounds(2))
    assert not bounds.meet(Bounds(1.9))
    assert bounds.in_words(format_duration) == "2s to 20s"
    assert Bounds(0.5).in_words(format_share) == "at most 50%"
    assert Bounds(3, 1).in_words(format_count) == "1 to 3"


# probes and facts


@pytest.mark.parametrize("probe", ProbeName)
def test_an_ending_of_a_probe_says_whom_it_asks(probe: ProbeName) -> None:
    assert not probe.endswith("-via-lb" if probe.is_direct else "-direct")


def test_probes_of_a_whole_path_have_a_name_without_an_ending() -> None:
    names = [probe for probe in ProbeName if not probe.endswith(("-direct", "-via-lb"))]
    assert names == ["watch-resuming", "pod-starts", "serializable-read", "service", "ready-from-node"]
    assert [probe.is_direct for probe in names] == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("words", "text", "limit", "waited"),
    [
        ({"fact": "etcd-leader", "changed": "within 5s"}, "etcd-leader changed within 5s", 5, 5),
        ({"fact": "etcd-started", "on": "f", "unchanged": True}, "etcd-started on f unchanged", None, 0),
        (
            {"fact": "node-ready", "on": "cp2", "value": False, "reached": "within 60s"},
            "node-ready on cp2 is false within 60s",
            60,
            60,
        ),
        (
            {"fact": "backend", "on": "f", "value": "down", "during": "f"},
            "backend on f is down during f",
            None,
            None,
        ),
        (
            {"fact": "etcd-term", "increase": "1 to 5", "during": "f"},
            "etcd-term increases by 1 to 5 during f",
            None,
            None,
        ),
        (
            {"fact": "etcd-leader", "unchanged": True, "during": "f"},
            "etcd-leader unchanged during f",
            None,
            None,
        ),
        ({"probe": "write-via-lb", "ok": "within 3s"}, "write-via-lb ok within 3s", 3, 3),
        (
            {"probe": "write-via-lb", "fails": "always", "during": "f"},
            "write-via-lb fails always during f",
            None,
            None,
        ),
        (
            {"probe": "write-via-lb", "longest_outage": "1s to 3s", "during": "f"},
            "write-via-lb longest outage 1s to 3s during f",
            3,
            None,
        ),
    ],
)
def test_promises_have_a_text_and_a_limit(
    words: dict[str, Any], text: str, limit: float | None, waited: float | None
) -> None:
    found = expectation(**words)
    assert promised(found) == text
    assert limit_seconds(found) == limit
    assert waited_seconds(found) == waited


@pytest.mark.parametrize(("written", "value"), [(True, "true"), (False, "false"), (5, "5"), ("up", "up")])
def test_the_value_of_a_fact_is_text(written: object, value: str) -> None:
    found = expectation(fact="node-ready", on="cp1", value=written, during="f")
    assert isinstance(found, FactExpectation)
    assert found.value == value


def test_the_load_balancer_is_one_machine_to_an_expectation() -> None:
    assert expectation(fact="balancer-started", on="lb", unchanged=True).target == "lb1"


def test_every_fact_is_sampled_or_read_of_some_machine() -> None:
    for fact in FactName:
        assert fact.is_sampled is not fact.endswith("-started")
        assert bool(fact.kinds) is fact.is_of_a_machine
        # how many members are good depends on the lab
        if fact.traits.values is not None and fact is not FactName.ETCD_MEMBERS:
            assert fact.traits.good_value in fact.traits.values


# the whole


def test_a_scenario_names_its_probes_once() -> None:
    assert scenario().named_probes == ("ready-direct", "write-via-lb")


def test_the_ledger_covers_all_writes_by_default() -> None:
    assert scenario().ledger is LedgerScope.ALL
    assert scenario(f"ledger: until-snapshot\n{STOP}").ledger is LedgerScope.UNTIL_SNAPSHOT
    assert scenario(f"ledger: none\n{STOP}").ledger is LedgerScope.NONE


def test_a_revision_may_not_fall_by_default() -> None:
    assert scenario().revision is RevisionRule.NEVER_FALLS
    assert scenario(f"revision: may-fall\n{STOP}").revision is RevisionRule.MAY_FALL


# what a lab lacks


def lab(**changes: Any) -> LabTraits:
    setting = META.setting
    return replace(setting, control_planes=3, **changes)


def test_a_lab_that_has_all_that_is_needed_lacks_nothing() -> None:
    assert scenario().lacking_in(lab(), KNOWN) == []


def test_what_a_fault_needs_the_scenario_needs() -> None:
    text = STOP.replace("hold-static-pod", "throttle-disk").replace("{pod: kube-apiserver}", "{iops: 20}")
    why = {"disk-throttle": "the kernel has no cgroup io controller"}
    assert scenario(text).lacking_in(lab(lacking=why), KNOWN) == [
        "the lab lacks the capability disk-throttle: the kernel has no cgroup io controller"
    ]
    assert scenario(text).lacking_in(lab(capabilities=frozenset({"disk-throttle"})), KNOWN) == []


def test_a_fault_that_is_left_out_needs_nothing() -> None:
    slow = "  - {inject: throttle-disk, name: slow, on: cp1, with: {iops: 20}, when: {provider: libvirt}}\n"
    text = STOP.replace("  - heal", f"{slow}  - heal")
    assert scenario(text).lacking_in(lab(), KNOWN) == []
    assert scenario(text).lacking_in(lab(provider=ProviderKind.LIBVIRT), KNOWN) == [
        "the lab lacks the capability disk-throttle"
    ]


@pytest.mark.parametrize("step", ["with: {pod: kube-apiserver}", "fails: within 10s}"])
def test_a_lab_on_which_nothing_would_show_a_fault_cannot_play_it(step: str) -> None:
    """Where the fault is left out, so is what is expected of it."""
    text = STOP.replace(step, f"{step}\n    when: {{load_balancer: nginx}}")
    assert scenario(text).lacking_in(lab(), KNOWN) == [
        "no expectation shows a fault on a lab with Kubernetes 1.37.2, docker and haproxy"
    ]
    assert scenario(text).lacking_in(lab(load_balancer=Balancer.NGINX), KNOWN) == []


def test_what_is_expected_of_backends_is_left_out_where_nobody_reports_them() -> None:
    backend = (
        "  - expect: {fact: backend, on: stopped, value: down, reached: within 8s}\n"
        "    when: {load_balancer: haproxy}\n"
    )
    with_backend = scenario(STOP.replace("  - heal", f"{backend}  - heal"))
    index = next(
        number
        for number, step in enumerate(with_backend.steps)
        if isinstance(step, Expect) and isinstance(step.expectation, FactExpectation)
    )
    assert with_backend.left_out(index, lab()) == []
    assert with_backend.left_out(index, lab(reports_backends=False)) == [
        "the load balancer reports no backends"
    ]


def test_what_the_twin_needs_only_the_twin_needs() -> None:
    played = with_twin("{replace: {stopped: {fault: throttle-disk, with: {iops: 5}}}}")
    assert played.lacking_in(lab(), KNOWN) == []
    assert played.losing().lacking_in(lab(), KNOWN) == ["the lab lacks the capability disk-throttle"]


def test_every_need_is_named_once_with_its_reason() -> None:
    needs = Needs(control_planes=5, workers=1, capabilities=(Capability.NETEM, Capability.NETEM))
    assert needs.lacking_in(lab(lacking={"netem": "no sch_netem"}), ["netem"]) == [
        "the lab has 3 control planes, and 5 are needed",
        "the lab has 0 workers, and 1 is needed",
        "the lab lacks the capability netem: no sch_netem",
    ]


def test_an_unknown_capability_is_refused() -> None:
    with pytest.raises(
        BadFile, match=r"needs.capabilities\[1\]: should be own-clock, .*, not \"own-clocks\""
    ):
        scenario(STOP.replace("{control_planes: 3}", "{control_planes: 3, capabilities: [own-clocks]}"))


# twins


def test_a_twin_may_replace_a_fault_with_options_of_its_own() -> None:
    (step,) = (
        with_twin("{replace: {stopped: {fault: kill-process, with: {process: etcd}}}}").losing().injects
    )
    assert (step.name, step.fault, step.arguments) == ("stopped", "kill-process", {"process": "etcd"})


def test_without_options_a_replacement_takes_those_that_were_there() -> None:
    (step,) = with_twin("{replace: {stopped: edit-manifest}}").losing().injects
    assert step.arguments == {"pod": "kube-apiserver"}
    (step,) = with_twin("{replace: {stopped: {fault: edit-manifest, with: {}}}}").losing().injects
    assert step.arguments == {}


def test_a_twin_may_add_faults_in_front_of_all_steps() -> None:
    played = with_twin(
        "{add: [{inject: freeze, name: frozen, on: cp1}, {inject: cut-link, on: [cp2, cp3]}]}"
    )
    losing = played.losing()
    assert [step.name for step in losing.injects] == ["frozen", "cut-link", "stopped"]
    assert losing.steps[2:] == played.steps
    assert (losing.added, played.added) == (2, 0)
    assert losing.balancer_options == {}


def test_a_twin_may_set_the_load_balancer() -> None:
    played = with_twin("{set: {load_balancer: {check: tcp, connections: 100}}, verdict: error}")
    assert played.balancer_options == {}
    assert played.losing().balancer_options == {"check": "tcp", "connections": "100"}
    assert played.losing().steps == played.steps
    assert played.losing().twin == played.twin


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("{replace: {stopped: [nothing]}}", "stopped: should be a mapping, such as {fault: nothing}, not a list"),
        ("{replace: {stopped: {}}}", "twin.replace.stopped.fault: is missing"),
        ("{replace: {stopped: {fault: x, width: {}}}}", "twin.replace.stopped.width: is not known; did you mean with?"),
        ("{replace: {stopped: }}", "twin.replace.stopped: has no value"),
        ("{add: []}", "twin.add: should have 1 or more entries, not 0"),
        ("{add: [{inject: freeze}]}", "twin.add[1].on: is missing"),
        ("{add: [{heal: x}]}", "twin.add[1].heal: is not known"),
        ("{set: {}}", "twin.set.load_balancer: is missing"),
        ("{set: {load_balancer: {}}}", "twin.set.load_balancer: should have 1 or more entries, not 0"),
        ("{set: {check: tcp}}", "twin.set.check: is not known"),
        ("{replace: {stopped: nothing}, verdict: pass}", "twin.verdict: should be"),
    ],
)  # fmt: skip
def test_an_invalid_twin_is_refused(words: str, said: str) -> None:
    with pytest.raises(BadFile) as raised:
        with_twin(words)
    assert said in str(raised.value)


def with_kube_vip() -> LabTraits:
    return lab(load_balancer=Balancer.KUBE_VIP, balancers=0, reports_backends=False)


@pytest.mark.parametrize(
    "step",
    [
        "{inject: nothing, name: extra, on: lb}",
        "{inject: nothing, name: extra, on: [cp1, all-lb]}",
        "{inject: partition, name: extra, on: cp1, with: {from: lb1}}",
        "{inject: run-script, name: extra, on: cp1, with: {script: 'ping {lb1}'}}",
    ],
)
def test_a_step_that_names_a_load_balancer_s_machine_skips_labs_without_one(step: str) -> None:
    text = STOP.replace("  - heal", f"  - {step}\n  - heal")
    number = STOP.split("  - heal")[0].count("\n  - ") + 1
    assert scenario(text).lacking_in(with_kube_vip(), FAULTS) == [
        f"step {number} needs a load balancer on a machine of its own, and a lab with kube-vip has none"
    ]
    elsewhere = text.replace(step, step.replace("inject: ", "when: {load_balancer: haproxy}, inject: ", 1))
    assert scenario(elsewhere).lacking_in(with_kube_vip(), FAULTS) == []


def test_a_scenario_that_names_no_load_balancer_s_machine_is_played_with_kube_vip() -> None:
    assert scenario(STOP).lacking_in(with_kube_vip(), KNOWN) == []
    assert scenario(STOP.replace("control_planes: 3", "control_planes: 3, balancers: 2")).lacking_in(
        with_kube_vip(), KNOWN
    ) == ["the lab has 0 load balancers, and 2 are needed"]


def test_only_the_losing_twin_is_skipped_if_only_it_changes_the_load_balancer() -> None:
    plain = scenario(STOP.replace("{replace: {stopped: nothing}}", "{set: {load_balancer: {check: tcp}}}"))
    assert plain.lacking_in(with_kube_vip(), FAULTS) == []
    assert plain.losing().lacking_in(with_kube_vip(), FAULTS) == [
        "the losing twin needs a load balancer on a machine of its own, and a lab with kube-vip has none"
    ]


def test_with_load_balancers_on_nodes_the_losing_twin_can_change_them() -> None:
    on_nodes = lab(load_balancer=Balancer.LOCAL, balancers=0, reports_backends=False)
    plain = scenario(STOP.replace("{replace: {stopped: nothing}}", "{set: {load_balancer: {check: tcp}}}"))
    assert plain.losing().lacking_in(on_nodes, FAULTS) == []
    lacking = scenario(STOP.replace("  - heal", "  - {inject: nothing, name: extra, on: lb}\n  - heal"))
    (why,) = lacking.lacking_in(on_nodes, FAULTS)
    assert "needs a load balancer on a machine of its own, and a lab with local has none" in why


def with_dns() -> LabTraits:
    return lab(load_balancer=Balancer.DNS, reports_backends=False)


def test_with_dns_the_machine_of_the_load_balancer_is_another_one_unless_the_scenario_needs_dns() -> None:
    text = STOP.replace("  - heal", "  - {inject: nothing, name: extra, on: lb}\n  - heal")
    number = STOP.split("  - heal")[0].count("\n  - ") + 1
    assert scenario(text).lacking_in(with_dns(), FAULTS) == [
        f"step {number} needs a load balancer on a machine of its own, and a lab with dns has none"
    ]
    meant = text.replace("control_planes: 3", "control_planes: 3, load_balancer: dns")
    assert scenario(meant).lacking_in(with_dns(), FAULTS) == []
    assert scenario(STOP).lacking_in(with_dns(), KNOWN) == []


def test_a_scenario_for_dns_cannot_change_a_load_balancer() -> None:
    edit = "{inject: edit-balancer, name: extra, on: lb, with: {check: tcp}}"
    meant = STOP.replace("control_planes: 3", "control_planes: 3, load_balancer: dns")
    (said,) = scenario(meant.replace("  - heal", f"  - {edit}\n  - heal")).lacking_in(with_dns(), FAULTS)
    assert "needs a load balancer on a machine of its own, and a lab with dns has none" in said


def test_a_lab_with_dns_has_no_pair() -> None:
    assert Balancer.DNS not in {found.load_balancer for found in Needs(balancers=2).labs}
    assert Balancer.DNS in {found.load_balancer for found in Needs().labs}
