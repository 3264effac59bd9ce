"""Bugs that belong to versions: which a lab has, and the lab with the fixed version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from halab.bugs import library, versions
from halab.bugs.library import Bug
from halab.config.component_settings import Sources
from halab.config.kubernetes import RELEASES
from halab.config.lab import LabFile
from halab.errors import BadUsage

NAME = "member-update-forgets-learner"


def lab(**kubernetes: Any) -> LabFile:
    return LabFile.model_validate({"kubernetes": {"version": "1.36", **kubernetes}})


def own(folder: Path, affects: str, kubernetes: str = "{version: '1.36', etcd: 3.6.8}") -> Bug:
    (folder / "bug.yml").write_text(
        f"title: A\nreferences: [https://example.com/a]\nversions: B\nsymptom: C\nshows: pass\naffects: {affects}\n"
    )
    (folder / "lab.yml").write_text(f"name: auto\nkubernetes: {kubernetes}\n")
    return library.find(f"{folder}/")


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("3.6.8", [NAME, "watched-history-stays-in-memory"]),
        ("3.6.9", [NAME]),
        ("3.6.11", [NAME]),
        ("3.6.12", []),
    ],
)
def test_a_lab_has_the_bugs_of_its_versions(version: str, names: list[str]) -> None:
    found = versions.known(lab(etcd=version))
    assert [each.bug.name for each in found] == names
    assert versions.in_words(found) == (f"etcd {version}: {', '.join(names)}" if names else "")


def test_nothing_is_known_of_a_checkout() -> None:
    written = lab(etcd="3.6.8")
    assert versions.known(written.model_copy(update={"source": Sources(etcd="./etcd")})) == []


def test_a_bug_is_expected_unless_a_version_is_known_to_have_the_fix() -> None:
    bug = library.find("member-update-forgets-learner")
    shows = bug.written.shows
    assert versions.expected_in(bug, lab(version="1.36", etcd="3.6.8")) is shows
    fixed = lab(version="1.36", etcd="3.6.16")
    assert versions.expected_in(bug, fixed) is not shows
    # the checkout may not have the fix
    checkout = fixed.model_copy(update={"source": Sources(etcd="./etcd")})
    assert versions.expected_in(bug, checkout) is shows


@pytest.mark.parametrize("minor", RELEASES)
def test_the_releases_of_halab_have_no_known_bug(minor: str) -> None:
    assert versions.known(lab(version=minor)) == []


@pytest.mark.parametrize(
    ("component", "version"),
    [
        ("kubernetes", "1.36.5"),
        ("containerd", "2.2.9"),
        ("coredns", "1.14.2"),
        ("kube-apiserver", "1.36.5"),
        ("kube-scheduler", "1.36.4"),
    ],
)
def test_every_component_of_a_lab_has_a_version(component: str, version: str, tmp_path: Path) -> None:
    bug = own(tmp_path, f"[{{component: {component}, first_bad: {version}, last_bad: {version}}}]")
    found = versions.in_lab(bug, lab(components={"kube-scheduler": "1.36.4"}))
    assert found and found.version == version


@pytest.mark.parametrize(
    ("given", "version", "words"),
    [
        (None, "3.6.12", "etcd 3.6.12, in which the bug is fixed"),
        ("3.6.16", "3.6.16", "etcd 3.6.16, in which the bug is fixed"),
        ("3.6.11", "3.6.11", "etcd 3.6.11, which has the bug"),
    ],
)
def test_the_lab_of_another_version_differs_in_the_version_alone(
    given: str | None, version: str, words: str
) -> None:
    bug = library.find(NAME)
    before = yaml.safe_load((bug.folder / "lab.yml").read_text())
    at = versions.at(bug, given)
    assert (at.version, str(at)) == (version, words)
    before["kubernetes"]["etcd"] = version
    assert yaml.safe_load(at.lab) == before


def test_of_a_version_outside_of_all_ranges_nothing_is_known(tmp_path: Path) -> None:
    at = versions.at(own(tmp_path, "[{component: etcd, first_bad: 3.6.4, last_bad: 3.6.8}]"), "3.6.9")
    assert (at.is_bad, at.is_fixed) == (False, False)
    assert str(at) == "etcd 3.6.9, of which it is not known whether it has the bug"


def test_a_version_that_the_lab_cannot_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        BadUsage, match="the lab of .* cannot have etcd 3.5.1: etcd 3.5.1: kubeadm 1.36 supports"
    ) as raised:
        versions.at(library.find(NAME), "3.5.1")
    assert "--version" in (raised.value.hint or "")


def test_the_fix_of_the_line_of_releases_in_the_lab_is_taken(tmp_path: Path) -> None:
    ranges = "[{component: etcd, first_bad: 3.5.0, fixed: 3.5.30}, {component: etcd, first_bad: 3.6.0, fixed: 3.6.11}]"
    assert b'etcd: "3.6.11"' in versions.at(own(tmp_path, ranges), None).lab


@pytest.mark.parametrize(
    ("affects", "setting"),
    [
        ("[{component: kubernetes, first_bad: 1.36.0, fixed: 1.36.9}]", 'version: "1.36.9"'),
        ("[{component: kube-scheduler, first_bad: 1.36.0, fixed: 1.36.9}]", 'kube-scheduler: "1.36.9"'),
    ],
)
def test_any_component_can_be_fixed(tmp_path: Path, affects: str, setting: str) -> None:
    assert setting in versions.at(own(tmp_path, affects), None).lab.decode()


@pytest.mark.parametrize(
    ("affects", "said"),
    [
        ("[]", "has another cause"),
        ("[{component: etcd, first_bad: 3.5.0, fixed: 3.5.30}]", "has another cause"),
        ("[{component: etcd, first_bad: 3.6.0}]", "the first version of etcd without .* is not known"),
        ("[{component: containerd, first_bad: 2.2.0, fixed: 2.3.0}]", "cannot build another version"),
    ],
)
def test_a_bug_without_a_fixed_version_cannot_be_run_on_it(tmp_path: Path, affects: str, said: str) -> None:
    with pytest.raises(BadUsage, match=said):
        versions.at(own(tmp_path, affects), None)


def test_a_version_has_three_numbers() -> None:
    with pytest.raises(BadUsage, match="not a version of etcd: 3.6"):
        versions.at(library.find(NAME), "3.6")
