"""Commands that install packages on this host, for its distribution. Callers name packages as Debian does."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

OS_RELEASE = "/etc/os-release"


class Family(StrEnum):
    """Distributions that share a package manager and the names of packages."""

    DEBIAN = "debian"
    FEDORA = "fedora"
    ARCH = "arch"
    SUSE = "suse"


_INSTALL = {
    Family.DEBIAN: "apt-get install -y --no-install-recommends",
    Family.FEDORA: "dnf install -y",
    Family.ARCH: "pacman -S --needed --noconfirm",
    Family.SUSE: "zypper install --no-confirm",
}
# The values of ID and ID_LIKE in os-release.
_FAMILIES = {
    "debian": Family.DEBIAN,
    "ubuntu": Family.DEBIAN,
    "fedora": Family.FEDORA,
    "rhel": Family.FEDORA,
    "arch": Family.ARCH,
    "suse": Family.SUSE,
    "opensuse": Family.SUSE,
}
# What Debian's packages are called on Fedora, Arch and openSUSE. Packages that are not listed have the same name
# everywhere. None: there is no such package; empty: another package contains it. Nobody has tried these names. Some are
# from the installation guide of vagrant-libvirt and from libvirt's CI (lcitool/facts/mappings.yml), some from memory.
_NAMES: Mapping[str, tuple[str | None, str | None, str | None]] = {
    "build-essential": ("gcc make", "base-devel", "gcc make"),
    "dnsmasq-base": ("dnsmasq", "dnsmasq", "dnsmasq"),
    "docker.io": ("moby-engine docker-cli", "docker", "docker"),
    "fdisk": ("util-linux", "util-linux", "util-linux"),
    "iproute2": ("iproute", "iproute2", "iproute2"),
    "libvirt-daemon-system": ("libvirt", "libvirt", "libvirt"),
    "libvirt-dev": ("libvirt-devel", "libvirt", "libvirt-devel"),
    "openssh-client": ("openssh-clients", "openssh", "openssh-clients"),
    "pkg-config": ("pkgconf-pkg-config", "pkgconf", "pkgconf-pkg-config"),
    "python3-dev": ("python3-devel", "python", "python3-devel"),
    "python3.11-venv": ("", "", ""),
    "qemu-system-arm": ("qemu-system-aarch64", "qemu-system-aarch64", "qemu-arm"),
    "qemu-system-x86": ("qemu-system-x86", "qemu-system-x86", "qemu-x86"),
    "qemu-utils": ("qemu-img", "qemu-img", "qemu-img"),
    "uidmap": ("shadow-utils", "shadow", "shadow"),
    "vagrant": ("vagrant", "vagrant", None),
    "vagrant-libvirt": ("vagrant-libvirt", None, None),
}
_COLUMNS = {Family.FEDORA: 0, Family.ARCH: 1, Family.SUSE: 2}
# RHEL and its rebuilds have fewer packages than Fedora. Their qemu is /usr/libexec/qemu-kvm.
_NOT_IN_RHEL = {"docker.io", "qemu-system-arm", "qemu-system-x86", "vagrant", "vagrant-libvirt"}
# Ubuntu 22.04 has Vagrant 2.2.19, which is too old, and newer Ubuntus have none.
_NOT_IN_UBUNTU = {"vagrant", "vagrant-libvirt"}
# They build boxes, which are Debian's. halab supports that on Debian and Ubuntu only.
_OF_BOXES = {"mmdebstrap", "debian-archive-keyring"}
_SOURCES = {"vagrant": "https://developer.hashicorp.com/vagrant/install"}
BUILD_ELSEWHERE = (
    "build the box on Debian or Ubuntu, or in a container of Debian, with the same version of halab; then copy the "
    "folders `bundles` and `boxes` of its cache (~/.cache/halab) to the cache of this host"
)


@dataclass(frozen=True)
class Distribution:
    """A distribution as os-release describes it. `ids` has its own ID first, then what it is like."""

    ids: tuple[str, ...]
    name: str
    codename: str

    @property
    def family(self) -> Family | None:
        """None if halab does not know the distribution."""
        return next((_FAMILIES[name] for name in self.ids if name in _FAMILIES), None)

    @property
    def is_ubuntu(self) -> bool:
        return "ubuntu" in self.ids

    @property
    def is_rhel(self) -> bool:
        return "rhel" in self.ids

    def lacks(self, package: str) -> bool:
        """True if the distribution is known to have no such package."""
        return self._own_name(package) is None

    def install(self, *packages: str, as_root: bool, then: str = "") -> str:
        """A command that installs these packages, or what to do if that is not possible. `then` comes after it."""
        later, next_command = (f"; then: {then}", f" && {then}") if then else ("", "")
        if self.family is None:
            return f"install with the package manager of this host: {' '.join(packages)}{later}"
        if self.family is not Family.DEBIAN and _OF_BOXES.intersection(packages):
            return BUILD_ELSEWHERE
        missing = ", ".join(filter(self.lacks, packages))
        names = dict.fromkeys(
            name for package in packages for name in (self._own_name(package) or "").split()
        )
        if missing == "vagrant" and self.is_ubuntu:
            return _vagrant_of_hashicorp(self.codename, "" if as_root else "sudo ") + next_command
        if not names:
            source = ", ".join(_SOURCES.get(package, "elsewhere") for package in packages)
            return f"{self.name} has no package of {missing}: get it from {source}{later}"
        command = f"{'' if as_root else 'sudo '}{_INSTALL[self.family]} {' '.join(names)}{next_command}"
        return f"{command}  # {self.name} has no package of {missing}" if missing else command

    def _own_name(self, package: str) -> str | None:
        if package == "docker.io" and self.ids[0] == "debian" and self.codename != "bookworm":
            # since Debian 13 it only recommends the command, and `install` leaves out what is recommended
            return "docker.io docker-cli"
        if (self.is_rhel and package in _NOT_IN_RHEL) or (self.is_ubuntu and package in _NOT_IN_UBUNTU):
            return None
        if self.family not in _COLUMNS or package not in _NAMES:
            return package
        return _NAMES[package][_COLUMNS[self.family]]


def distribution(os_release: str) -> Distribution:
    """Parse the text of os-release: https://www.freedesktop.org/software/systemd/man/latest/os-release.html"""
    values = dict(_assignments(os_release))
    return Distribution(
        ids=(values.get("ID", ""), *values.get("ID_LIKE", "").split()),
        name=values.get("PRETTY_NAME") or values.get("NAME") or "this distribution",
        # Linux Mint and others name the Ubuntu that they are made from
        codename=values.get("UBUNTU_CODENAME") or values.get("VERSION_CODENAME", ""),
    )


def install(*packages: str, then: str = "") -> str:
    """A command that installs these packages on this host, for a hint."""
    return _here().install(*packages, as_root=os.geteuid() == 0, then=then)


@cache
def _here() -> Distribution:
    path = Path(OS_RELEASE)
    return distribution(path.read_text(errors="replace") if path.is_file() else "")


def _vagrant_of_hashicorp(codename: str, sudo: str) -> str:
    """The commands of https://developer.hashicorp.com/vagrant/install for apt, on one line."""
    key = "/usr/share/keyrings/hashicorp-archive-keyring.gpg"
    server = "https://apt.releases.hashicorp.com"
    return (
        f"wget -qO- {server}/gpg | {sudo}gpg --dearmor -o {key} && "
        f"echo 'deb [signed-by={key}] {server} {codename} main' | {sudo}tee /etc/apt/sources.list.d/hashicorp.list && "
        f"{sudo}apt-get update && {sudo}apt-get install -y vagrant"
    )


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            try:
                yield name, "".join(shlex.split(value))
            except ValueError:  # a quote that is not closed
                yield name, value
