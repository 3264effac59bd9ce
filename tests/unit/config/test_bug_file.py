from __future__ import annotations

import re
from pathlib import Path

import pytest

from halab import data
from halab.config.bug import Affected, BugFile, issue_of
from halab.config.component_versions import Versioned
from halab.config.kubernetes import resolve
from halab.config.lab import LabFile
from halab.config.loading import load, loads
from halab.config.twin import Verdict
from halab.errors import BadFile

BUG = """\
title: One full member stops all writes
references: [https://github.com/etcd-io/etcd/issues/9992]
versions: etcd 3
symptom: No member accepts a write.
shows: pass
measured:
  - {on: "Kubernetes 1.37.2, containers", runs: 3, shown: 2, figures: [the alarm after 0.2 s]}
  - {on: "Kubernetes 1.36.5, containers", runs: 2, shown: 2}
"""


@pytest.mark.parametrize("folder", sorted(data.bugs().iterdir()), ids=lambda folder: folder.name)
def test_a_bug_that_sets_a_version_builds_one_that_its_report_names(folder: Path) -> None:
    lab = load(folder / "lab.yml", LabFile)
    if "version" in lab.kubernetes.model_fields_set:
        bug = load(folder / "bug.yml", BugFile)
        # a bug of another component says so itself
        if any(affected.component is not Versioned.KUBERNETES for affected in bug.affects):
            return
        named = bug.versions
        assert re.search(rf"\b{re.escape(resolve(lab.kubernetes.version).kubernetes)}\b", named)


def problems(old: str, new: str) -> str:
    assert old in BUG
    with pytest.raises(BadFile) as caught:
        loads(BUG.replace(old, new), "bug.yml", BugFile)
    return str(caught.value)


def test_the_runs_of_all_measurements_are_counted() -> None:
    assert loads(BUG, "bug.yml", BugFile).reproduced == "4 of 5"


def test_runs_on_a_fixed_version_are_counted_separately() -> None:
    bug = loads(BUG + '  - {on: "etcd 3.6.12", is_fixed: true, runs: 3, shown: 0}\n', "bug.yml", BugFile)
    assert (bug.reproduced, bug.reproduced_when_fixed) == ("4 of 5", "0 of 3")
    assert loads(BUG, "bug.yml", BugFile).reproduced_when_fixed == "not run"


@pytest.mark.parametrize(
    ("versions", "bad", "good", "words"),
    [
        (
            {"first_bad": "3.6.0", "last_bad": "3.6.10", "fixed": "3.6.11"},
            ["3.6.0", "3.6.8", "3.6.10"],
            ["3.5.30", "3.6.11", "3.7.0"],
            "etcd 3.6.0 to 3.6.10, fixed in 3.6.11",
        ),
        # the last bad version is not known, the fixed one is
        (
            {"first_bad": "3.6.5", "fixed": "3.6.9"},
            ["3.6.5", "3.6.8"],
            ["3.6.4", "3.6.9"],
            "etcd 3.6.5 and later, fixed in 3.6.9",
        ),
        ({"first_bad": "3.6.5"}, ["3.6.5", "3.10.0"], ["3.6.4"], "etcd 3.6.5 and later"),
        ({"first_bad": "3.6.5", "last_bad": "3.6.5"}, ["3.6.5"], ["3.6.6"], "etcd 3.6.5"),
    ],
)
def test_a_range_of_versions_has_the_bug(
    versions: dict[str, str], bad: list[str], good: list[str], words: str
) -> None:
    affected = Affected.model_validate({"component": "etcd", **versions})
    assert [affected.has(version) for version in (*bad, *good)] == [True] * len(bad) + [False] * len(good)
    assert str(affected) == words


def test_a_bug_without_a_measurement_was_not_run() -> None:
    assert loads(BUG.partition("measured:")[0], "bug.yml", BugFile).reproduced == "not run"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("shown: 2, figures", "shown: 4, figures",
         "bug.yml:7: measured[1].shown: should be at most the number of runs, 3"),
        ("shows: pass", "shows: error", "bug.yml:5: shows: should be pass or fail"),
        ("[https://github.com/etcd-io/etcd/issues/9992]", "[etcd#9992]",
         "bug.yml:2: references[1]: should be the address"),
        ("[https://github.com/etcd-io/etcd/issues/9992]", "[]", "bug.yml:2: references: should have 1 or more entries"),
        ("symptom:", "symptoms:", "bug.yml:4: symptoms: is not known; did you mean symptom?"),
        ("versions: etcd 3\n", "", "versions: is missing"),
        ("symptom:", "affects: [{component: etcd, first_bad: 3.6}]\nsymptom:",
         'bug.yml:4: affects[1].first_bad: should be text: write "3.6", with the quotes'),
        ("symptom:", "affects: [{component: etcd, first_bad: v3.6.8}]\nsymptom:",
         "bug.yml:4: affects[1].first_bad: should be a version with three numbers, such as 3.6.8, not v3.6.8"),
        ("symptom:", "affects: [{component: etcdctl, first_bad: 3.6.0}]\nsymptom:",
         "bug.yml:4: affects[1].component: should be kubernetes, etcd, coredns, containerd, kube-apiserver, "
         "kube-controller-manager or kube-scheduler"),
        ("symptom:", "affects: [{component: etcd, first_bad: 3.6.8, last_bad: 3.6.7}]\nsymptom:",
         "bug.yml:4: affects[1].last_bad: should be 3.6.8 or later, not 3.6.7"),
        ("symptom:", "affects: [{component: etcd, first_bad: 3.6.0, last_bad: 3.6.11, fixed: 3.6.11}]\nsymptom:",
         "bug.yml:4: affects[1].fixed: should be later than the last bad version, 3.6.11"),
        ("symptom:", "affects: [{component: etcd, first_bad: 3.6.9, fixed: 3.6.2}]\nsymptom:",
         "bug.yml:4: affects[1].fixed: should be later than the last bad version, 3.6.9"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_reported_with_its_line(old: str, new: str, said: str) -> None:
    assert said in problems(old, new)


@pytest.mark.parametrize(
    ("url", "issue"),
    [
        ("https://github.com/etcd-io/etcd/issues/9992", "etcd-io/etcd#9992"),
        ("https://github.com/kubernetes/website/pull/45095", "kubernetes/website#45095"),
        ("https://github.com/etcd-io/etcd/blob/main/README.md", None),
        ("https://example.com/issues/1", None),
    ],
)
def test_a_report_on_github_has_a_number(url: str, issue: str | None) -> None:
    assert issue_of(url) == issue


@pytest.mark.parametrize(
    ("shows", "verdict", "answer"),
    [("pass", "pass", True), ("pass", "fail", False), ("fail", "fail", True), ("fail", "pass", False),
     ("pass", "error", None), ("fail", "skip", None)],
)  # fmt: skip
def test_a_run_shows_the_bug_with_the_verdict_of_the_file(
    shows: str, verdict: str, answer: bool | None
) -> None:
    bug = loads(BUG.replace("shows: pass", f"shows: {shows}"), "bug.yml", BugFile)
    assert bug.is_reproduced_by(Verdict(verdict)) is answer
