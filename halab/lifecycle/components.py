"""The images of components that no bundle has, such as kube-vip, and what they need from this host's kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from halab.config import component_versions, kubernetes, yaml_source
from halab.config.lab import ProviderKind
from halab.config.load_balancer import Balancer
from halab.errors import BadFile, BadUsage, LabProblem, Problem
from halab.images import component
from halab.images.component import Component
from halab.lifecycle import lab as labs
from halab.lifecycle import source_record
from halab.lifecycle.lab import LabDir
from halab.lifecycle.own_images import ComponentImage
from halab.progress import Progress

_KUBE_VIP = ("load_balancer", "kube_vip")
# It exists in every network namespace once the module is loaded. Containers cannot load modules.
_IPVS = Path("/proc/net/ip_vs")


def needed(lab_dir: LabDir) -> list[Component]:
    """The components beside the bundle that the lab's machines run, with the present version of Kubernetes.

    Checkouts are read as they are now. Raises BadFile if one is none of its component.
    """
    present = labs.present_file(lab_dir)
    release, written = kubernetes.resolve(present.kubernetes.version), present.kubernetes.written_versions
    wanted = {each.name: each for each in component.needed(present)}
    for name, path in present.source.by_name.items():
        version = written.get(name, component_versions.release_version(release, name))
        with _named(lab_dir, ("source", name)):
            folder = lab_dir.file.parent / Path(path).expanduser()
            wanted[name] = component.placed(component.of_checkout(name, version, folder, path), present)
    return list(wanted.values())


def versions(lab_dir: LabDir) -> dict[str, str]:
    """Component → version, of those of which the lab file says one, and of kube-vip."""
    return {wanted.name: wanted.version for wanted in component.needed(labs.present_file(lab_dir))}


def ensure(lab_dir: LabDir, progress: Progress, *, force: bool = False) -> tuple[ComponentImage, ...]:
    """The images for the lab's machines: from the cache, or built.

    Raises BadFile if a version does not exist, or if source code cannot be built.
    """
    images = []
    for wanted in needed(lab_dir):
        with _named(lab_dir, _setting(wanted)):
            image = component.ensure(wanted, progress, force=force)
        source = wanted.checkout.state if wanted.checkout else None
        images.append(ComponentImage(image, wanted.roles, wanted.name, source))
    return tuple(images)


def cached(lab_dir: LabDir) -> tuple[ComponentImage, ...]:
    """The images with which the lab was built. Raises LabProblem if one is no longer in the cache."""
    present = labs.present_file(lab_dir)
    from_source = list(present.source.by_name)
    images = source_record.images(lab_dir.work, from_source)
    for wanted in component.needed(present):
        if wanted.name in from_source:
            continue
        image = component.find(wanted)
        if image is None:
            raise LabProblem(
                f"the image of {wanted} is no longer in the cache",
                hint=f"build it with `{component.build_command(wanted)}`",
            )
        images.append(ComponentImage(image, wanted.roles, wanted.name))
    return tuple(images)


def require_kernel(lab_dir: LabDir) -> None:
    """Raise BadFile if containers on this host could not do what the lab file asks of their kernel."""
    is_here = labs.provider_of(lab_dir) is ProviderKind.DOCKER and labs.remote_of(lab_dir) is None
    if not (lab_dir.written.load_balancer.kube_vip.balancing and is_here) or _IPVS.exists():
        return
    raise BadFile(
        [
            _problem(
                lab_dir,
                (*_KUBE_VIP, "balancing"),
                "needs IPVS, and the kernel of this host has not loaded it (ip_vs)",
            )
        ],
        hint="load it with `sudo modprobe ip_vs`, remove this setting, or write `provider: libvirt`",
    )


def _setting(wanted: Component) -> yaml_source.Path:
    """The path of the setting in the lab file that asks for the component."""
    if wanted.checkout:
        return ("source", wanted.name)
    if wanted.name == Balancer.KUBE_VIP:
        return (*_KUBE_VIP, "version")
    return component_versions.setting(wanted.name)


@contextmanager
def _named(lab_dir: LabDir, setting: yaml_source.Path) -> Iterator[None]:
    """Turn BadUsage into BadFile, with the line of a setting in the lab file."""
    try:
        yield
    except BadUsage as error:
        raise BadFile([_problem(lab_dir, setting, error.message)], hint=error.hint) from error


def _problem(lab_dir: LabDir, setting: yaml_source.Path, what: str) -> Problem:
    """A problem of a setting, with its line."""
    source = yaml_source.parse(lab_dir.content.decode("utf-8-sig"), str(lab_dir.file))
    return source.problem(setting, what)
