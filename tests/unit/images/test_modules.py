"""The source `modules`: what it asks Go to do. A small shell script replaces the toolchain."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import go_toolchain

from halab.config.kubernetes import RELEASES
from halab.errors import BadUsage, CommandFailed, HostProblem
from halab.images.bundle_part import Workplace
from halab.images.cache import Architecture
from halab.images.go import Go, ModuleFile
from halab.images.modules import Modules, go_mod, groups, minimum_go
from halab.progress import Quiet

RELEASE = RELEASES["1.37"]
TOOLCHAIN = """#!/bin/sh
here=$(dirname "$0")
echo "$PWD GOARCH=$GOARCH GOFLAGS=$GOFLAGS CGO_ENABLED=$CGO_ENABLED $*" >> "$here/calls"
case "$1 $2" in
  "env GOVERSION") echo "${version:-go1.26.8}"; echo "${toolchain:-local}" ;;
  "mod download") echo '{"Sum": "h1:sum=", "GoMod": "/go.mod"}' ;;
  "mod edit") cat "$here/go.mod.json" ;;
  build*)
    if [ -e "$here/fails" ]; then cat "$here/fails" >&2; exit 1; fi
    while [ "$1" != -o ]; do shift; done
    echo "program $3" > "$2" ;;
esac
"""
UPSTREAM = {
    "Go": "1.26.0",
    "GoDebug": [{"Key": "default", "Value": "go1.26"}],
    "Replace": [
        {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
        {"Old": {"Path": "example.com/fork"}, "New": {"Path": "example.com/other", "Version": "v1.0.0"}},
    ],
}


@pytest.fixture
def toolchain(tmp_path: Path) -> Path:
    folder = go_toolchain.write(tmp_path / "toolchain", TOOLCHAIN)
    (folder / "go.mod.json").write_text(json.dumps(UPSTREAM))
    return folder


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    places = [tmp_path / name for name in ("tree", "downloads", "scratch")]
    for place in places:
        place.mkdir()
    return Workplace(*places)


def proxy_base(target: Path) -> Sequence[str]:
    with tarfile.open(target, "w"):
        return ["Debian bookworm: nftables"]


def make_all(toolchain: Path, workplace: Workplace) -> dict[str, Sequence[str]]:
    maker = Modules(Go(toolchain / "go"), proxy_base)
    origins = {}
    for part in maker.parts(RELEASE, Architecture.ARM64, workplace):
        target = workplace.tree / part.path
        target.parent.mkdir(exist_ok=True)
        origins[part.path] = part.make(target, Quiet())
    return origins


def test_the_go_mod_of_kubernetes_replaces_its_staging_modules() -> None:
    group = groups(RELEASE)[0]
    beside = {name: f"./staging/src/{name}" for name in ("k8s.io/api", "k8s.io/apimachinery")}
    upstream = ModuleFile("1.26.0", {"default": "go1.26"}, beside, {})
    assert go_mod(group, upstream) == (
        "module halab/kubernetes\n\ngo 1.26.0\n\n"
        "godebug (\n\tdefault=go1.26\n)\n\n"
        "require (\n\tk8s.io/kubernetes v1.37.2\n)\n\n"
        "replace (\n\tk8s.io/api => k8s.io/api v0.37.2\n"
        "\tk8s.io/apimachinery => k8s.io/apimachinery v0.37.2\n)\n"
    )


def test_the_go_mod_of_etcd_requires_its_three_modules_and_replaces_nothing() -> None:
    upstream = ModuleFile("1.26", {}, {"go.etcd.io/etcd/api/v3": "../api"}, {})
    assert go_mod(groups(RELEASE)[1], upstream) == (
        "module halab/etcd\n\ngo 1.26\n\nrequire (\n\tgo.etcd.io/etcd/server/v3 v3.7.3\n"
        "\tgo.etcd.io/etcd/etcdctl/v3 v3.7.3\n\tgo.etcd.io/etcd/etcdutl/v3 v3.7.3\n)\n"
    )


def test_a_bundle_has_every_binary_and_image(toolchain: Path, workplace: Workplace) -> None:
    origins = make_all(toolchain, workplace)
    assert {path for path in origins if path.startswith("bin/")} == {
        "bin/kubeadm", "bin/kubelet", "bin/kubectl", "bin/etcdctl", "bin/etcdutl",
        "bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr",
    }  # fmt: skip
    assert {path for path in origins if path.startswith("images/")} == {
        "images/kube-apiserver.tar", "images/kube-controller-manager.tar", "images/kube-scheduler.tar",
        "images/kube-proxy.tar", "images/etcd.tar", "images/coredns.tar", "images/pause.tar",
    }  # fmt: skip
    assert all((workplace.tree / path).is_file() for path in origins)


def test_origins_are_modules_with_their_sums(toolchain: Path, workplace: Workplace) -> None:
    origins = make_all(toolchain, workplace)
    assert origins["bin/kubeadm"] == ["k8s.io/kubernetes@v1.37.2 h1:sum="]
    assert origins["images/kube-proxy.tar"] == [*origins["bin/kubeadm"], "Debian bookworm: nftables"]
    assert origins["images/pause.tar"] == ["halab: pause.go"]


def test_every_module_is_fetched_once(toolchain: Path, workplace: Workplace) -> None:
    make_all(toolchain, workplace)
    calls = (toolchain / "calls").read_text()
    assert calls.count("download") == 6
    assert calls.count("k8s.io/kubernetes@v1.37.2") == 1


def test_programs_are_static_stripped_and_know_their_version(toolchain: Path, workplace: Workplace) -> None:
    make_all(toolchain, workplace)
    calls = (toolchain / "calls").read_text().splitlines()
    kubelet = next(line for line in calls if line.endswith("k8s.io/kubernetes/cmd/kubelet"))
    assert "GOARCH=arm64 GOFLAGS=-mod=mod -buildvcs=false CGO_ENABLED=0 build -trimpath" in kubelet
    assert "-ldflags -s -w -X k8s.io/component-base/version.gitVersion=v1.37.2" in kubelet
    assert "-X k8s.io/client-go/pkg/version.gitVersion=v1.37.2" in kubelet
    shim = next(line for line in calls if line.endswith("cmd/containerd-shim-runc-v2"))
    assert "static_build,no_grpc" in shim


def test_a_failed_build_shows_what_go_said(toolchain: Path, workplace: Workplace) -> None:
    (toolchain / "fails").write_text("undefined: something\n")
    with pytest.raises(CommandFailed, match="undefined: something"):
        make_all(toolchain, workplace)


def test_a_version_that_the_proxy_does_not_know_is_bad_usage(toolchain: Path) -> None:
    text = "echo 'go: k8s.io/kubernetes@v1.37.99: reading x: 404 Not Found' >&2; exit 1"
    (toolchain / "go").write_text(f"#!/bin/sh\n{text}\n")
    with pytest.raises(BadUsage, match=r"k8s.io/kubernetes@v1\.37\.99"):
        Go(toolchain / "go").download("k8s.io/kubernetes@v1.37.99", timeout_seconds=10)


@pytest.mark.parametrize(
    ("answer", "is_enough"),
    [
        ("go1.26.0\nlocal", True),
        ("go1.27rc1\nlocal", True),
        ("go1.25.9\nlocal", False),
        ("go1.21.0\nauto", True),  # fetches what it needs
        ("go1.19.8\n", False),  # knows no toolchains
    ],
)
def test_an_old_go_is_refused_unless_it_downloads_newer_toolchains(
    answer: str, is_enough: bool, toolchain: Path
) -> None:
    (toolchain / "go").write_text(f"#!/bin/sh\nprintf '{answer}\\n'\n")
    problem = Go(toolchain / "go").obstacle("1.26")
    assert (problem is None) == is_enough
    assert problem is None or (isinstance(problem, HostProblem) and "go.dev" in str(problem.hint))


def test_the_go_version_depends_on_the_minor_version() -> None:
    assert [minimum_go(release.kubernetes) for release in RELEASES.values()] == [
        "1.25",
        "1.25",
        "1.26",
        "1.26",
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("unknown revision v3.6.99", "no such version in Go's module proxy: example.com/etcd@v3.6.99"),
        ("403 Forbidden", "Go's module proxy refuses this version: example.com/etcd@v3.6.99"),
    ],
)
def test_a_version_that_the_proxy_does_not_give_is_a_usage_error(
    toolchain: Path, answer: str, said: str
) -> None:
    (toolchain / "go").write_text(f"#!/bin/sh\necho '{answer}'\nexit 1\n")
    with pytest.raises(BadUsage) as caught:
        Go(toolchain / "go").download("example.com/etcd@v3.6.99", timeout_seconds=5)
    assert caught.value.message == said


def test_another_failure_of_go_is_not_about_the_version(toolchain: Path) -> None:
    (toolchain / "go").write_text("#!/bin/sh\necho 'dial tcp: no route to host'\nexit 1\n")
    with pytest.raises(
        CommandFailed, match="could not download example.com/etcd@v3.6.99: dial tcp: no route to"
    ):
        Go(toolchain / "go").download("example.com/etcd@v3.6.99", timeout_seconds=5)
    answer = '{\n\t"Path": "example.com/etcd",\n\t"Error": "dial tcp: \\"proxy\\" is away"\n}'
    (toolchain / "go").write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\nexit 1\n")
    with pytest.raises(CommandFailed, match='could not download .*: dial tcp: "proxy" is away$'):
        Go(toolchain / "go").download("example.com/etcd@v3.6.99", timeout_seconds=5)
