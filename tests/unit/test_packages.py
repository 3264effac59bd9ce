"""Commands that install packages, for the distributions whose os-release is in tests/support/os_releases.py."""

from __future__ import annotations

import runpy
import sys

import pytest
from support.os_releases import OS_RELEASE

from halab.packages import BUILD_ELSEWHERE, distribution


def install(name: str, *packages: str, as_root: bool = False, then: str = "") -> str:
    return distribution(OS_RELEASE[name]).install(*packages, as_root=as_root, then=then)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("debian-12", "sudo apt-get install -y --no-install-recommends openssh-client iproute2"),
        ("ubuntu-24.04", "sudo apt-get install -y --no-install-recommends openssh-client iproute2"),
        ("fedora-41", "sudo dnf install -y openssh-clients iproute"),
        ("almalinux-9", "sudo dnf install -y openssh-clients iproute"),
        ("arch", "sudo pacman -S --needed --noconfirm openssh iproute2"),
        ("tumbleweed", "sudo zypper install --no-confirm openssh-clients iproute2"),
    ],
)
def test_every_distribution_has_its_package_manager_and_names(name: str, command: str) -> None:
    assert install(name, "openssh-client", "iproute2") == command


def test_a_package_that_several_names_stand_for_is_installed_once() -> None:
    assert install("fedora-41", "fdisk", "util-linux", as_root=True) == "dnf install -y util-linux"


def test_an_engine_of_debian_comes_with_its_command() -> None:
    assert install("debian-12", "docker.io").endswith(" docker.io")
    assert install("debian-13", "docker.io").endswith(" docker.io docker-cli")


def test_a_package_that_a_distribution_lacks_is_named_with_its_source() -> None:
    assert install("tumbleweed", "vagrant") == (
        "openSUSE Tumbleweed has no package of vagrant: get it from https://developer.hashicorp.com/vagrant/install"
    )
    assert install("almalinux-9", "qemu-system-x86", "qemu-utils") == (
        "sudo dnf install -y qemu-img  # AlmaLinux 9.3 (Shamrock Pampas Cat) has no package of qemu-system-x86"
    )


def test_a_second_command_comes_before_a_comment() -> None:
    assert install("almalinux-9", "qemu-system-x86", "qemu-utils", then="halab up").startswith(
        "sudo dnf install -y qemu-img && halab up  # "
    )


def test_boxes_are_built_on_debian_and_ubuntu_only() -> None:
    for name in ("fedora-41", "almalinux-9", "arch", "tumbleweed"):
        assert (
            install(name, "mmdebstrap", "debian-archive-keyring", then="halab box build") == BUILD_ELSEWHERE
        )
    assert install("ubuntu-24.04", "debian-archive-keyring", then="halab box build") == (
        "sudo apt-get install -y --no-install-recommends debian-archive-keyring && halab box build"
    )


@pytest.mark.parametrize("text", ["", "ID=gentoo\n", "nonsense", 'ID="not closed\n', "# ID=debian\n"])
def test_an_unknown_distribution_gets_the_names_of_debian(text: str) -> None:
    assert distribution(text).install("iproute2", as_root=False) == (
        "install with the package manager of this host: iproute2"
    )


def test_a_derivative_is_known_by_what_it_is_like() -> None:
    mint = distribution(
        'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n'
    )
    assert (mint.is_ubuntu, mint.codename) == (True, "noble")
    assert " noble main'" in mint.install("vagrant", as_root=True)


def test_an_old_python_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ubuntu 22.04 has Python 3.10, where the imports of halab fail."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    with pytest.raises(SystemExit, match=r"halab needs Python 3\.11 or newer, and this is 3\.10"):
        runpy.run_module("halab", run_name="__main__")
