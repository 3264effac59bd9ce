"""Debian packages for the image of kube-proxy that halab builds: the programs that it runs, and their libraries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from halab import packages, process
from halab.errors import HostProblem
from halab.images import user_namespace

SUITE = "bookworm"
PROXY_PACKAGES = ("conntrack", "kmod", "nftables")


# mmdebstrap takes the keys from there. Debian has them; Ubuntu and others have a package of them.
_KEYS = [Path(f"/usr/share/keyrings/debian-archive-keyring.{end}") for end in ("gpg", "pgp")]


def mmdebstrap() -> list[str]:
    """mmdebstrap with its mode: root needs none, others are root of a user namespace.

    HostProblem if it or the keys of Debian's archive are missing on this host.
    """
    program = process.find("mmdebstrap", hint=packages.install("mmdebstrap", "debian-archive-keyring"))
    if not any(path.exists() for path in _KEYS):
        raise HostProblem(
            f"the keys of Debian's packages are missing: {_KEYS[0]}",
            hint=packages.install("debian-archive-keyring"),
        )
    return [program] if os.geteuid() == 0 else [program, "--mode=unshare"]


def obstacle() -> HostProblem | None:
    """Why Debian packages cannot be unpacked on this host; None if they can."""
    try:
        mmdebstrap()
    except HostProblem as problem:
        return problem
    return user_namespace.required_for("halab bundle build") if os.geteuid() != 0 else None


def proxy_base(target: Path) -> Sequence[str]:
    """Make a tar of packages that are unpacked and not configured: enough for nft, conntrack and modprobe."""
    excluded = [
        f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "bug", "lintian")
    ]
    process.run(
        [*mmdebstrap(), "--variant=extract",
         f"--include={','.join(PROXY_PACKAGES)}", *excluded,
         # a container gets its own devices, and nobody installs packages into it
         "--skip=output/dev", '--customize-hook=rm -rf "$1"/var/lib/apt "$1"/var/cache "$1"/var/log',
         SUITE, target],
        timeout_seconds=900, env={"SOURCE_DATE_EPOCH": "0"},
    )  # fmt: skip
    return [f"Debian {SUITE}: {' '.join(PROXY_PACKAGES)}"]
