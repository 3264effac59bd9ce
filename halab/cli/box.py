"""`halab box`: the base that machines start from."""

from __future__ import annotations

import click

from halab.cli.console import echo_as_it_is
from halab.cli.lab import json_option, print_json


@click.group("box")
def box_command() -> None:
    """The base that machines start from: a distribution with Kubernetes inside."""


@box_command.command("build")
@click.argument("name", default="debian-12")
@click.option("--kubernetes", "version", default=None, help="A version: a minor, a patch, or latest.")
@click.option(
    "--source", default="auto", type=click.Choice(["auto", "release", "modules"]), show_default=True
)
@click.option(
    "--provider", default="docker", type=click.Choice(["docker", "libvirt"]), show_default=True,
    help="Whose machines start from it.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Build it even if it is in the cache.")
def build(name: str, version: str | None, source: str, provider: str, force: bool) -> None:
    """Build a box, with its bundle, into the cache.

    \b
    Example:
      sudo -E "$(command -v halab)" box build --kubernetes 1.36
      sudo -E "$(command -v halab)" box build --provider libvirt
    """
    from halab.cli.console import progress
    from halab.config import kubernetes
    from halab.config.lab import ProviderKind
    from halab.images import box, bundle

    show = progress()
    release = kubernetes.resolve(version or kubernetes.DEFAULT)
    payload = bundle.ensure(release, kubernetes.BundleSource(source), show)
    built = box.ensure(name, payload, show, provider=ProviderKind(provider), force=force)
    echo_as_it_is(built.path)


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

    boxes = box.installed()
    if as_json:
        print_json([
            {"name": each.name, "key": each.key, "provider": str(each.provider), "kubernetes": each.kubernetes,
             "path": str(each.path)}
            for each in boxes
        ])  # fmt: skip
    else:
        rows = [(each.name, each.key, each.provider, each.kubernetes, f"{each.size_bytes / 1e6:.0f} MB", each.path)
                for each in boxes]  # fmt: skip
        table(["NAME", "KEY", "PROVIDER", "KUBERNETES", "SIZE", "PATH"], rows)
