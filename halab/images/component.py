"""Images that only some labs need, such as kube-vip: each is built from its Go module, and cached by itself.

A bundle has none of them, so that a lab that needs one costs the time of that one, and no bundle or box changes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from halab.config.kube_vip import KubeVip
from halab.config.lab import LabFile
from halab.config.load_balancer import Balancer
from halab.errors import BadUsage, Corrupted, HostProblem
from halab.images import cache
from halab.images.go import Go
from halab.images.image_archive import ImageArchive
from halab.images.image_tar import Contents, write_image
from halab.images.manifest import FileRecord
from halab.images.modules import Group, Program, write_go_mod
from halab.progress import Progress

# Increased when this module makes another image from the same version.
_FORMAT = 1
_RECORD = "component.json"
# With Go's own cache of modules and objects.
_SPACE_BYTES = 2 << 30
_LIMIT_SECONDS = 1800
# The go.mod of kube-vip 0.9.1 says 1.24.2.
_MINIMUM_GO = "1.24"


@dataclass(frozen=True)
class Component:
    """One image with one static program. `image` is the full name under which containerd knows it."""

    name: str
    version: str
    image: str
    group: Group

    @property
    def archive(self) -> str:
        """The name of its file."""
        return f"{self.name}-{self.version}.tar"


def kube_vip(settings: KubeVip) -> Component:
    """kube-vip, as its own image has it: the program in the root folder, and nothing else."""
    module, version = "github.com/kube-vip/kube-vip", settings.version
    group = Group(
        "kube-vip",
        [f"{module}@v{version}"],
        {"kube-vip": Program(module)},
        {"main.Version": f"v{version}"},
    )
    return Component("kube-vip", version, settings.image, group)


def needed(lab: LabFile) -> list[Component]:
    """The components that the machines of a lab run."""
    settings = lab.load_balancer
    return [kube_vip(settings.kube_vip)] if settings.kind is Balancer.KUBE_VIP else []


def named(text: str) -> Component:
    """The component that `NAME` or `NAME@VERSION` means. Raises BadUsage if there is none."""
    name, _, version = text.partition("@")
    if name != "kube-vip":
        raise BadUsage(f"no such component: {name}", hint="halab knows kube-vip")
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


def obstacle(go: Go | None = None) -> HostProblem | None:
    """Why this host cannot build components; None if it can."""
    return (go or Go()).obstacle(_MINIMUM_GO)


def ensure(
    component: Component, progress: Progress, *, force: bool = False, go: Go | None = None
) -> ImageArchive:
    """The image, verified: from the cache, which needs no network, or built.

    Raises BadUsage if Go's proxy does not know the version, and HostProblem if Go is missing.
    """
    builder = go or Go()
    if not force and (cached := find(component)):
        return cached
    if problem := obstacle(builder):
        raise problem
    path = _path(component)
    with cache.locked(f"component-{path.name}", progress):
        # another halab process may have built it while this one waited for the lock
        if not force and (cached := find(component)):
            return cached
        cache.need_space(cache.folder(), _SPACE_BYTES)
        with (
            progress.step(
                f"build {component.name} {component.version}", limit_seconds=_LIMIT_SECONDS
            ) as step,
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
        sources, program = Path(scratch), Path(scratch) / name
        origins = write_go_mod(go, component.group, sources)
        go.build(
            component.group.programs[name].package,
            program,
            folder=sources,
            architecture=architecture,
            timeout_seconds=_LIMIT_SECONDS,
            variables=component.group.variables,
        )
        contents = Contents({f"/{name}": program}, entrypoint=[f"/{name}"])
        write_image(target, component.image, architecture, contents)
    return FileRecord(sha256=cache.sha256(target), size=target.stat().st_size, origin=tuple(origins))


def _path(component: Component) -> Path:
    architecture = cache.architecture()
    inputs = [_FORMAT, component.image, asdict(component.group), architecture]
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
    return cache.folder() / "components" / f"{component.name}-{component.version}-{architecture}-{key}"
