"""Where the programs of a component are in its image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from halab.images.image_tar import Contents

_BIN = "/usr/local/bin"
# Their manifests have arguments only; the image starts the program, which is in the root folder.
_WITH_ENTRYPOINT = frozenset({"coredns", "kube-vip", "pause"})
_TOOLS = {"etcd": ("etcdctl", "etcdutl")}


def tools_of(component: str) -> tuple[str, ...]:
    """The programs that the image of a component has beside the one with its name."""
    return _TOOLS.get(component, ())


def contents(component: str, programs: Mapping[str, Path], base: Path | None = None) -> Contents:
    """The image of a component from its programs (name → file), on top of a base layer if there is one."""
    has_entrypoint = component in _WITH_ENTRYPOINT
    folder = "" if has_entrypoint else _BIN
    files = {f"{folder}/{name}": path for name, path in programs.items()}
    return Contents(files, entrypoint=[f"/{component}"] if has_entrypoint else [], base=base)
