"""Commands that put a host right, as this host wants them."""

from __future__ import annotations

import re
import sys

from halab.doctor.host import Host


def as_root(host: Host, command: str) -> str:
    return command if host.is_root else f"sudo {command}"


def as_root_with_environment(host: Host, command: str) -> str:
    """With the user's proxies and cache folder. sudo has a path of its own, without the user's environments."""
    name, rest = command.split(" ", 1)
    return command if host.is_root else f'sudo -E "$(command -v {name})" {rest}'


def install(host: Host, *packages: str) -> str:
    """By Debian's names, which elsewhere are a good start for a search."""
    names = " ".join(packages)
    if host.tool("apt-get"):
        return as_root(host, f"apt-get install -y --no-install-recommends {names}")
    return f"install with the package manager of this host: {names}"


def install_python(requirement: str) -> str:
    """Into the environment that halab itself runs in."""
    *options, last = requirement.split(" ")
    return " ".join([sys.executable, "-m pip install", *options, f"'{last}'"])


def join_group(host: Host, group: str) -> str:
    """For somebody who is in it already, a new login is enough."""
    line = re.search(rf"^{group}:[^:]*:[^:]*:(.*)$", host.text("/etc/group") or "", re.MULTILINE)
    if line and host.user in line[1].split(",") and group not in host.groups:
        return f"newgrp {group}  # or log in again: you joined the group after this login"
    return f"sudo usermod -aG {group} {host.user}  # then log in again"


def sysctl(host: Host, setting: str, value: int) -> str:
    """Now, and after every boot."""
    keep = as_root(host, "tee -a /etc/sysctl.d/60-halab.conf")
    return f"{as_root(host, f'sysctl -w {setting}={value}')} | {keep}"
