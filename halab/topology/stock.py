"""The script that adds to a machine of a stock box what halab's own box contains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halab import templates
from halab.config import box as recipes
from halab.topology.lab import Lab, Machine

# The recipe that a stock box is made equal to.
_RECIPE = "debian-12"
_TREE = "box"
# A package of the recipe → packages with the same content, for a distribution that has none of that name.
_INSTEAD = {"nginx-light": ("nginx-core", "nginx"), "netcat-openbsd": ("netcat",), "vim-tiny": ("vim",)}
# A stock box has its own access for Vagrant and its own sudo rules: they work, and are left alone.
_NOT_OURS = ("etc/sudoers.d/vagrant",)
# The recipe's box uses it for both networks; here it is for the lab's network only. DNS stays as the box has it.
_NETWORK = "systemd-networkd.service"
# Installs packages in the background and holds apt's lock; the recipe's box does not have it.
_UPGRADES = "unattended-upgrades.service"


def script(lab: Lab, machine: Machine, values: Mapping[str, Any]) -> str:
    """`base.sh`: runs before all other scripts of the machine."""
    recipe = recipes.recipe(_RECIPE)
    return templates.text(
        "provision/base.sh.j2",
        **values,
        packages=[" ".join((name, *_INSTEAD.get(name, ()))) for name in recipe.packages],
        files=[
            (_mode(path), path, f"{_TREE}/{path}")
            for path in templates.below(_TREE)
            if path not in _NOT_OURS
        ],
        enable=(*recipe.enable, _NETWORK),
        disable=recipe.disable,
        mask=(*recipe.mask, _UPGRADES),
    )


def _mode(path: str) -> str:
    return "0755" if templates.text(f"{_TREE}/{path}").startswith("#!") else "0644"
