"""The etcd leader, by members whose views differ."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import captured

from halab.scenario.sampler.etcd_views import MemberView, Views

IDS = {"cp1": 1, "cp2": 2, "cp3": 3}


def views(*said: tuple[str, int, int]) -> Views:
    """Views of (machine, leader's id, term), of members that have all been met before."""
    known = Views(3)
    for machine, member in IDS.items():
        known.add(machine, MemberView(0.0, member, 0, 1, 1, "none"))
        known.lose(machine)
    for number, (machine, leader, term) in enumerate(said):
        known.add(machine, MemberView(float(number), IDS[machine], leader, term, 1, "none"))
    return known


@pytest.mark.parametrize(
    ("said", "leader"),
    [
        ([("cp1", 1, 5), ("cp2", 1, 5), ("cp3", 1, 5)], "cp1"),
        # a leader of a later term was elected by a majority, also where only itself has said so yet
        ([("cp1", 1, 5), ("cp2", 2, 6), ("cp3", 1, 5)], "cp2"),
        # cut off, it believes in itself for a while
        ([("cp1", 1, 5), ("cp2", 0, 5), ("cp3", 0, 5)], None),
        ([("cp1", 1, 5), ("cp2", 0, 5), ("cp3", 1, 5)], "cp1"),
        ([("cp1", 1, 5)], "cp1"),
        ([("cp1", 0, 5)], None),
        ([("cp2", 0, 6), ("cp3", 1, 5)], None),
        ([], None),
    ],
)
def test_the_leader_is_that_of_the_highest_term(
    said: list[tuple[str, int, int]], leader: str | None
) -> None:
    known, why = views(*said).leader()
    assert known == leader
    assert bool(why) == (leader is None)


def test_a_leader_that_never_answered_has_no_name() -> None:
    assert views(("cp1", 171, 5)).leader() == (None, "unknown member ab")


def test_the_term_is_the_highest_and_the_moment_the_latest() -> None:
    known = views(("cp1", 1, 5), ("cp2", 1, 7))
    assert (known.term, known.asked) == (7, 1.0)
    assert (Views(3).term, Views(3).asked) == (None, None)


members = st.lists(
    st.tuples(st.sampled_from(list(IDS)), st.integers(0, 3), st.integers(1, 4)),
    unique_by=lambda each: each[0],
)


@given(members)
def test_no_leader_of_an_earlier_term_is_named(said: list[tuple[str, int, int]]) -> None:
    known, _ = views(*said).leader()
    assert known is None or (IDS[known], max(term for *_, term in said)) in {each[1:] for each in said}


def test_a_status_of_a_real_member_is_read() -> None:
    view = MemberView.parse(1.5, captured("maintenance-status.json").encode())
    assert view == MemberView(1.5, 3792451147877998499, 12691745855497427988, 3, 13018, "none")


def test_a_member_has_its_own_alarms_and_not_those_of_others() -> None:
    said = json.loads(captured("maintenance-status.json"))
    other = "memberID:7 alarm:CORRUPT "
    said["errors"] = [other, "memberID:3792451147877998499  alarm:NOSPACE ", "etcdserver: no leader"]
    assert MemberView.parse(0, json.dumps(said).encode()).alarm == "NOSPACE"
    said["errors"] = [other]
    del said["leader"]
    view = MemberView.parse(0, json.dumps(said).encode())
    assert (view.alarm, view.leader) == ("none", 0)


@pytest.mark.parametrize(
    "said", [b"", b"[]", b"{}", b'{"header": 1}', b"<html>", b'{"header": {}}', b"null"]
)
def test_an_unreadable_status_is_refused(said: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        MemberView.parse(0, said)
