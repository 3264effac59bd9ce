"""What fails an attempt at once: seen in a lab that answers, and unknown in one that does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.drill_room import DRILL, DrillRoom
from support.fakes import FakeGuests
from support.site_builder import site_of

from halab.cluster.api import Api, Credentials
from halab.config.drill import Drill, Violation
from halab.config.loading import loads
from halab.drill import recording, violations
from halab.drill.attempt import Attempt, Identity
from halab.drill.grade import Sighting, ViolationState
from halab.errors import LabProblem, Unreachable
from halab.lifecycle import access
from halab.process import Completed
from halab.scenario.run import ledger

ABSENT = Sighting(ViolationState.ABSENT)
OLD, NEW = "old-uid", "new-uid"
SILENT = Unreachable("no answer")


def test_a_write_is_lost_if_the_api_no_longer_has_it() -> None:
    assert violations.of_writes({1, 2, 3}, {1, 2, 3, 4}) == ABSENT
    assert violations.of_writes({1, 2, 3}, {2}) == Sighting(
        ViolationState.FOUND, "2 of 3 acknowledged writes of clients are lost"
    )


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ({"cp1": OLD, "cp2": OLD}, ViolationState.ABSENT),
        ({"cp1": OLD, "cp2": SILENT}, ViolationState.ABSENT),
        # behind a load balancer, clients would meet both
        ({"cp1": OLD, "cp2": NEW}, ViolationState.FOUND),
        ({"cp1": SILENT, "cp2": NEW}, ViolationState.FOUND),
        ({"cp1": SILENT, "cp2": SILENT}, ViolationState.UNCHECKED),
    ],
)
def test_a_cluster_is_new_if_one_api_server_has_another_one(
    answers: dict[str, Any], state: ViolationState
) -> None:
    sighting = violations.of_cluster(Identity(OLD), answers)
    assert sighting.state is state
    assert (
        sighting.seen
        == {
            ViolationState.ABSENT: "",
            ViolationState.FOUND: "the namespace kube-system has another UID on cp2: this is a new cluster",
            ViolationState.UNCHECKED: "no answer",
        }[state]
    )


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (("a", "b"), ViolationState.ABSENT),
        # `kubeadm certs renew`
        (("x", "b"), ViolationState.ABSENT),
        # a kubelet that has lost its certificate makes another one
        (("a", "y"), ViolationState.ABSENT),
        (("x", "y"), ViolationState.FOUND),
        # deleted, or reset without a join
        (("none", "none"), ViolationState.UNCHECKED),
        (("none", "y"), ViolationState.UNCHECKED),
        (("none", "b"), ViolationState.ABSENT),
        (SILENT, ViolationState.UNCHECKED),
    ],
)
def test_a_node_was_reset_if_both_certificates_are_others(found: Any, state: ViolationState) -> None:
    before = Identity(nodes={"cp1": ("a", "b"), "cp2": ("c", "d")})
    assert violations.of_nodes(before, {"cp1": found, "cp2": ("c", "d")}).state is state


def test_a_reset_is_seen_although_another_machine_does_not_answer() -> None:
    before = Identity(nodes={"cp1": ("a", "b"), "cp2": ("c", "d")})
    sighting = violations.of_nodes(before, {"cp1": SILENT, "cp2": ("x", "y")})
    assert sighting.state is ViolationState.FOUND
    assert "cp2 has other certificates" in sighting.seen


def test_a_machine_that_did_not_answer_at_the_start_is_unknown() -> None:
    before = Identity(nodes={"cp2": ("c", "d")})
    assert violations.of_nodes(before, {"cp1": ("x", "y"), "cp2": ("c", "d")}) == Sighting(
        ViolationState.UNCHECKED, "at the start of the drill, cp1 did not answer"
    )


class Lab:
    """A lab whose API servers and machines answer as scripted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = DrillRoom(folder)
        self.guests = FakeGuests({"sha256sum": Completed(0, "a  -\nb  -\n", ""), "etcdctl": SILENT})
        self.site = site_of(self.guests, control_planes=3)
        self.uid: str | Exception = OLD
        self.writes: set[int] | Exception = {1, 2}
        self.identity = Identity(OLD, writes=(1,))
        self.acknowledged = frozenset({2})
        self.is_recorded = True
        self.later: dict[str, Any] = {}
        monkeypatch.setattr(Api, "__init__", lambda api, url, context, **options: None)
        monkeypatch.setattr(Api, "__exit__", lambda *given: None)
        monkeypatch.setattr(Api, "get", lambda api, path: {"metadata": {"uid": self._or_raise(self.uid)}})
        monkeypatch.setattr(Credentials, "context", lambda credentials: None)
        monkeypatch.setattr(access, "credentials", lambda lab_dir: Credentials.in_folder(folder))
        monkeypatch.setattr(recording, "acknowledged", lambda work: self.acknowledged)
        monkeypatch.setattr(recording, "require", lambda lab_dir: self._require_recorded())
        monkeypatch.setattr(ledger, "numbers_found", lambda api, name: self._or_raise(self.writes))

    def _require_recorded(self) -> None:
        if not self.is_recorded:
            raise LabProblem("nothing was recorded")

    @staticmethod
    def _or_raise(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    def look(self, names: str = "lost-write, new-cluster, reset-node") -> dict[Violation, ViolationState]:
        return {name: sighting.state for name, sighting in self.sighted(names).items()}

    def sighted(self, names: str) -> dict[Violation, Sighting]:
        drill = loads(DRILL + f"fail_if: [{names}]\n", "mine.yml", Drill)
        api: Any = type("FakeApi", (), {"tunnel": None})()
        identity = replace(self.identity, nodes=violations.identify_nodes(self.site))
        # the first pattern that matches gives the answer
        self.guests.answers = {**self.later, **self.guests.answers, **self.later}
        attempt = Attempt("mine", "", "", 7, self.room.at, identity=identity)
        return violations.look(self.room.lab_dir, self.site, api, drill, attempt)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def test_a_lab_that_was_repaired_is_the_same_one(lab: Lab) -> None:
    assert set(lab.look().values()) == {ViolationState.ABSENT}


def test_everything_that_happened_is_seen(lab: Lab) -> None:
    lab.writes, lab.uid = {2}, NEW  # the write that is lost is of the time when the lab was broken
    lab.later = {"sha256sum": Completed(0, "x  -\ny  -\n", "")}
    assert set(lab.look().values()) == {ViolationState.FOUND}
    assert list(lab.look("lost-write")) == [Violation.LOST_WRITE]


def test_a_lab_that_does_not_answer_is_unknown(lab: Lab) -> None:
    lab.writes = lab.uid = SILENT
    lab.later = {"sha256sum": SILENT}
    assert set(lab.look().values()) == {ViolationState.UNCHECKED}


@pytest.mark.parametrize(
    ("stored", "state"),
    [
        (NEW, ViolationState.FOUND),
        (OLD, ViolationState.ABSENT),
        # a member that has not joined yet
        ("", ViolationState.UNCHECKED),
    ],
)
def test_a_cluster_that_refuses_halab_is_known_by_what_etcd_has(
    stored: str, state: ViolationState, lab: Lab
) -> None:
    lab.uid = Unreachable("https://10.213.7.11:6443 answers 403")
    lab.later = {"cp2: .*etcdctl": Completed(0, f"{stored}\n", "")}
    seen = lab.sighted("new-cluster")[Violation.NEW_CLUSTER]
    assert seen.state is state
    if state is ViolationState.FOUND:
        assert seen.seen == "the namespace kube-system has another UID on etcd on cp2: this is a new cluster"
    elif state is ViolationState.UNCHECKED:
        assert seen.seen.endswith("answers 403"), "it says more than the error of etcd"


def test_odd_output_of_a_machine_is_unknown(lab: Lab) -> None:
    lab.later = {"sha256sum": Completed(0, "what?", "")}
    assert lab.look("reset-node") == {Violation.RESET_NODE: ViolationState.UNCHECKED}


def test_an_answer_that_is_not_of_the_api_is_unknown(lab: Lab) -> None:
    lab.uid = lab.writes = ValueError("no JSON")
    assert set(lab.look("lost-write, new-cluster").values()) == {ViolationState.UNCHECKED}


def test_without_an_acknowledged_write_none_is_lost(lab: Lab) -> None:
    lab.identity, lab.acknowledged, lab.writes = Identity(), frozenset(), SILENT
    assert lab.look("lost-write") == {Violation.LOST_WRITE: ViolationState.ABSENT}


def test_writes_that_were_not_recorded_are_not_known_to_be_there(lab: Lab) -> None:
    lab.is_recorded = False
    assert lab.look("lost-write") == {Violation.LOST_WRITE: ViolationState.UNCHECKED}
    lab.writes = {2}
    assert lab.look("lost-write") == {Violation.LOST_WRITE: ViolationState.FOUND}, "seen is seen"


def test_a_machine_that_does_not_answer_at_the_start_is_left_out(lab: Lab) -> None:
    lab.guests.answers = {"cp2: for file": SILENT, **lab.guests.answers}
    assert set(violations.identify_nodes(lab.site)) == {"cp1", "cp3"}
