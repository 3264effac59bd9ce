"""The user's own scripts as they run on machines: plain or rendered, once for each content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from halab import templates
from halab.config.applied import When
from halab.config.own_file import OwnFile
from halab.topology.lab import Lab, Machine

_PHASES = {
    When.BEFORE: "before halab sets up the machine",
    When.AFTER: "after all machines have joined",
}
_TEMPLATE = ".j2"


def ran_file(when: When) -> str:
    """The file on a machine with the checksum of the script that has run there."""
    return f"/var/lib/halab/setup-{when}.sha256"


def file_name(when: When) -> str:
    """The name of the rendered script, in the machine's folder of `provision/`."""
    return f"setup-{when}.sh"


def rendered(lab: Lab, scripts: Mapping[str, OwnFile], proxies: Mapping[str, str]) -> dict[str, str]:
    """Path in the work folder → content. `scripts` are the user's files, by their name in the lab file.

    Raises BadFile if a template cannot be rendered.
    """
    return {
        f"provision/{machine.name}/{file_name(when)}": _script(
            lab, machine, when, name, scripts[name], proxies
        )
        for machine in lab.machines
        for when in When
        if (name := lab.setup.script(machine.role, when)) is not None
    }


def _script(
    lab: Lab, machine: Machine, when: When, name: str, file: OwnFile, proxies: Mapping[str, str]
) -> str:
    text = (
        templates.own(file.text, str(file.path), is_shell=True, lab=lab, machine=machine)
        if name.endswith(_TEMPLATE)
        else templates.Rendered(file.text)
    )
    if not text.endswith("\n"):
        text = templates.Rendered(f"{text}\n")
    return templates.text(
        "provision/setup.sh.j2",
        name=name,
        when=when,
        ran=ran_file(when),
        phase=_PHASES[when],
        machine=machine,
        joins=machine.is_node and when is When.BEFORE,
        static_pods=lab.manifests(machine),
        text=text,
        sum=hashlib.sha256(text.encode()).hexdigest(),
        interpreter="" if text.startswith("#!") else "bash ",
        proxies=proxies,
    )
