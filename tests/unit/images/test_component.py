"""Images that only some labs need: built from one Go module, cached by themselves, verified."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import go_toolchain

from halab.config.kube_vip import KubeVip
from halab.config.lab import LabFile
from halab.errors import BadUsage, Corrupted, HostProblem
from halab.images import component, image_archive
from halab.images.go import Go
from halab.progress import Quiet

TOOLCHAIN = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/calls"
case "$1 $2" in
  "env GOVERSION") echo go1.26.8; echo local ;;
  "mod download") echo '{"Sum": "h1:sum=", "GoMod": "/go.mod"}' ;;
  "mod edit") echo '{"Go": "1.24.2"}' ;;
  build*)
    cp go.mod "$here/go.mod"
    while [ "$1" != -o ]; do shift; done
    echo "program $3" > "$2" ;;
esac
"""
KUBE_VIP = component.kube_vip(KubeVip())


@pytest.fixture
def toolchain(tmp_path: Path) -> Path:
    return go_toolchain.write(tmp_path / "toolchain", TOOLCHAIN)


def test_kube_vip_is_built_once_and_is_an_image_that_containerd_imports(toolchain: Path) -> None:
    go = Go(toolchain / "go")
    assert component.find(KUBE_VIP) is None
    built = component.ensure(KUBE_VIP, Quiet(), go=go)
    assert built.images == ("ghcr.io/kube-vip/kube-vip:v0.9.1",)
    path = Path(built.path)
    assert image_archive.read(path.parent, path.name) == built
    assert component.ensure(KUBE_VIP, Quiet(), go=go) == built == component.find(KUBE_VIP)
    calls = (toolchain / "calls").read_text()
    assert calls.count("build ") == 1
    assert "-X main.Version=v0.9.1" in calls
    assert "github.com/kube-vip/kube-vip v0.9.1" in (toolchain / "go.mod").read_text()
    record = json.loads((path.parent / "component.json").read_text())
    assert record["origin"] == ["github.com/kube-vip/kube-vip@v0.9.1 h1:sum="]
    assert sorted(file.name for file in path.parent.iterdir()) == ["component.json", "kube-vip-0.9.1.tar"]


def test_force_builds_it_again(toolchain: Path) -> None:
    go = Go(toolchain / "go")
    component.ensure(KUBE_VIP, Quiet(), go=go)
    component.ensure(KUBE_VIP, Quiet(), force=True, go=go)
    assert (toolchain / "calls").read_text().count("build ") == 2


def test_an_image_that_changed_in_the_cache_is_refused(toolchain: Path) -> None:
    built = component.ensure(KUBE_VIP, Quiet(), go=Go(toolchain / "go"))
    path = Path(built.path)
    path.write_bytes(path.read_bytes().replace(b"program", b"PROGRAM"))
    with pytest.raises(Corrupted, match="checksum mismatch of the image of kube-vip") as caught:
        component.find(KUBE_VIP)
    assert caught.value.hint == "build it again: halab bundle build --component kube-vip@0.9.1 --force"
    (path.parent / "component.json").unlink()
    with pytest.raises(Corrupted, match="the image of kube-vip is incomplete"):
        component.find(KUBE_VIP)


def test_a_host_without_a_fitting_go_is_told_so(toolchain: Path) -> None:
    (toolchain / "go").write_text(TOOLCHAIN.replace("go1.26.8", "go1.22.1"))
    with pytest.raises(HostProblem, match=r"Go is too old, 1\.24 is needed"):
        component.ensure(KUBE_VIP, Quiet(), go=Go(toolchain / "go"))


def test_the_image_of_etcd_has_its_tools_too(toolchain: Path) -> None:
    built = component.ensure(component.named("etcd@3.6.8"), Quiet(), go=Go(toolchain / "go"))
    assert built.images == ("registry.k8s.io/etcd:3.6.8-0",)
    # layers are not compressed
    content = Path(built.path).read_bytes()
    assert all(f"usr/local/bin/{name}".encode() in content for name in ("etcd", "etcdctl", "etcdutl"))
    assert (toolchain / "calls").read_text().count("build ") == 3
    assert "go.etcd.io/etcd/server/v3 v3.6.8" in (toolchain / "go.mod").read_text()


def test_another_version_of_one_component_is_one_image(toolchain: Path) -> None:
    """It costs that component alone: the others stay in the cache."""
    lab = LabFile.model_validate(
        {
            "kubernetes": {
                "version": "1.36",
                "etcd": "3.6.8",
                "coredns": "1.14.2",
                "components": {"kube-apiserver": "1.36.4"},
            }
        }
    )
    wanted = component.needed(lab)
    # CoreDNS has the version of the bundle
    assert [str(each) for each in wanted] == ["etcd 3.6.8", "kube-apiserver 1.36.4"]
    assert wanted[1].image == "registry.k8s.io/kube-apiserver:v1.36.4"
    assert list(wanted[1].group.programs) == ["kube-apiserver"]
    go = Go(toolchain / "go")
    for each in wanted:
        component.ensure(each, Quiet(), go=go)
    before = (toolchain / "calls").read_text().count("build ")
    other = lab.model_copy(update={"kubernetes": lab.kubernetes.model_copy(update={"etcd": "3.6.7"})})
    for each in component.needed(other):
        component.ensure(each, Quiet(), go=go)
    assert (toolchain / "calls").read_text().count("build ") == before + len(wanted[0].group.programs)


def test_another_version_is_another_image() -> None:
    other = component.named("kube-vip@0.8.10")
    assert (other.image, other.archive) == ("ghcr.io/kube-vip/kube-vip:v0.8.10", "kube-vip-0.8.10.tar")
    assert component.named("kube-vip") == KUBE_VIP


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keepalived", "no such component: keepalived"),
        ("kube-vip@latest", "not a version of kube-vip: latest"),
        ("etcd@v3.6.8", r"not a version of etcd: v3\.6\.8"),
        ("kube-scheduler", r"which version of kube-scheduler\?"),
    ],
)
def test_an_unknown_component_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadUsage, match=said):
        component.named(text)


def test_only_a_lab_with_kube_vip_needs_a_component() -> None:
    assert component.needed(LabFile()) == []
    lab = LabFile.model_validate({"load_balancer": {"kind": "kube-vip", "kube_vip": {"version": "0.9.0"}}})
    assert [needed.version for needed in component.needed(lab)] == ["0.9.0"]
