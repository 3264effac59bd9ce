"""`halab bundle`: the Kubernetes versions that labs run."""

from __future__ import annotations

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
    "--component", metavar="NAME[@VERSION]", help="Build only this extra image. The only one is kube-vip."
)
def build(version: str | None, source: str, force: bool, component: str | None) -> None:
    """Build a bundle, store it in the cache and print its path.

    \b
    Example:
      halab bundle build --kubernetes 1.36 --source modules
      halab bundle build --component kube-vip
    """
    from halab.cli.console import progress
    from halab.config import kubernetes
    from halab.images import bundle
    from halab.images import component as components

    if component:
        if version or source != "auto":
            raise click.UsageError("--component takes neither --kubernetes nor --source")
        image = components.ensure(components.named(component), progress(), force=force)
        echo_raw(image.path)
        return
    release = kubernetes.resolve(version or kubernetes.DEFAULT)
    built = bundle.ensure(release, kubernetes.BundleSource(source), progress(), force=force)
    echo_raw(built.path)


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
