"""The steady state: why a lab is not steady, as seen from outside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.fakes import FakeApi, FakeClock, FakeGuests, captured, lab_of

from halab.clock import Deadline
from halab.cluster.etcd import Member
from halab.cluster.names import Answer, NameServer
from halab.cluster.steady import Observation, missing_in_etcd, observe, wait_until_steady
from halab.errors import CommandFailed, TimedOut, Unreachable


def member(machine: str, *, leader: int = 1, index: int = 100, **more: Any) -> Member:
    number = int(machine[2:])
    return Member(
        machine, number, leader, 2, index, index, 1, is_learner=more.pop("is_learner", False), **more
    )


def members(*listed: Member) -> dict[str, Member]:
    return {member.machine: member for member in listed}


def endpoint_status(member_id: int) -> str:
    content = json.loads(captured("endpoint-status.json"))
    content[0]["Status"]["header"]["member_id"] = member_id
    return json.dumps(content)


LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


def acting(leads: str) -> str:
    """Lines of the metrics of a scheduler and a controller-manager."""
    return captured("leader-metrics.txt").replace("} 1", f"}} {leads}")


@pytest.fixture
def guests() -> FakeGuests:
    return FakeGuests(
        {
            "cp1: .*endpoint status": captured("endpoint-status.json"),
            "cp2: .*endpoint status": endpoint_status(2),
            "cp3: .*endpoint status": endpoint_status(3),
            "lb1: .*show stat": captured("show-stat.csv"),
            "cp1: .*/metrics": acting("1"),
            "cp[23]: .*/metrics": acting("0"),
        }
    )


@pytest.fixture
def api() -> Any:
    return FakeApi(
        {
            "/api/v1/nodes": json.loads(captured("nodes.json")),
            "/api/v1/namespaces/kube-system/pods": json.loads(captured("pods.json")),
            LEASES: json.loads(captured("leases.json")),
        }
    )


def test_a_lab_that_lacks_nothing_is_steady(guests: FakeGuests, api: Any) -> None:
    seen = observe(guests, api, lab_of())
    assert seen.missing == ()
    assert seen.steady
    assert seen.leaders == {"etcd": "cp1", "kube-scheduler": "cp1", "kube-controller-manager": "cp1"}
    assert str(seen) == "etcd on cp1, kube-scheduler on cp1, kube-controller-manager on cp1"


def test_a_component_that_waits_for_its_restart_is_missing(guests: FakeGuests, api: Any) -> None:
    """Seen with 1.37 after all etcd members were killed: the API still showed the pod as Ready."""
    guests.answers = {"cp3: .*pgrep": "kube-controller\n", **guests.answers}
    assert observe(guests, api, lab_of()).missing == ("kube-controller-manager does not run on cp3",)


def test_an_acting_leader_without_the_lease_is_reported(guests: FakeGuests, api: Any) -> None:
    """Seen with 1.37 for 10 s after a frozen machine was thawed. Then its scheduler exited and was missing."""
    guests.answers = {"cp3: .*/metrics": acting("1").replace("} 1", "} 0", 1), **guests.answers}
    missing = observe(guests, api, lab_of()).missing
    assert missing == ("kube-controller-manager on cp3 still acts as leader, although cp1 holds the lease",)


def test_a_lease_of_an_ended_process_is_reported(guests: FakeGuests, api: Any) -> None:
    guests.answers["cp1: .*/metrics"] = acting("0")
    assert observe(guests, api, lab_of()).missing == (
        "kube-scheduler on cp1 holds the lease but does not act as leader",
        "kube-controller-manager on cp1 holds the lease but does not act as leader",
    )


def test_a_lease_of_a_lost_machine_is_reported(guests: FakeGuests, api: Any) -> None:
    leases = json.dumps(api.objects[LEASES]).replace("cp1_c108", "cp9_c108")
    api.objects[LEASES] = json.loads(leases)
    guests.answers["cp1: .*/metrics"] = acting("1").replace("} 1", "} 0", 1)
    assert observe(guests, api, lab_of()).missing == (
        "kube-scheduler on cp9 holds the lease but does not act as leader",
    )


def test_a_component_without_leader_metrics_is_reported(guests: FakeGuests, api: Any) -> None:
    guests.answers = {"cp2: .*/metrics": "", **guests.answers}
    assert observe(guests, api, lab_of()).missing == (
        "kube-scheduler on cp2 does not report whether it leads",
        "kube-controller-manager on cp2 does not report whether it leads",
    )


def test_a_machine_that_stops_answering_is_reported(guests: FakeGuests, api: Any) -> None:
    guests.answers = {"cp2: .*/metrics": Unreachable("cp2 does not answer over SSH"), **guests.answers}
    assert observe(guests, api, lab_of()).missing == ("cp2 does not answer over SSH",)


def test_acting_leaders_are_observed_only_if_nothing_else_is_missing(guests: FakeGuests, api: Any) -> None:
    guests.answers = {"cp3: .*pgrep": "kube-scheduler\n", **guests.answers}
    observe(guests, api, lab_of())
    assert not [command for command in guests.commands("cp1") if "/metrics" in command]


def test_a_stalled_connection_between_members_is_reported(guests: FakeGuests, api: Any) -> None:
    guests.answers = {"cp1: .*:2380": "10.213.7.13\n10.213.7.13\n192.0.2.1\n", **guests.answers}
    missing = observe(guests, api, lab_of()).missing
    assert missing == ("data from etcd on cp1 does not reach etcd on cp3 yet",)


def test_a_dead_machine_is_reported_once(guests: FakeGuests, api: Any) -> None:
    guests.answers = {"cp2: ": Unreachable("cp2 does not answer over SSH"), **guests.answers}
    assert observe(guests, api, lab_of()).missing == ("etcd on cp2 does not answer",)


def test_a_dead_api_is_reported_once(guests: FakeGuests, api: Any) -> None:
    for path in api.objects:
        api.objects[path] = Unreachable("no answer from https://10.213.7.10:6443: connection refused")
    seen = observe(guests, api, lab_of())
    assert seen.missing == ("no answer from https://10.213.7.10:6443: connection refused",)
    assert seen.leaders["etcd"] == "cp1"


def test_a_dead_load_balancer_is_reported(guests: FakeGuests, api: Any) -> None:
    guests.answers = {"lb1: ": Unreachable("lb1 does not answer over SSH: timed out"), **guests.answers}
    assert observe(guests, api, lab_of()).missing == ("lb1 does not answer over SSH: timed out",)


def test_a_backend_that_is_down_is_reported(guests: FakeGuests, api: Any) -> None:
    guests.answers["lb1: .*show stat"] = captured("show-stat.csv").replace(",UP,", ",DOWN,", 1)
    assert observe(guests, api, lab_of()).missing == ("backend cp1 is down (Layer7 check passed)",)


def test_a_backend_that_the_load_balancer_does_not_list_is_reported(guests: FakeGuests, api: Any) -> None:
    guests.answers["lb1: .*show stat"] = ""
    assert "lb1 has no backend cp3" in observe(guests, api, lab_of()).missing


def test_members_with_one_leader_and_a_small_lag_lack_nothing() -> None:
    assert missing_in_etcd(members(member("cp1"), member("cp2"), member("cp3", index=200))) == []


def test_a_member_that_lags_is_reported() -> None:
    lagging = members(member("cp1", index=201), member("cp2", index=100))
    assert missing_in_etcd(lagging) == ["etcd on cp2 is 101 entries behind"]


def test_members_that_disagree_on_the_leader_are_reported() -> None:
    assert missing_in_etcd(members(member("cp1"), member("cp2", leader=2))) == [
        "etcd members do not agree on a leader"
    ]


def test_no_leader_is_reported() -> None:
    assert missing_in_etcd(members(member("cp1", leader=0), member("cp2", leader=0))) == [
        "etcd has no leader"
    ]


def test_learners_and_problems_of_members_are_reported() -> None:
    seen = missing_in_etcd(members(member("cp1", problems=("NOSPACE",)), member("cp2", is_learner=True)))
    assert seen == ["etcd on cp2 is still a learner", "etcd on cp1: NOSPACE"]


def test_no_members_report_nothing() -> None:
    assert missing_in_etcd({}) == []


def test_the_wait_ends_when_the_lab_is_steady(guests: FakeGuests, api: Any) -> None:
    good = guests.answers["lb1: .*show stat"]
    guests.answers["lb1: .*show stat"] = ["", "", str(good)]
    notes: list[str] = []
    clock = FakeClock()
    seen = wait_until_steady(guests, api, lab_of(), Deadline.after(clock, 60), show=notes.append)
    assert seen.steady
    assert len(notes) == 2
    assert notes[0].startswith("lb1 has no backend cp1; ")


def test_a_lab_must_stay_steady_for_the_whole_hold(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = Observation(), Observation(("node cp1 is not Ready",))
    # the hold of 5 s begins again after an observation that was not steady
    observations = iter([good, good, bad, bad, good, good, good, good])
    monkeypatch.setattr("halab.cluster.steady.observe", lambda *_: next(observations))
    clock, notes = FakeClock(), list[str]()
    deadline = Deadline.after(clock, 60)
    seen = wait_until_steady(FakeGuests(), api, lab_of(), deadline, hold_seconds=5, show=notes.append)
    assert seen.steady and list(observations) == []
    assert notes == ["node cp1 is not Ready"]


def test_a_timeout_reports_what_the_lab_lacked_last(guests: FakeGuests, api: Any) -> None:
    guests.answers["lb1: .*show stat"] = captured("show-stat.csv").replace(",UP,", ",DOWN,", 1)
    with pytest.raises(
        TimedOut, match="waited 5 s for the lab ha to be steady; last seen: backend cp1 is down"
    ):
        wait_until_steady(guests, api, lab_of(), Deadline.after(FakeClock(), 5))


def test_only_the_first_missing_lines_are_shown() -> None:
    assert str(Observation(tuple("abcdef"))) == "a; b; c; d; and 2 more"


def test_the_load_balancers_of_all_nodes_must_have_all_backends_up(guests: FakeGuests, api: Any) -> None:
    stat = captured("show-stat.csv")
    row = next(line for line in stat.splitlines() if line.startswith("control-planes,cp2,"))
    down = stat.replace(row, row.replace(",UP,", ",DOWN,", 1).replace("Layer7 check passed", "no answer"))
    guests.answers |= {"cp[12]: .*show stat": stat, "cp3: .*show stat": down}
    seen = observe(guests, api, lab_of(load_balancer={"kind": "local"}))
    assert seen.missing == ("backend cp2 on cp3 is down (no answer)",)
    guests.answers["cp3: .*show stat"] = stat
    assert observe(guests, api, lab_of(load_balancer={"kind": "local"})).steady


def test_a_node_whose_load_balancer_is_down_is_named(guests: FakeGuests, api: Any) -> None:
    silent = CommandFailed("on cp2, a command failed: curl", code=1, output="")
    guests.answers |= {"cp2: .*show stat": silent, "cp[13]: .*show stat": captured("show-stat.csv")}
    seen = observe(guests, api, lab_of(load_balancer={"kind": "local"}))
    assert seen.missing == ("the load balancer on cp2 does not answer",)


def dns_lab_seen(
    guests: FakeGuests, api: Any, monkeypatch: pytest.MonkeyPatch, *addresses: str
) -> Observation:
    """What is seen of a lab with DNS whose name has these addresses."""
    monkeypatch.setattr(NameServer, "look_up", lambda self: Answer(addresses, 30))
    guests.answers = {"lb1: systemctl is-active -q dnsmasq": "cp1 200\ncp2 200\ncp3 200\n", **guests.answers}
    return observe(guests, api, lab_of(load_balancer={"kind": "dns"}))


def test_with_dns_every_control_plane_must_have_a_record(
    guests: FakeGuests, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = ("10.213.7.13", "10.213.7.11", "10.213.7.12")
    seen = dns_lab_seen(guests, api, monkeypatch, *every)
    assert (seen.missing, seen.records, seen.backends) == ((), ("cp1", "cp2", "cp3"), {})
    seen = dns_lab_seen(guests, api, monkeypatch, "10.213.7.11", "10.213.7.99", "10.213.7.13")
    assert seen.missing == (
        "api.ha.internal has no record of cp2",
        "api.ha.internal has a wrong record: 10.213.7.99",
    )
    assert seen.records == ("cp1", "cp3")


def test_with_dns_every_api_server_must_be_ready(
    guests: FakeGuests, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests.answers = {"lb1: ": "cp1 200\ncp2 000\ncp3 200\n", **guests.answers}
    guests.answers = {"lb1: systemctl": "cp1 200\ncp2 000\ncp3 200\n"} | guests.answers
    monkeypatch.setattr(NameServer, "look_up", lambda self: Answer(("10.213.7.11",), 30))
    seen = observe(guests, api, lab_of(load_balancer={"kind": "dns"}, control_planes=3))
    assert "the API server on cp2 is not ready (no answer to /readyz)" in seen.missing


def test_a_dns_server_that_does_not_answer_is_missing(
    guests: FakeGuests, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(self: NameServer) -> Answer:
        raise Unreachable("no answer from the DNS server for api.ha.internal")

    monkeypatch.setattr(NameServer, "look_up", silent)
    seen = observe(guests, api, lab_of(load_balancer={"kind": "dns"}))
    assert seen.missing == ("no answer from the DNS server for api.ha.internal",)
