"""Commands that put a host right, as this host wants them."""

from __future__ import annotations

import sys

from halab.doctor.host import Host


def as_root(host: Host, command: str) -> str:
    return command if host.is_root else f"sudo {command}"


def as_root_with_environment(host: Host, command: str) -> str:
    """With the user's proxies and cache folder."""
    return command if host.is_root else f"sudo -E {command}"


def install(host: Host, *packages: str) -> str:
    """By Debian's names, which elsewhere are a good start for a search."""
    names = " ".join(packages)
    if host.tool("apt-get"):
        return as_root(host, f"apt-get install -y --no-install-recommends {names}")
    return f"install with the package manager of this host: {names}"


def install_python(requirement: str) -> str:
    """Into the environment that halab itself runs in."""
    return f"{sys.executable} -m pip install '{requirement}'"


def sysctl(host: Host, setting: str, value: int) -> str:
    """Now, and after every boot."""
    keep = as_root(host, "tee -a /etc/sysctl.d/60-halab.conf")
    return f"{as_root(host, f'sysctl -w {setting}={value}')} | {keep}"
