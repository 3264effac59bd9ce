"""Every table of providers has all of them."""

from __future__ import annotations

from typing import get_args

import click

from halab.cli.box import box_command
from halab.config.lab import ProviderKind
from halab.config.lab_traits import ChosenProvider
from halab.images import box
from halab.lifecycle import inventory
from halab.machines.inventory import Holder

PROVIDERS = set(ProviderKind) - {ProviderKind.AUTO}


def test_scenarios_may_need_every_provider() -> None:
    assert set(get_args(ChosenProvider)) == PROVIDERS


def test_a_box_can_be_built_for_every_provider() -> None:
    assert box._FILES.keys() == PROVIDERS
    assert box.SPACE_BYTES.keys() == PROVIDERS
    (option,) = [option for option in box_command.commands["build"].params if option.name == "provider"]
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == PROVIDERS


def test_every_provider_is_asked_for_resources() -> None:
    assert set(Holder) - {Holder.HOST} == inventory.OWNERS.keys() == {Holder(kind) for kind in PROVIDERS}
