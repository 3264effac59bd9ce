"""Images that only some labs need: kube-vip, and components in another version than that of the bundle.

Each is built from its Go module, and cached by itself. A bundle has none of them, so that a lab that needs one costs
the time of that one, and no bundle or box changes.
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
from halab.images import cache
from halab.images.go import Go
from halab.images.image_archive import ImageArchive
from halab.images.image_tar import Contents, write_image
from halab.images.manifest import FileRecord
from halab.images.modules import (
    BIN,
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
_EXAMPLES = {ETCD: "3.6.8", COREDNS: "1.12.1"}
# With Go's own cache of modules and objects.
_SPACE_BYTES = 2 << 30
_LIMIT_SECONDS = 1800
_CONTROL_PLANES = frozenset({Role.CONTROL_PLANE})
_NODES = frozenset({Role.CONTROL_PLANE, Role.WORKER})


@dataclass(frozen=True)
class Component:
    """One image with static programs. `image` is the full name under which containerd knows it.

    `folder` has the programs. An image with an entrypoint starts the program of its own name. `roles` are those of the
    machines that run it. Older versions may need an older Go than `minimum_go`.
    """

    name: str
    version: str
    image: str
    group: Group
    folder: str = BIN
    has_entrypoint: bool = False
    roles: frozenset[Role] = _CONTROL_PLANES
    # the go.mod of kube-vip 0.9.1 says 1.24.2, and that of etcd 3.6.8 1.24
    minimum_go: str = "1.24"
    # on two cores, with an empty Go build cache and with a filled one
    minutes: str = "1 to 5 min"

    @property
    def archive(self) -> str:
        """The name of its file."""
        return f"{self.name}-{self.version}.tar"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def kube_vip(settings: KubeVip) -> Component:
    """kube-vip, as its own image has it: the program in the root folder, and nothing else."""
    module, version = "github.com/kube-vip/kube-vip", settings.version
    group = Group(
        "kube-vip",
        [f"{module}@v{version}"],
        {"kube-vip": Program(module)},
        {"main.Version": f"v{version}"},
    )
    return Component("kube-vip", version, settings.image, group, folder="", has_entrypoint=True)


def of_bundle(name: str, version: str) -> Component:
    """A component that bundles have, in any version; the image has what that of a bundle has."""
    image = component_versions.image(name, version)
    if name == ETCD:
        return Component(name, version, image, etcd_group(version))
    if name == COREDNS:
        # kubeadm's manifest has arguments only
        return Component(
            name, version, image, coredns_group(version), folder="", has_entrypoint=True, roles=_NODES
        )
    return Component(
        name,
        version,
        image,
        kubernetes_group(version, [name]),
        minimum_go=minimum_go(version),
        minutes="2 to 10 min",
    )


def needed(lab: LabFile) -> list[Component]:
    """The components beside the bundle that the machines of a lab run."""
    settings, release = lab.load_balancer, kubernetes.resolve(lab.kubernetes.version)
    components = [kube_vip(settings.kube_vip)] if settings.kind is Balancer.KUBE_VIP else []
    for name, version in component_versions.differing(release, lab.kubernetes.written_versions).items():
        component = of_bundle(name, version)
        if name == ETCD and lab.etcd.is_external:
            component = replace(component, roles=frozenset({Role.ETCD}))
        components.append(component)
    return components


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


def find(component: Component) -> ImageArchive | None:
    """The image in the cache, verified; None if it is not there. Raises Corrupted if it has changed."""
    path = _path(component)
    if not path.is_dir():
        return None
    hint = f"build it again: {build_command(component)} --force"
    archive = path / component.archive
    try:
        record = FileRecord.model_validate_json((path / _RECORD).read_bytes())
        is_same = archive.stat().st_size == record.size and cache.sha256(archive) == record.sha256
    except (OSError, ValidationError) as error:
        raise Corrupted(f"the image of {component.name} is incomplete: {path}", hint=hint) from error
    if not is_same:
        raise Corrupted(f"checksum mismatch of the image of {component.name}: {archive}", hint=hint)
    return _image(component, path, record)


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
    return f"halab bundle build --component {component.name}@{component.version}"


def _image(component: Component, path: Path, record: FileRecord) -> ImageArchive:
    file = str(path / component.archive)
    return ImageArchive(component.archive, file, record.sha256, record.size, (component.image,))


def _build(component: Component, folder: Path, go: Go) -> FileRecord:
    architecture, name = cache.architecture(), component.name
    target = folder / component.archive
    with TemporaryDirectory(dir=folder) as scratch:
        sources, files = Path(scratch), {}
        origins = write_go_mod(go, component.group, sources)
        for program, source in component.group.programs.items():
            # in a folder of its own: the sources of a program may have its name
            built = cache.make_folder(sources / "programs") / program
            go.build(
                source.package,
                built,
                folder=sources,
                architecture=architecture,
                timeout_seconds=_LIMIT_SECONDS,
                variables=component.group.variables,
                tags=source.tags,
            )
            files[f"{component.folder}/{program}"] = built
        entrypoint = [f"{component.folder}/{name}"] if component.has_entrypoint else []
        contents = Contents(files, entrypoint=entrypoint)
        write_image(target, component.image, architecture, contents)
    return FileRecord(sha256=cache.sha256(target), size=target.stat().st_size, origin=tuple(origins))


def _path(component: Component) -> Path:
    architecture = cache.architecture()
    inputs = [_FORMAT, component.image, asdict(component.group), architecture]
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
    return cache.folder() / "components" / f"{component.name}-{component.version}-{architecture}-{key}"
