"""Variants of a lab file: values of settings become lab files that differ only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.config.lab import LabFile
from halab.config.lab_variants import Variant, axis, own_files, variants
from halab.config.loading import loads
from halab.errors import BadUsage

TEXT = """\
# my lab
name: mine
load_balancer: {kind: haproxy, algorithm: leastconn}
kubernetes: {version: "1.37"}
manifests: [web, crds.yaml]
"""


def of(text: str, *settings: str) -> list[Variant]:
    return variants(text, [axis(setting) for setting in settings])


def lab(variant: Variant) -> LabFile:
    return loads(variant.text, variant.name, LabFile)


def test_only_the_setting_and_the_name_differ() -> None:
    haproxy, nginx = of(TEXT, "load_balancer.kind=haproxy,nginx")
    assert (haproxy.name, nginx.name) == ("haproxy", "nginx")
    assert nginx.settings == "load_balancer.kind=nginx"
    assert [str(lab(variant).load_balancer.kind) for variant in (haproxy, nginx)] == ["haproxy", "nginx"]
    assert {str(lab(variant).load_balancer.algorithm) for variant in (haproxy, nginx)} == {"leastconn"}
    assert {lab(variant).name for variant in (haproxy, nginx)} == {"auto"}
    assert lab(nginx).manifests == ("web", "crds.yaml")


def test_several_settings_are_combined() -> None:
    names = [variant.name for variant in of(TEXT, "control_planes=1,3", "kubernetes.version=1.36,1.37")]
    assert names == ["1-1.36", "1-1.37", "3-1.36", "3-1.37"]


def test_values_are_read_as_in_a_lab_file() -> None:
    """`none` is no null there, and a version needs quotes."""
    checks = of(TEXT, "load_balancer.check=none,readyz")
    assert [str(lab(variant).load_balancer.check) for variant in checks] == ["none", "readyz"]
    old, new = of("", 'kubernetes.version="1.36","1.37"')
    assert lab(old).kubernetes.version == "1.36"
    assert (new.name, new.settings) == ("1.37", "kubernetes.version=1.37")


def test_a_value_can_be_a_mapping() -> None:
    first, second = of("", "load_balancer={kind: nginx},{kind: haproxy, check: tcp}")
    assert str(lab(first).load_balancer.kind) == "nginx"
    assert str(lab(second).load_balancer.check) == "tcp"
    assert second.name == "kind-haproxy-check-tcp"
    assert second.settings == "load_balancer={kind: haproxy, check: tcp}"


def test_values_with_the_same_letters_have_folders_of_their_own() -> None:
    plus, minus, third = of("", "a=+1,-1,1")
    assert [variant.name for variant in (plus, minus, third)] == ["1", "1-2", "1-3"]
    assert (plus.settings, minus.settings) == ("a=+1", "a=-1")


def test_a_setting_below_one_that_is_missing_is_made() -> None:
    (first, _) = of("name: x\n", "kubeadm.kubelet.maxPods=50,60")
    assert lab(first).kubeadm.documents["kubelet"] == {"maxPods": 50}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["load_balancer.kind"], "not a setting with values: load_balancer.kind"),
        (["=a,b"], "not a setting with values: =a,b"),
        (["a..b=1,2"], "not a setting with values"),
        (["workers=1"], "workers needs two or more values to compare: 1"),
        (["workers="], "workers needs two or more values to compare: none"),
        (["workers={a,[b"], "the values of workers are not YAML"),
        (["workers=0,0"], "two of the labs are the same"),
        (["workers=0,1", "workers=2,3"], "a setting is given twice"),
        (["workers=0,1,2,3,4", "control_planes=1,2,3,4,5"], "25 combinations are more than 20"),
    ],
)
def test_a_wrong_setting_is_refused(settings: list[str], said: str) -> None:
    with pytest.raises(BadUsage, match=said):
        of(TEXT, *settings)


def test_values_that_could_be_paths_are_listed() -> None:
    listed = set(own_files("manifests: [web/app, /abs]\nload_balancer: {config: ./haproxy.cfg.j2}\n"))
    assert {Path("web/app"), Path("haproxy.cfg.j2")} <= listed
    assert Path("/abs") not in listed


def test_values_that_are_too_long_for_a_path_are_not_listed() -> None:
    longest, too_long = "é" * 127, "é" * 128
    many = "/".join(["name"] * 500)
    assert set(own_files(f"manifests: [{longest}, {too_long}/x, {many}]\n")) == {Path(longest)}
