"""The proxies of this host's environment, for the machines of a lab. They may contain passwords."""

from __future__ import annotations

import os

from halab import process
from halab.errors import HostProblem

# Characters that end a value or begin a comment in /etc/environment: pam_env has no escape for them.
_MEANS_SOMETHING = "\"'\\#"


def of_environment() -> dict[str, str]:
    """Name → value. Raises HostProblem if a machine cannot have such a value; the message does not show it."""
    return {name: _checked(name, os.environ[name]) for name in process.PROXIES if os.environ.get(name)}


def _checked(name: str, value: str) -> str:
    if name.lower() == "no_proxy":
        value = ",".join(part.strip(" ") for part in value.split(","))
    for character in value:
        if not character.isprintable() or character.isspace() or character in _MEANS_SOMETHING:
            shown = repr(character) if character.isprintable() else f"U+{ord(character):04X}"
            percent = "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))
            raise HostProblem(
                f"the variable {name} has a character that cannot be passed to the machines of a lab: {shown}",
                hint=f"write {percent} instead if it is a part of the address, or: unset {name}",
            )
    return value
