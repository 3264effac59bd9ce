"""The proxies of this host's environment, which the machines of a lab are given. They may hold passwords."""

from __future__ import annotations

import os

from halab import process
from halab.errors import HostProblem

# What ends a value, or begins a comment, in /etc/environment: pam_env knows no way to escape it.
_MEANS_SOMETHING = "\"'\\#"


def of_environment() -> dict[str, str]:
    """Name → value. HostProblem, which does not show the value, where a machine could not be given it."""
    return {name: _checked(name, os.environ[name]) for name in process.PROXIES if os.environ.get(name)}


def _checked(name: str, value: str) -> str:
    if name.lower() == "no_proxy":
        value = ",".join(part.strip(" ") for part in value.split(","))
    for character in value:
        if not character.isprintable() or character.isspace() or character in _MEANS_SOMETHING:
            shown = repr(character) if character.isprintable() else f"U+{ord(character):04X}"
            percent = "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))
            raise HostProblem(
                f"the variable {name} has a character in it that the machines of a lab cannot be given: {shown}",
                hint=f"write {percent} in its place if it belongs to the address, or: unset {name}",
            )
    return value
