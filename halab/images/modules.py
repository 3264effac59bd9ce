"""The source `modules`: Kubernetes and its companions, built on this host from their Go modules."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from halab.config.kubernetes import Release, at_least
from halab.errors import HalabError
from halab.images import debian
from halab.images.bundle_part import Make, Part, Workplace
from halab.images.cache import Architecture, make_folder
from halab.images.checkout import Checkout
from halab.images.go import Go, ModuleFile
from halab.images.image_contents import contents, tools_of
from halab.images.image_names import KUBERNETES_IMAGES, image_names
from halab.images.image_tar import Contents, write_image
from halab.progress import Step

# Increased when this module makes other files from the same versions.
_FORMAT = 1
_SPACE_BYTES = 6 << 30  # the files, and Go's own cache of modules and objects
_LIMIT_SECONDS = 1800
_DOWNLOAD_SECONDS = 900
_PAUSE = Path(__file__).with_name("pause.go")
_CONTAINERD_TAGS = ("urfave_cli_no_docs", "osusergo", "netgo", "static_build")


@dataclass(frozen=True)
class Program:
    package: str
    tags: Sequence[str] = ()


@dataclass(frozen=True)
class Group:
    """Programs that are built with one go.mod. The first module's own go.mod decides Go's defaults.

    There are several groups because their dependencies contradict each other. `staging` is the version of the
    modules that the first one keeps in its own repository.
    """

    name: str
    modules: Sequence[str]
    programs: Mapping[str, Program]
    variables: Mapping[str, str] = field(default_factory=dict)
    staging: str | None = None

    @property
    def main_module(self) -> str:
        """The first module, without its version."""
        return self.modules[0].partition("@")[0]


def minimum_go(kubernetes: str) -> str:
    """The Go version that a version of Kubernetes asks for in its go.mod; containerd asks for 1.25 in all cases."""
    return "1.26" if at_least(kubernetes, "1.36.0") else "1.25"


def kubernetes_group(version: str, programs: Sequence[str]) -> Group:
    """Some programs of Kubernetes."""
    return Group(
        "kubernetes",
        [f"k8s.io/kubernetes@v{version}"],
        {name: Program(f"k8s.io/kubernetes/cmd/{name}") for name in programs},
        _kubernetes_version(version),
        staging=f"v0.{version.removeprefix('1.')}",
    )


def etcd_group(version: str) -> Group:
    """etcd and its tools."""
    etcd = "go.etcd.io/etcd"
    return Group(
        "etcd",
        [f"{etcd}/{part}/v3@v{version}" for part in ("server", "etcdctl", "etcdutl")],
        {
            "etcd": Program(f"{etcd}/server/v3"),
            "etcdctl": Program(f"{etcd}/etcdctl/v3"),
            "etcdutl": Program(f"{etcd}/etcdutl/v3"),
        },
    )


def coredns_group(version: str) -> Group:
    coredns = "github.com/coredns/coredns"
    return Group(
        "coredns",
        [f"{coredns}@v{version}"],
        {"coredns": Program(coredns)},
        {f"{coredns}/coremain.gitTag": f"v{version}"},
    )


def groups(release: Release) -> list[Group]:
    containerd = "github.com/containerd/containerd/v2"
    return [
        kubernetes_group(release.kubernetes, ("kubeadm", "kubelet", "kubectl", *KUBERNETES_IMAGES)),
        etcd_group(release.etcd),
        Group(
            "containerd",
            [f"{containerd}@v{release.containerd}"],
            {
                "containerd": Program(f"{containerd}/cmd/containerd", _CONTAINERD_TAGS),
                "ctr": Program(f"{containerd}/cmd/ctr", _CONTAINERD_TAGS),
                # as upstream does: a shim runs beside every pod, and is smaller without gRPC
                "containerd-shim-runc-v2": Program(
                    f"{containerd}/cmd/containerd-shim-runc-v2", (*_CONTAINERD_TAGS, "no_grpc")
                ),
            },
            {f"{containerd}/version.Version": f"v{release.containerd}"},
        ),
        coredns_group(release.coredns),
    ]


def go_mod(group: Group, upstream: ModuleFile, checkout: Checkout | None = None) -> str:
    """The go.mod of a group. The modules of a checkout are taken from there."""
    lines = [f"module halab/{group.name}", "", f"go {upstream.go}", ""]
    if upstream.defaults:
        lines += ["godebug (", *(f"\t{key}={value}" for key, value in upstream.defaults.items()), ")", ""]
    lines += ["require (", *(f"\t{name.replace('@', ' ')}" for name in group.modules), ")"]
    replacements = {}
    if group.staging:
        replacements = {path: f"{path} {group.staging}" for path in upstream.local_replacements}
    if checkout:
        # in quotes, because a path may have spaces
        replacements |= {path: json.dumps(str(folder)) for path, folder in checkout.modules.items()}
    if replacements:
        lines += ["", "replace (", *(f"\t{path} => {target}" for path, target in replacements.items()), ")"]
    return "\n".join(lines) + "\n"


def write_go_mod(go: Go, group: Group, folder: Path, checkout: Checkout | None = None) -> list[str]:
    """Fetch the modules of a group and write its go.mod. Return the modules with their checksums.

    Those of a checkout are not fetched. It has the first module of the group.
    """
    here = checkout.modules if checkout else {}
    fetched = [
        go.download(name, timeout_seconds=_DOWNLOAD_SECONDS)
        for name in group.modules
        if name.partition("@")[0] not in here
    ]
    first = here.get(group.main_module)
    upstream = go.read(first / "go.mod" if first else fetched[0].go_mod)
    (folder / "go.mod").write_text(go_mod(group, upstream, checkout))
    return [*(checkout.origins if checkout else ()), *(module.origin for module in fetched)]


class Modules:
    """Makes bundles from Go modules."""

    def __init__(
        self, go: Go | None = None, proxy_base: Callable[[Path], Sequence[str]] = debian.proxy_base
    ) -> None:
        self._go = go or Go()
        self._proxy_base = proxy_base

    def recipe(self, release: Release, architecture: Architecture) -> object:
        return {
            "format": _FORMAT,
            "groups": [asdict(group) for group in groups(release)],
            "proxy base": [debian.SUITE, *debian.PROXY_PACKAGES],
            "pause": _PAUSE.read_text(),
        }

    def obstacle(self, release: Release, *, patience_seconds: float) -> HalabError | None:
        return self._go.obstacle(minimum_go(release.kubernetes)) or debian.obstacle()

    def space_bytes(self) -> int:
        return _SPACE_BYTES

    def parts(self, release: Release, architecture: Architecture, workplace: Workplace) -> Sequence[Part]:
        build = _Build(self._go, self._proxy_base, release, architecture, workplace)
        programs = ["kubeadm", "kubelet", "kubectl", "etcdctl", "etcdutl"]
        programs += ["containerd", "containerd-shim-runc-v2", "ctr"]
        return [
            *(Part(f"bin/{name}", build.program(name), _LIMIT_SECONDS) for name in programs),
            *(
                Part(f"images/{name}.tar", build.image(name), _LIMIT_SECONDS)
                for name in image_names(release)
            ),
        ]


class _Build:
    def __init__(
        self,
        go: Go,
        proxy_base: Callable[[Path], Sequence[str]],
        release: Release,
        architecture: Architecture,
        workplace: Workplace,
    ) -> None:
        self._go = go
        self._proxy_base = proxy_base
        self._architecture = architecture
        self._workplace = workplace
        self._names = image_names(release)
        self._groups = {name: group for group in groups(release) for name in group.programs}
        self._origins: dict[str, list[str]] = {}

    def program(self, name: str) -> Make:
        def make(target: Path, step: Step) -> Sequence[str]:
            return self._program(name, target, step)

        return make

    def image(self, name: str) -> Make:
        def make(target: Path, step: Step) -> Sequence[str]:
            binary = make_folder(self._workplace.scratch / "programs") / name
            content, origins = self._contents(name, binary, step)
            write_image(target, self._names[name], self._architecture, content)
            binary.unlink()
            return origins

        return make

    def _contents(self, name: str, binary: Path, step: Step) -> tuple[Contents, Sequence[str]]:
        if name == "pause":
            self._pause(binary)
            return contents(name, {name: binary}), ["halab: pause.go"]
        origins = self._program(name, binary, step)
        if name == "kube-proxy":
            # it runs nft, conntrack and modprobe
            step.note("unpack Debian packages")
            base = self._workplace.scratch / "kube-proxy-base.tar"
            return contents(name, {name: binary}, base), [*origins, *self._proxy_base(base)]
        tools = {tool: self._workplace.tree / "bin" / tool for tool in tools_of(name)}
        return contents(name, {name: binary, **tools}), origins

    def _pause(self, binary: Path) -> None:
        folder = make_folder(self._workplace.scratch / "modules" / "pause")
        (folder / "go.mod").write_text("module halab/pause\n\ngo 1.24\n")
        shutil.copyfile(_PAUSE, folder / "main.go")
        self._go.build(
            ".", binary, folder=folder, architecture=self._architecture, timeout_seconds=_LIMIT_SECONDS
        )

    def _program(self, name: str, target: Path, step: Step) -> Sequence[str]:
        group = self._groups[name]
        folder = self._folder(group, step)
        program = group.programs[name]
        self._go.build(
            program.package, target, folder=folder, architecture=self._architecture,
            timeout_seconds=_LIMIT_SECONDS, variables=group.variables, tags=program.tags,
        )  # fmt: skip
        return self._origins[group.name]

    def _folder(self, group: Group, step: Step) -> Path:
        """The folder with the group's go.mod, which is written at the first call."""
        folder = make_folder(self._workplace.scratch / "modules" / group.name)
        if group.name not in self._origins:
            step.note(f"fetch {group.modules[0]}")
            self._origins[group.name] = write_go_mod(self._go, group, folder)
            step.note("")
        return folder


def _kubernetes_version(version: str) -> dict[str, str]:
    """The variables that Kubernetes' own build sets, without the build date, so that two builds are equal."""
    major, minor = version.split(".")[:2]
    values = {
        "gitVersion": f"v{version}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "archive",
        "gitCommit": "",  # a module does not have it
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{name}": value for package in packages for name, value in values.items()}
