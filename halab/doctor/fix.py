"""Commands that fix a host, in the form that this host needs."""

from __future__ import annotations

import re
import sys

from halab import packages, process
from halab.doctor.host import Files, Host, System
from halab.packages import Distribution


def as_root(system: System, command: str) -> str:
    return command if system.is_root else f"sudo {command}"


def as_root_with_environment(system: System, command: str) -> str:
    """Keep the user's home, programs, proxies and cache folder."""
    return command if system.is_root else process.as_root(command, system.variable)


def install(host: Host, *names: str, then: str = "") -> str:
    """Install packages, which have Debian's names here, with the package manager of this host."""
    return distribution(host).install(*names, as_root=host.is_root, then=then)


def distribution(files: Files) -> Distribution:
    return packages.distribution(files.text(packages.OS_RELEASE) or "")


def install_python(requirement: str) -> str:
    """Install into the environment that halab itself runs in."""
    *options, last = requirement.split(" ")
    return " ".join([sys.executable, "-m pip install", *options, f"'{last}'"])


def join_group(host: Host, group: str) -> str:
    """If the user is already a member, a new login is enough."""
    entry = re.search(rf"^{group}:[^:]*:[^:]*:(.*)$", host.text("/etc/group") or "", re.MULTILINE)
    if entry and host.user in entry[1].split(",") and group not in host.groups:
        return f"newgrp {group}  # or log in again: you joined the group after this login"
    return f"sudo usermod -aG {group} {host.user}  # then log in again"


def sysctl(system: System, setting: str, value: int) -> str:
    """Set it now and after every boot."""
    save = as_root(system, "tee -a /etc/sysctl.d/60-halab.conf")
    return f"{as_root(system, f'sysctl -w {setting}={value}')} | {save}"
