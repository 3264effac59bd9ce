"""Boxes: a root file system with an init system, the load balancers and a bundle inside, cached by content."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from halab import data, process, templates
from halab.config import box as recipes
from halab.config.box import Recipe
from halab.config.kubernetes import BundleSource, Release
from halab.config.lab import ProviderKind, is_stock
from halab.errors import CommandFailed, Corrupted, HostProblem
from halab.images import bundle as bundles
from halab.images import cache, debian, disk, rootfs, user_namespace
from halab.images.bundle import Bundle
from halab.progress import Progress

# Increased when this module records something else about a box.
FORMAT = 1
_NOTED = "box.json"
_BUILD_SECONDS = 3600
PROVIDERS = (ProviderKind.DOCKER, ProviderKind.LIBVIRT)
# The file that a provider's machines start from: a tar of the root file system, or a box for `vagrant box add`.
_FILES = {ProviderKind.DOCKER: "root.tar", ProviderKind.LIBVIRT: "libvirt.box"}
# For the root file system and the file that is made from it. Measured with Kubernetes 1.37.2: 2.4 GB and 4.3 GB.
SPACE_BYTES = {ProviderKind.DOCKER: 4 << 30, ProviderKind.LIBVIRT: 6 << 30}


@dataclass(frozen=True)
class Box:
    """A built box."""

    name: str
    key: str
    path: Path
    provider: ProviderKind = ProviderKind.DOCKER

    @property
    def file(self) -> Path:
        return self.path / _FILES[self.provider]

    @property
    def size_bytes(self) -> int:
        return self.file.stat().st_size

    @property
    def kubernetes(self) -> str:
        """The version of the bundle inside."""
        return self._noted("kubernetes")["kubernetes"]

    @property
    def base(self) -> str:
        """What machines start from: the name of its docker image, or its name at Vagrant."""
        return base_name(self.name, self.key, self.provider)

    def require_as_built(self) -> None:
        """Raise Corrupted if the file has changed since it was built. Reading a GB takes 1 to 3 s."""
        noted = self._noted("kubernetes", "source", "sha256")
        words = _build_words(self.name, self.provider, noted["kubernetes"], noted["source"])
        if cache.sha256(self.file) != noted["sha256"]:
            raise Corrupted(
                f"checksum mismatch: the box changed since it was built: {self.file}",
                hint=f"build it again: {' '.join([*words, '--force'])}",
            )

    def _noted(self, *names: str) -> dict[str, str]:
        """What was recorded about it when it was built, by name. Raises Corrupted if that is missing."""
        path = self.path / _NOTED
        try:
            noted = json.loads(path.read_text())
            return {name: str(noted[name]) for name in names}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise Corrupted(
                f"the record of a box is missing or broken: {path}",
                hint=f"remove the box, and halab builds it again: sudo rm -r {shlex.quote(str(self.path))}",
            ) from error


def base_name(name: str, key: str, provider: ProviderKind) -> str:
    """The name of a box at its provider. A docker image has a tag; a box that is added from a file has no version."""
    return f"halab/{name}:{key}" if provider is ProviderKind.DOCKER else f"halab/{name}-{key}"


def key(name: str, bundle_key: str, provider: ProviderKind = ProviderKind.DOCKER) -> str:
    """A short hash of everything that the box is made of: known before it is built."""
    inputs: dict[str, object] = {
        "format": [rootfs.FORMAT, FORMAT],
        "recipe": (data.boxes() / f"{name}.yml").read_text(),
        "tree": templates.fingerprint("box"),
        "bundle": bundle_key,
    }
    if provider is ProviderKind.LIBVIRT:
        inputs["disk"] = [disk.FORMAT, templates.fingerprint(disk.TEMPLATES)]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]


def find(name: str, bundle_key: str, provider: ProviderKind = ProviderKind.DOCKER) -> Box | None:
    recipes.recipe(name)
    box = _box(name, bundle_key, provider)
    return box if box.file.is_file() else None


def installed() -> list[Box]:
    """The boxes in the cache."""
    boxes = []
    for path in sorted((cache.folder() / "boxes").glob("*/")):
        name, _, box_key = path.name.rpartition("-")
        boxes += [
            Box(name, box_key, path, provider) for provider in _FILES if (path / _FILES[provider]).is_file()
        ]
    return boxes


def ensure(
    name: str,
    bundle: Bundle,
    progress: Progress,
    *,
    provider: ProviderKind = ProviderKind.DOCKER,
    force: bool = False,
) -> Box:
    """The box of that name with this bundle inside: from the cache, or built."""
    recipe = recipes.recipe(name)
    box = _box(name, bundle.key, provider)
    if os.geteuid() != 0:
        return _ensure_as_user(box, recipe, bundle, progress, force=force)
    with cache.locked(f"box-{box.path.name}", progress):
        if force or not box.file.is_file():
            require_tools(provider)
            cache.need_space(cache.folder(), SPACE_BYTES[provider])
            with cache.replacing(box.path) as folder:
                _build(recipe, bundle, folder, provider, progress)
    return box


def _ensure_as_user(box: Box, recipe: Recipe, bundle: Bundle, progress: Progress, *, force: bool) -> Box:
    """Let root of a user namespace build it. The packages come first, because mmdebstrap makes its own namespace."""
    if box.file.is_file() and not force:
        return box
    if problem := obstacle(box.name, box.provider, bundle.manifest.kubernetes, bundle.manifest.source):
        raise problem
    cache.need_space(cache.folder(), SPACE_BYTES[box.provider])
    rootfs.base(_for_provider(recipe, box.provider), progress)
    words = _build_words(box.name, box.provider, bundle.manifest.kubernetes, bundle.manifest.source)
    with progress.step("build the box in a user namespace", limit_seconds=_BUILD_SECONDS) as step:
        try:
            user_namespace.run(
                [sys.executable, "-m", *words, *(["--force"] if force else [])],
                step,
                env={"HALAB_CACHE": str(cache.folder()), **process.same_modules()},
                limit_seconds=_BUILD_SECONDS,
            )
        except CommandFailed as error:
            # the last lines of the child: its progress, then its error
            _, _, said = error.output.rpartition("error: ")
            raise HostProblem(
                f"the box could not be built in a user namespace: {said}",
                hint=f"run it once as root: {process.as_root(' '.join(words))}",
            ) from error
    return box


def obstacle(name: str, provider: ProviderKind, kubernetes: str, source: str) -> HostProblem | None:
    """Why this user cannot build a box on this host; None if they can. The hint has the command for this box."""
    try:
        require_tools(provider)
    except HostProblem as problem:
        return problem
    if os.geteuid() == 0:
        return None
    return user_namespace.required_for(" ".join(_build_words(name, provider, kubernetes, source)))


def require_tools(provider: ProviderKind) -> None:
    """HostProblem if this host lacks what builds a box for this provider, apart from permissions."""
    debian.mmdebstrap()
    if provider is ProviderKind.LIBVIRT:
        disk.boot_packages(cache.architecture())
        disk.require_tools()


def _build_words(name: str, provider: ProviderKind, kubernetes: str, source: str) -> list[str]:
    return [
        "halab", "box", "build", name, "--provider", provider, "--kubernetes", kubernetes, "--source", source,
    ]  # fmt: skip


def _build(recipe: Recipe, bundle: Bundle, folder: Path, provider: ProviderKind, progress: Progress) -> None:
    # beside the result: the next build of the same box removes the tree of a killed build
    root = folder / "tree"
    rootfs.build(_for_provider(recipe, provider), bundle, root, progress)
    result = folder / _FILES[provider]
    if provider is ProviderKind.LIBVIRT:
        disk.prepare(root)
        disk.pack(root, recipe.libvirt.disk, result, progress)
    else:
        _pack(root, result, progress)
    shutil.rmtree(root)
    contents = {
        "bundle": bundle.key,
        "kubernetes": bundle.manifest.kubernetes,
        "source": bundle.manifest.source,
        "sha256": cache.sha256(result),
        "provider": provider,
        "recipe": recipe.model_dump(),
    }
    (folder / _NOTED).write_text(json.dumps(contents, indent=2) + "\n")


def _for_provider(recipe: Recipe, provider: ProviderKind) -> Recipe:
    merged = recipe.for_provider(provider)
    if provider is ProviderKind.LIBVIRT:
        boot = disk.boot_packages(cache.architecture())
        return merged.model_copy(update={"packages": (*merged.packages, *boot)})
    return merged


def _pack(root: Path, packed: Path, progress: Progress) -> None:
    with progress.step("pack the box", limit_seconds=120):
        process.run(
            ["tar", "-C", root, "--numeric-owner", "--sort=name", "--xattrs", "-cf", packed, "."],
            timeout_seconds=600,
        )


def _box(name: str, bundle_key: str, provider: ProviderKind) -> Box:
    box_key = key(name, bundle_key, provider)
    return Box(name, box_key, cache.folder() / "boxes" / f"{name}-{box_key}", provider)


def expected_base(name: str, release: Release, source: BundleSource, provider: ProviderKind) -> str:
    """What a lab's machines will start from; its name has no key before the bundle is built."""
    if is_stock(name):
        return name
    cached = bundles.find(release, source)
    return base_name(name, key(name, cached.key, provider), provider) if cached else f"halab/{name}"


def for_lab(
    name: str,
    release: Release,
    source: BundleSource,
    progress: Progress,
    provider: ProviderKind = ProviderKind.DOCKER,
) -> Box:
    """The box that a lab needs: from the cache, or else bundle and box are built."""
    cached = bundles.find(release, source)
    if cached and (box := find(name, cached.key, provider)):
        return box
    return ensure(name, cached or bundles.ensure(release, source, progress), progress, provider=provider)
