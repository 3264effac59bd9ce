"""`halab bundle`: the Kubernetes versions that labs run."""

from __future__ import annotations

from pathlib import Path

import click

from halab.cli.console import echo_raw
from halab.cli.options import CommandGroup, json_option, print_json


@click.group("bundle", cls=CommandGroup)
def bundle_command() -> None:
    """Build and list bundles, the binaries and images of one Kubernetes version."""


@bundle_command.command("build")
@click.option(
    "--kubernetes", "version", default=None, help="Use this Kubernetes version: a minor, a patch or latest."
)
@click.option(
    "--source", default="auto", type=click.Choice(["auto", "release", "modules"]), show_default=True,
    help="Use official files (release) or build from Go modules.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Rebuild the bundle even if it is in the cache.")
@click.option(
    "--component", metavar="NAME[@VERSION]",
    help="Build only the image of this component: kube-vip, etcd, coredns, kube-apiserver, kube-controller-manager or "
    "kube-scheduler.",
)  # fmt: skip
@click.option(
    "-f", "--file", "file", type=click.Path(path_type=Path),
    help="Build what this lab file needs: a bundle, and images of components.",
)  # fmt: skip
def build(version: str | None, source: str, force: bool, component: str | None, file: Path | None) -> None:
    """Build a bundle, store it in the cache and print its path.

    With `-f`, first show which parts are in the cache, and how long it takes to build the others.

    \b
    Example:
      halab bundle build --kubernetes 1.36 --source modules
      halab bundle build --component etcd@3.6.8
      halab bundle build -f lab.yml
    """
    from halab.cli.console import progress
    from halab.config import kubernetes
    from halab.images import bundle
    from halab.images import component as components

    if file:
        if version or source != "auto" or component:
            raise click.UsageError("--file takes neither --kubernetes nor --source nor --component")
        _build_for(file, force=force)
        return
    if component:
        if version or source != "auto":
            raise click.UsageError("--component takes neither --kubernetes nor --source")
        image = components.ensure(components.named(component), progress(), force=force)
        echo_raw(image.path)
        return
    release = kubernetes.resolve(version or kubernetes.DEFAULT)
    built = bundle.ensure(release, kubernetes.BundleSource(source), progress(), force=force)
    echo_raw(built.path)


def _build_for(file: Path, *, force: bool) -> None:
    """Say what a lab file needs and what of it is missing, build that, and print the paths."""
    from halab.cli.console import progress
    from halab.images import bundle
    from halab.images import component as images
    from halab.lifecycle import components
    from halab.lifecycle import lab as labs

    shown, lab_dir = progress(), labs.open_file(file, reads_own_files=False)
    release, source = labs.base_release(lab_dir), lab_dir.written.kubernetes.source
    cached, missing = "in the cache", "download it, or build it with Go in 10 to 15 min"
    is_cached = not force and bundle.find(release, source) is not None
    shown.say(f"Kubernetes {release.kubernetes}: {cached if is_cached else missing}")
    for wanted in components.needed(lab_dir):
        is_cached = not force and images.find(wanted) is not None
        shown.say(f"{wanted}: {cached if is_cached else f'build it with Go, {wanted.minutes}'}")
    echo_raw(bundle.ensure(release, source, shown, force=force).path)
    for image in components.ensure(lab_dir, shown, force=force):
        echo_raw(image.archive.path)


@bundle_command.command("list")
@json_option
def list_bundles(as_json: bool) -> None:
    """List the bundles in the cache.

    \b
    Example:
      halab bundle list
    """
    from halab.cli.console import table
    from halab.images import bundle, cache

    installed = bundle.installed()
    if as_json:
        print_json(
            [{"path": str(built.path), **built.manifest.model_dump(mode="json")} for built in installed]
        )
        return
    table(
        ["KUBERNETES", "SOURCE", "ARCHITECTURE", "KEY", "SIZE", "PATH"],
        [(built.manifest.kubernetes, built.manifest.source, built.manifest.architecture, built.key,
          cache.in_words(built.size_bytes), built.path) for built in installed],
    )  # fmt: skip
