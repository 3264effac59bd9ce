"""The parts of /etc/os-release that halab reads, of several distributions, from published copies of that file.

Sources: the os-release(5) files that CI logs and tests of other projects on GitHub quote.
"""

from __future__ import annotations

OS_RELEASE = {
    "debian-12": (
        'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n'
        'VERSION="12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'
    ),
    "debian-13": (
        'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nNAME="Debian GNU/Linux"\nVERSION_ID="13"\n'
        'VERSION="13 (trixie)"\nVERSION_CODENAME=trixie\nID=debian\n'
    ),
    "ubuntu-24.04": (
        'PRETTY_NAME="Ubuntu 24.04.4 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION="24.04.4 LTS (Noble Numbat)"\n'
        "VERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble\n"
    ),
    "fedora-41": (
        'NAME="Fedora Linux"\nVERSION="41 (Forty One)"\nRELEASE_TYPE=stable\nID=fedora\nVERSION_ID=41\n'
        'VERSION_CODENAME=""\nPLATFORM_ID="platform:f41"\nPRETTY_NAME="Fedora Linux 41 (Forty One)"\n'
    ),
    "almalinux-9": (
        'NAME="AlmaLinux"\nVERSION="9.3 (Shamrock Pampas Cat)"\nID="almalinux"\nID_LIKE="rhel centos fedora"\n'
        'VERSION_ID="9.3"\nPLATFORM_ID="platform:el9"\nPRETTY_NAME="AlmaLinux 9.3 (Shamrock Pampas Cat)"\n'
    ),
    "tumbleweed": (
        'NAME="openSUSE Tumbleweed"\n# VERSION="20240123"\nID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n'
        'VERSION_ID="20240123"\nPRETTY_NAME="openSUSE Tumbleweed"\n'
    ),
    "arch": 'NAME="Arch Linux"\nID=arch\n',
}
