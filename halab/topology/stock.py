"""What a machine of a stock box lacks, as a script: what the recipe of halab's own box would have put into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halab import templates
from halab.config import box as recipes
from halab.topology.lab import Lab, Machine

# What a stock box is made into.
_RECIPE = "debian-12"
_TREE = "box"
# A package of the recipe → what brings the same where a distribution has none of that name.
_INSTEAD = {"nginx-light": ("nginx-core", "nginx"), "netcat-openbsd": ("netcat",), "vim-tiny": ("vim",)}
# A stock box lets Vagrant in and has its own sudo: what works is left alone.
_NOT_OURS = ("etc/sudoers.d/vagrant",)
# The recipe's box has it on for both networks; here it is for the lab's alone. Names stay the box's business, too.
_NETWORK = "systemd-networkd.service"
# Installs packages behind everybody's back, and holds apt's lock meanwhile: the recipe's box has none.
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
