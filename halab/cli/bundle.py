"""`halab bundle`: the Kubernetes that labs run."""

from __future__ import annotations

import click

from halab.cli.console import echo_as_it_is
from halab.cli.lab import json_option, print_json


@click.group("bundle")
def bundle_command() -> None:
    """The Kubernetes that labs run: binaries and images of one version, with checksums."""


@bundle_command.command("build")
@click.option("--kubernetes", "version", default=None, help="A version: a minor, a patch, or latest.")
@click.option(
    "--source", default="auto", type=click.Choice(["auto", "release", "modules"]), show_default=True,
    help="Official files, or built here from Go modules.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Make it even if it is in the cache.")
def build(version: str | None, source: str, force: bool) -> None:
    """Put a bundle into the cache, and print where it is.

    \b
    Example:
      halab bundle build --kubernetes 1.36 --source modules
    """
    from halab.cli.console import progress
    from halab.config import kubernetes
    from halab.images import bundle

    release = kubernetes.resolve(version or kubernetes.DEFAULT)
    made = bundle.ensure(release, kubernetes.BundleSource(source), progress(), force=force)
    echo_as_it_is(made.path)


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

    bundles = bundle.installed()
    if as_json:
        print_json([{"path": str(each.path), **each.manifest.model_dump(mode="json")} for each in bundles])
        return
    table(
        ["KUBERNETES", "SOURCE", "ARCHITECTURE", "KEY", "SIZE", "PATH"],
        [(each.manifest.kubernetes, each.manifest.source, each.manifest.architecture, each.key,
          cache.in_words(each.size_bytes), each.path) for each in bundles],
    )  # fmt: skip
