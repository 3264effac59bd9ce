"""`halab box`: the base images that machines start from."""

from __future__ import annotations

import click

from halab.cli.console import echo_raw
from halab.cli.options import CommandGroup, json_option, print_json


@click.group("box", cls=CommandGroup)
def box_command() -> None:
    """Build and list boxes, the base images that machines start from."""


@box_command.command("build")
@click.argument("name", default="debian-12")
@click.option(
    "--kubernetes", "version", default=None, help="Use this Kubernetes version: a minor, a patch or latest."
)
@click.option(
    "--source", default="auto", type=click.Choice(["auto", "release", "modules"]), show_default=True,
    help="Use official files (release) or build from Go modules.",
)  # fmt: skip
@click.option(
    "--provider", default="docker", type=click.Choice(["docker", "libvirt"]), show_default=True,
    help="Build for the machines of this provider.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Rebuild the box even if it is in the cache.")
def build(name: str, version: str | None, source: str, provider: str, force: bool) -> None:
    """Build a box and its bundle and store them in the cache.

    NAME is one of halab's own boxes; the only one is debian-12. The lab file is not read. Without --kubernetes, the box
    has the version of Kubernetes that halab uses by default.

    \b
    Example:
      halab box build --kubernetes 1.36
      halab box build --provider libvirt
    """
    from halab.cli.console import progress
    from halab.config import kubernetes
    from halab.config.box import recipe
    from halab.config.lab import ProviderKind
    from halab.images import box, bundle

    recipe(name)  # an unknown name is reported before a bundle is built
    show = progress()
    release = kubernetes.resolve(version or kubernetes.DEFAULT)
    payload = bundle.ensure(release, kubernetes.BundleSource(source), show)
    built = box.ensure(name, payload, show, provider=ProviderKind(provider), force=force)
    echo_raw(built.path)


@box_command.command("list")
@json_option
def list_boxes(as_json: bool) -> None:
    """List the boxes in the cache.

    \b
    Example:
      halab box list
    """
    from halab.cli.console import table
    from halab.images import box

    installed = box.installed()
    if as_json:
        print_json([
            {"name": built.name, "key": built.key, "provider": str(built.provider), "kubernetes": built.kubernetes,
             "path": str(built.path)}
            for built in installed
        ])  # fmt: skip
    else:
        rows = [
            (
                built.name,
                built.key,
                built.provider,
                built.kubernetes,
                f"{built.size_bytes / 1e6:.0f} MB",
                built.path,
            )
            for built in installed
        ]
        table(["NAME", "KEY", "PROVIDER", "KUBERNETES", "SIZE", "PATH"], rows)
