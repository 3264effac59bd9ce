"""Images that only some labs need: kube-vip, and components in another version than that of the bundle.

Each is built from its Go module, or from a checkout of its source code, and cached by itself. A bundle has none of
them, so that a lab that needs one costs the time of that one, and no bundle or box changes.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from halab.config import component_versions, kubernetes
from halab.config.component_versions import COREDNS, ETCD, ControlPlanePart
from halab.config.kube_vip import KubeVip
from halab.config.lab import LabFile
from halab.config.load_balancer import Balancer
from halab.config.roles import Role
from halab.errors import BadUsage, Corrupted, HostProblem
from halab.images import cache, compiler_errors
from halab.images import checkout as checkouts
from halab.images.checkout import Checkout
from halab.images.go import Go
from halab.images.image_archive import ImageArchive
from halab.images.image_contents import contents
from halab.images.image_tar import write_image
from halab.images.manifest import FileRecord
from halab.images.modules import (
    Group,
    Program,
    coredns_group,
    etcd_group,
    kubernetes_group,
    minimum_go,
    write_go_mod,
)
from halab.progress import Progress

# Increased when this module makes another image from the same version.
_FORMAT = 1
_RECORD = "component.json"
# Beside the image: what was not committed in the checkout from which it was built.
PATCH = "source.diff"
_PATCH_CHARACTERS = 1_000_000
_EXAMPLES = {ETCD: "3.6.8", COREDNS: "1.12.1"}
# With Go's own cache of modules and objects.
_SPACE_BYTES = 2 << 30
_LIMIT_SECONDS = 1800
_LIST_SECONDS = 60
_ETCD_API = "go.etcd.io/etcd/api/v3"
_CONTROL_PLANES = frozenset({Role.CONTROL_PLANE})
_NODES = frozenset({Role.CONTROL_PLANE, Role.WORKER})


@dataclass(frozen=True)
class Component:
    """One image with static programs. `image` is the full name under which containerd knows it.

    `roles` are those of the machines that run it. Older versions may need an older Go than `minimum_go`.
    """

    name: str
    version: str
    image: str
    group: Group
    roles: frozenset[Role] = _CONTROL_PLANES
    # instead of the module of its version
    checkout: Checkout | None = None
    # the go.mod of kube-vip 0.9.1 says 1.24.2, and that of etcd 3.6.8 1.24
    minimum_go: str = "1.24"
    # on two cores, with an empty Go build cache and with a filled one
    minutes: str = "1 to 5 min"

    @property
    def archive(self) -> str:
        """The name of its file."""
        return f"{self.name}-{self.version}.tar"

    def __str__(self) -> str:
        built = f" from {self.checkout.state}" if self.checkout else ""
        return f"{self.name} {self.version}{built}"


def kube_vip(settings: KubeVip) -> Component:
    """kube-vip, as its own image has it: the program and nothing else."""
    module, version = "github.com/kube-vip/kube-vip", settings.version
    group = Group(
        "kube-vip",
        [f"{module}@v{version}"],
        {"kube-vip": Program(module)},
        {"main.Version": f"v{version}"},
    )
    return Component("kube-vip", version, settings.image, group)


def of_bundle(name: str, version: str) -> Component:
    """A component that bundles have, in any version; the image has what that of a bundle has."""
    image = component_versions.image(name, version)
    if name == ETCD:
        return Component(name, version, image, etcd_group(version))
    if name == COREDNS:
        return Component(name, version, image, coredns_group(version), roles=_NODES)
    return Component(
        name,
        version,
        image,
        kubernetes_group(version, [name]),
        minimum_go=minimum_go(version),
        minutes="2 to 10 min",
    )


def of_checkout(name: str, version: str, folder: Path, written: str, go: Go | None = None) -> Component:
    """A component from a folder with its source code, whose path is `written` in the lab file.

    `version` is that of the lab: of its other modules, of the tag of its image, and for the rules which versions work
    together. Raises BadUsage if the folder does not have the source code of the component, and HostProblem without Go,
    which reads it.
    """
    go, component = go or Go(), of_bundle(name, version)
    if problem := obstacle(component, go):
        raise problem
    group = component.group
    found = checkouts.read(folder, written, [module.partition("@")[0] for module in group.modules], go)
    _require_version(component, found, go)
    return replace(
        component,
        image=component_versions.image(name, version, is_own=True),
        group=replace(group, variables={**group.variables, **_revision_variables(name, found)}),
        checkout=found,
    )


def needed(lab: LabFile) -> list[Component]:
    """The components beside the bundle that the machines of a lab run in a version of their own."""
    settings, release = lab.load_balancer, kubernetes.resolve(lab.kubernetes.version)
    components = [kube_vip(settings.kube_vip)] if settings.kind is Balancer.KUBE_VIP else []
    for name, version in component_versions.differing(release, lab.kubernetes.written_versions).items():
        components.append(placed(of_bundle(name, version), lab))
    return components


def placed(component: Component, lab: LabFile) -> Component:
    """The component with the roles of the machines that run it in this lab."""
    if component.name == ETCD and lab.etcd.is_external:
        return replace(component, roles=frozenset({Role.ETCD}))
    return component


def named(text: str) -> Component:
    """The component that `kube-vip` or `NAME@VERSION` means. Raises BadUsage if there is none."""
    name, _, version = text.partition("@")
    known = (ETCD, COREDNS, *ControlPlanePart)
    if name in known:
        if not re.fullmatch(component_versions.VERSION, version):
            raise BadUsage(
                f"not a version of {name}: {version}" if version else f"which version of {name}?",
                hint=f"write three numbers after it, such as {name}@{_EXAMPLES.get(name, '1.36.4')}",
            )
        return of_bundle(name, version)
    if name != "kube-vip":
        raise BadUsage(f"no such component: {name}", hint=f"halab knows kube-vip, {', '.join(known)}")
    try:
        return kube_vip(KubeVip(version=version) if version else KubeVip())
    except ValidationError as error:
        raise BadUsage(
            f"not a version of kube-vip: {version}", hint="write three numbers, such as 0.9.1"
        ) from error


def released(name: str, go: Go | None = None) -> list[str]:
    """The released versions of a component of bundles, with pre-releases, that Go's proxy lists."""
    module = of_bundle(name, "0.0.0").group.main_module
    listed = (go or Go()).versions(module, timeout_seconds=_LIST_SECONDS)
    versions = [version.removeprefix("v") for version in listed]
    return [version for version in versions if re.fullmatch(component_versions.VERSION, version)]


def find(component: Component) -> ImageArchive | None:
    """The image in the cache, verified; None if it is not there. Raises Corrupted if it has changed."""
    path = _path(component)
    if not path.is_dir():
        return None
    try:
        record = verified(path, component.archive, component.name)
    except Corrupted as error:
        error.hint = f"build it again: {build_command(component)} --force"
        raise
    return _image(component, path, record)


def verified(folder: Path, archive: str = "*.tar", name: str = "a component") -> FileRecord:
    """The record of the image in a folder. Raises Corrupted if the image does not match it."""
    try:
        record = FileRecord.model_validate_json((folder / _RECORD).read_bytes())
        (found,) = folder.glob(archive)
        is_same = found.stat().st_size == record.size and cache.sha256(found) == record.sha256
    # a record that is not valid, or no archive
    except (OSError, ValueError) as error:
        raise Corrupted(f"the image of {name} is incomplete: {folder}") from error
    if not is_same:
        raise Corrupted(f"checksum mismatch of the image of {name}: {found}")
    return record


def obstacle(component: Component, go: Go | None = None) -> HostProblem | None:
    """Why this host cannot build a component; None if it can."""
    return (go or Go()).obstacle(component.minimum_go)


def ensure(
    component: Component, progress: Progress, *, force: bool = False, go: Go | None = None
) -> ImageArchive:
    """The image, verified: from the cache, which needs no network, or built.

    Raises BadUsage if Go's proxy does not know the version, and HostProblem if Go is missing.
    """
    builder = go or Go()
    if not force and (cached := find(component)):
        return cached
    if problem := obstacle(component, builder):
        raise problem
    path = _path(component)
    with cache.locked(f"component-{path.name}", progress):
        # another halab process may have built it while this one waited for the lock
        if not force and (cached := find(component)):
            return cached
        cache.need_space(cache.folder(), _SPACE_BYTES)
        with (
            progress.step(f"build {component}", limit_seconds=_LIMIT_SECONDS) as step,
            cache.replacing(path) as folder,
        ):
            record = _build(component, folder, builder)
            (folder / _RECORD).write_text(record.model_dump_json(indent=2) + "\n")
            step.done(cache.in_words(record.size))
    return _image(component, path, record)


def build_command(component: Component) -> str:
    """The command that builds a component."""
    if component.checkout:
        return "halab bundle build -f lab.yml"
    return f"halab bundle build --component {component.name}@{component.version}"


def _image(component: Component, path: Path, record: FileRecord) -> ImageArchive:
    file = str(path / component.archive)
    return ImageArchive(component.archive, file, record.sha256, record.size, (component.image,))


def _build(component: Component, folder: Path, go: Go) -> FileRecord:
    architecture, name = cache.architecture(), component.name
    target = folder / component.archive
    with TemporaryDirectory(dir=folder) as scratch:
        sources, files = Path(scratch), {}
        origins = write_go_mod(go, component.group, sources, component.checkout)
        for program, source in component.group.programs.items():
            # in a folder of its own: the sources of a program may have its name
            built = cache.make_folder(sources / "programs") / program
            with compiler_errors.explained(name, component.checkout, sources):
                go.build(
                    source.package,
                    built,
                    folder=sources,
                    architecture=architecture,
                    timeout_seconds=_LIMIT_SECONDS,
                    variables=component.group.variables,
                    tags=source.tags,
                )
            files[program] = built
        if component.checkout:
            _keep_patch(component.checkout, folder)
            checkouts.require_same(component.checkout)
        write_image(target, component.image, architecture, contents(name, files))
    return FileRecord(sha256=cache.sha256(target), size=target.stat().st_size, origin=tuple(origins))


def _keep_patch(found: Checkout, folder: Path) -> None:
    """Write what is not committed beside the image, unless it is too large for the folder of a run."""
    if found.state.is_dirty and (patch := checkouts.patch(found.path, _PATCH_CHARACTERS)):
        (folder / PATCH).write_text(patch)


def folder_name(component: Component) -> str:
    """The name of its folder in the cache: known before it is built."""
    return _path(component).name


def _path(component: Component) -> Path:
    architecture = cache.architecture()
    inputs = [_FORMAT, component.image, asdict(component.group), architecture]
    if component.checkout:
        inputs += [component.checkout.state.digest, *component.checkout.modules]
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
    return cache.folder() / "components" / f"{component.name}-{component.version}-{architecture}-{key}"


def _require_version(component: Component, found: Checkout, go: Go) -> None:
    """Raise BadUsage if a folder with etcd's server alone needs the other modules of etcd in another version."""
    if component.name != ETCD or _ETCD_API in found.modules:
        return
    version = go.read(found.modules[component.group.main_module] / "go.mod").required.get(_ETCD_API, "")
    if re.fullmatch(component_versions.VERSION, version[1:]) and version[1:] != component.version:
        raise BadUsage(
            f"{found.state.path} has etcd {version[1:]}, but the lab has etcd {component.version}",
            hint=f"write `etcd: {version[1:]}` below `kubernetes`",
        )


def _revision_variables(name: str, found: Checkout) -> dict[str, str]:
    """What the programs say of the commit from which they were built."""
    revision = found.state.revision
    if not revision:
        return {}
    if name == ETCD:
        return {f"{_ETCD_API}/version.GitSHA": f"{revision[:9]}{'-dirty' if found.state.is_dirty else ''}"}
    if name == COREDNS:
        return {"github.com/coredns/coredns/coremain.GitCommit": revision[:9]}
    state = "dirty" if found.state.is_dirty else "clean"
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    values = {"gitCommit": revision, "gitTreeState": state}
    return {f"{package}.{variable}": value for package in packages for variable, value in values.items()}
