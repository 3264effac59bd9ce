"""The images of components that only some labs run, such as kube-vip, and what they need from this host's kernel."""

from __future__ import annotations

from pathlib import Path

from halab.config import yaml_source
from halab.config.lab import ProviderKind
from halab.errors import BadFile, BadUsage, LabProblem, Problem
from halab.images import component
from halab.images.image_archive import ImageArchive
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.progress import Progress

# It exists in every network namespace once the module is loaded. Containers cannot load modules.
_IPVS = Path("/proc/net/ip_vs")


def ensure(lab_dir: LabDir, progress: Progress) -> tuple[ImageArchive, ...]:
    """The images for the lab's control planes: from the cache, or built. Raises BadFile if a version does not exist."""
    try:
        return tuple(component.ensure(needed, progress) for needed in component.needed(lab_dir.written))
    except BadUsage as error:
        raise BadFile([_problem(lab_dir, "version", error.message)], hint=error.hint) from error


def cached(lab_dir: LabDir) -> tuple[ImageArchive, ...]:
    """The images with which the lab was built. Raises LabProblem if one is no longer in the cache."""
    images = []
    for needed in component.needed(lab_dir.written):
        image = component.find(needed)
        if image is None:
            raise LabProblem(
                f"the image of {needed.name} {needed.version} is no longer in the cache",
                hint=f"build it with `{component.build_command(needed)}`",
            )
        images.append(image)
    return tuple(images)


def require_kernel(lab_dir: LabDir) -> None:
    """Raise BadFile if containers on this host could not do what the lab file asks of their kernel."""
    is_here = labs.provider_of(lab_dir) is ProviderKind.DOCKER and labs.remote_of(lab_dir) is None
    if not (lab_dir.written.load_balancer.kube_vip.balancing and is_here) or _IPVS.exists():
        return
    raise BadFile(
        [
            _problem(
                lab_dir, "balancing", "needs IPVS, and the kernel of this host has not loaded it (ip_vs)"
            )
        ],
        hint="load it with `sudo modprobe ip_vs`, remove this setting, or write `provider: libvirt`",
    )


def _problem(lab_dir: LabDir, setting: str, what: str) -> Problem:
    """A problem of a setting of kube-vip, with its line."""
    source = yaml_source.parse(lab_dir.content.decode("utf-8-sig"), str(lab_dir.file))
    return source.problem(("load_balancer", "kube_vip", setting), what)
