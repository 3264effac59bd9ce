"""Boxes: a root tree with an init system, the load balancers and the bundle inside, cached by content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from halab import data, process
from halab.config import box as recipes
from halab.config.box import Recipe
from halab.config.kubernetes import Release, Source
from halab.errors import HostProblem
from halab.images import bundle as bundles
from halab.images import cache
from halab.images.bundle import Bundle
from halab.images.content import store_images
from halab.progress import Progress
from halab.topology import render

# Raised when this module makes another tree from the same inputs.
_FORMAT = 2
_ROOT_TREE = "root.tar"
# The tree, its tar and the images' content, measured 2.4 GB with Kubernetes 1.37.2.
_SPACE_BYTES = 4 << 30


@dataclass(frozen=True)
class Box:
    """A built box. `image` is the name of the docker image that is made of it."""

    name: str
    key: str
    path: Path

    @property
    def root_tree(self) -> Path:
        """A tar of the whole root file system."""
        return self.path / _ROOT_TREE

    @property
    def size_bytes(self) -> int:
        return self.root_tree.stat().st_size

    @property
    def kubernetes(self) -> str:
        """The version of the bundle inside."""
        return str(json.loads((self.path / "box.json").read_text())["kubernetes"])

    @property
    def image(self) -> str:
        return image_name(self.name, self.key)


def image_name(name: str, key: str) -> str:
    return f"halab/{name}:{key}"


def key(name: str, bundle_key: str) -> str:
    """What the box is made of, as a short hash: known before it is built."""
    made_of = {
        "format": _FORMAT,
        "recipe": (data.boxes() / f"{name}.yml").read_text(),
        "tree": render.fingerprint("box"),
        "bundle": bundle_key,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]


def find(name: str, bundle_key: str) -> Box | None:
    recipes.recipe(name)
    box = Box(name, key(name, bundle_key), _folder(name, key(name, bundle_key)))
    return box if box.root_tree.is_file() else None


def installed() -> list[Box]:
    """The boxes in the cache."""
    found = []
    for path in sorted((cache.folder() / "boxes").glob("*/" + _ROOT_TREE)):
        name, _, box_key = path.parent.name.rpartition("-")
        found.append(Box(name, box_key, path.parent))
    return found


def ensure(name: str, bundle: Bundle, progress: Progress, *, force: bool = False) -> Box:
    """The box of that name with this bundle inside: from the cache, or built."""
    recipe = recipes.recipe(name)
    path = _folder(name, key(name, bundle.key))
    box = Box(name, key(name, bundle.key), path)
    with cache.locked(f"box-{path.name}", progress):
        if force or not box.root_tree.is_file():
            _require_tools()
            cache.need_space(cache.folder(), _SPACE_BYTES)
            with cache.replacing(path) as folder:
                _build(recipe, bundle, folder, progress)
    return box


def _build(recipe: Recipe, bundle: Bundle, folder: Path, progress: Progress) -> None:
    base = _base(recipe, progress)
    # beside the result: a killed build's tree goes with the next build of the same box
    tree = folder / "tree"
    tree.mkdir()
    with progress.step("fill the box", limit_seconds=120):
        process.run(["tar", "-C", tree, "--numeric-owner", "-xpf", base], timeout_seconds=300)
        bundle.verify()
        _install(recipe, bundle, tree)
    with progress.step("unpack the images", limit_seconds=300):
        store_images(bundle, tree)
    with progress.step("pack the box", limit_seconds=120):
        packed = folder / _ROOT_TREE
        process.run(
            ["tar", "-C", tree, "--numeric-owner", "--sort=name", "--xattrs", "-cf", packed, "."],
            timeout_seconds=600,
        )
    shutil.rmtree(tree)
    contents = {
        "bundle": bundle.key,
        "kubernetes": bundle.manifest.kubernetes,
        "recipe": recipe.model_dump(),
    }
    (folder / "box.json").write_text(json.dumps(contents, indent=2) + "\n")


def _base(recipe: Recipe, progress: Progress) -> Path:
    """The distribution's packages alone: shared by the boxes of all bundles."""
    digest = hashlib.sha256(
        json.dumps([_FORMAT, recipe.suite, sorted(recipe.packages)]).encode()
    ).hexdigest()[:12]
    path = cache.folder() / "bases" / f"{recipe.suite}-{cache.architecture()}-{digest}"
    with cache.locked(f"base-{path.name}", progress):
        if not (path / _ROOT_TREE).is_file():
            with (
                progress.step(
                    f"install {len(recipe.packages)} packages of {recipe.suite}", limit_seconds=600
                ),
                cache.replacing(path) as folder,
            ):
                _mmdebstrap(recipe, folder / _ROOT_TREE)
    return path / _ROOT_TREE


def _mmdebstrap(recipe: Recipe, tar: Path) -> None:
    process.run(
        ["mmdebstrap", "--variant=minbase", f"--include={','.join(recipe.packages)}",
         # documentation is a tenth of the tree, and nobody reads it in a lab
         "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
         "--dpkgopt=path-exclude=/usr/share/locale/*", recipe.suite, tar],
        timeout_seconds=1800, log=tar.parent / "mmdebstrap.log",
    )  # fmt: skip


def _install(recipe: Recipe, bundle: Bundle, tree: Path) -> None:
    """Our files, the bundle's binaries, the user and the services."""
    shutil.copytree(data.templates() / "box", tree, dirs_exist_ok=True)
    _modes(tree)
    for binary in bundle.binaries():
        target = tree / "usr/local/bin" / binary.name
        shutil.copyfile(binary, target)
        target.chmod(0o755)
    _in_tree(tree, ["useradd", "--create-home", "--shell", "/bin/bash", "vagrant"])
    for verb, units in (("enable", recipe.enable), ("disable", recipe.disable), ("mask", recipe.mask)):
        if units:
            _in_tree(tree, ["systemctl", verb, *units])
    for path in (tree / "etc/ssh").glob("ssh_host_*"):
        path.unlink()
    # Every machine gets an id of its own at its first start; "uninitialized" would ask questions at a console.
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hostname").unlink(missing_ok=True)


def _modes(tree: Path) -> None:
    """A checkout's modes depend on the umask of whoever cloned it: here they are said."""
    source = data.templates() / "box"
    for path in source.rglob("*"):
        target = tree / path.relative_to(source)
        if path.is_dir():
            target.chmod(0o755)
        else:
            target.chmod(0o755 if target.read_bytes().startswith(b"#!") else 0o644)
        os.chown(target, 0, 0)
    (tree / "etc/sudoers.d/vagrant").chmod(0o440)


def _in_tree(tree: Path, argv: Sequence[str]) -> None:
    process.run(["chroot", tree, *argv], timeout_seconds=60)


def _require_tools() -> None:
    process.find("mmdebstrap", hint="sudo apt-get install mmdebstrap")
    if os.geteuid() != 0:
        raise HostProblem("building a box needs root", hint="run it once as root: sudo -E halab box build")


def _folder(name: str, box_key: str) -> Path:
    return cache.folder() / "boxes" / f"{name}-{box_key}"


def expected_image(name: str, release: Release, source: Source) -> str:
    """The docker image that a lab will be made of; without a key as long as its bundle is not built."""
    cached = bundles.find(release, source)
    return image_name(name, key(name, cached.key)) if cached else f"halab/{name}"


def for_lab(name: str, release: Release, source: Source, progress: Progress) -> Box:
    """The box that a lab needs: the cached one where there is one, else bundle and box are built."""
    cached = bundles.find(release, source)
    if cached and (box := find(name, cached.key)):
        return box
    return ensure(name, cached or bundles.ensure(release, source, progress), progress)
