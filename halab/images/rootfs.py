"""The root file system of a box: a distribution's packages, our files and the bundle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from halab import data, process
from halab.config.box import Recipe
from halab.images import cache
from halab.images.bundle import Bundle
from halab.images.containerd_store import store_images
from halab.images.debian import mmdebstrap
from halab.progress import Progress

# Increased when this module makes other files from the same inputs.
FORMAT = 2
_PACKED = "root.tar"
# A slow line to the mirror, or a busy host, may need most of it.
_PACKAGES_SECONDS = 1800


def build(recipe: Recipe, bundle: Bundle, tree: Path, progress: Progress) -> None:
    """Fill a folder with the root file system of a recipe, which its provider's part is merged into."""
    packed = base(recipe, progress)
    tree.mkdir()
    with progress.step("fill the box", limit_seconds=120):
        # every machine makes its own devices, and root of a user namespace cannot
        process.run(
            ["tar", "-C", tree, "--numeric-owner", "--exclude=./dev/*", "-xpf", packed], timeout_seconds=1800
        )
        bundle.verify()
        _install(recipe, bundle, tree)
    with progress.step("unpack the images", limit_seconds=300) as step:
        store_images(bundle, tree, step)


def add_templates(folder: str, tree: Path) -> None:
    """Add our own files, owned by root. Their modes are set here: in a checkout they depend on the user's umask."""
    source = data.templates() / folder
    shutil.copytree(source, tree, dirs_exist_ok=True)
    for path in source.rglob("*"):
        target = tree / path.relative_to(source)
        if path.is_dir():
            target.chmod(0o755)
        else:
            target.chmod(0o755 if target.read_bytes().startswith(b"#!") else 0o644)
        os.chown(target, 0, 0)


def run_inside(tree: Path, argv: Sequence[str]) -> None:
    process.run(["chroot", tree, *argv], timeout_seconds=300)


def base(recipe: Recipe, progress: Progress) -> Path:
    """A tar with the distribution's packages alone: the boxes of all bundles share it."""
    digest = hashlib.sha256(
        json.dumps([FORMAT, recipe.suite, sorted(recipe.packages)]).encode()
    ).hexdigest()[:12]
    path = cache.folder() / "bases" / f"{recipe.suite}-{cache.architecture()}-{digest}"
    with cache.locked(f"base-{path.name}", progress):
        if not (path / _PACKED).is_file():
            with (
                progress.step(
                    f"install {len(recipe.packages)} packages of {recipe.suite}",
                    limit_seconds=_PACKAGES_SECONDS,
                ),
                cache.replacing(path) as folder,
            ):
                _mmdebstrap(recipe, folder / _PACKED)
    return path / _PACKED


def _mmdebstrap(recipe: Recipe, tar: Path) -> None:
    process.run(
        [*mmdebstrap(), "--variant=minbase", f"--include={','.join(recipe.packages)}",
         # documentation is a tenth of the files, and nobody reads it in a lab
         "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
         "--dpkgopt=path-exclude=/usr/share/locale/*", recipe.suite, tar],
        timeout_seconds=_PACKAGES_SECONDS, log=tar.parent / "mmdebstrap.log",
    )  # fmt: skip


def _install(recipe: Recipe, bundle: Bundle, tree: Path) -> None:
    """Add our files, the bundle's binaries, the user and the services."""
    add_templates("box", tree)
    (tree / "etc/sudoers.d/vagrant").chmod(0o440)
    for binary in bundle.binaries():
        target = tree / "usr/local/bin" / binary.name
        shutil.copyfile(binary, target)
        target.chmod(0o755)
    run_inside(tree, ["useradd", "--create-home", "--shell", "/bin/bash", "vagrant"])
    for verb, units in (("enable", recipe.enable), ("disable", recipe.disable), ("mask", recipe.mask)):
        if units:
            run_inside(tree, ["systemctl", verb, *units])
    for path in (tree / "etc/ssh").glob("ssh_host_*"):
        path.unlink()
    # Every machine gets its own id at its first start; with "uninitialized", systemd would ask questions at a console.
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hostname").unlink(missing_ok=True)
