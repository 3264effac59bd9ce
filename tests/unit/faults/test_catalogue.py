"""Every fault is in the catalogue, and has the facts that a verdict and a report depend on."""

from __future__ import annotations

import importlib
import json
import pkgutil
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeGuests
from support.site_builder import heal, inject, site_of

from halab import faults
from halab.cli import main
from halab.config.etcd import Topology
from halab.config.fault_facts import FAULT_FACTS, NOTHING, DataLoss, MachineState, facts_of
from halab.config.lab_traits import Capability
from halab.config.targets import kinds_of
from halab.faults.catalogue import FAULTS
from halab.faults.fault import Fault, nothing_to_heal

SCRIPTS = Path(__file__).parents[3] / "scripts"
CATALOGUE = "halab/faults/catalogue.py"
FACTS = "FAULT_FACTS in halab/config/fault_facts.py"


def defined() -> Iterator[tuple[str, Fault]]:
    """The faults of every module of the package, each with the name of its module."""
    for module in pkgutil.iter_modules(faults.__path__):
        for fault in getattr(importlib.import_module(f"halab.faults.{module.name}"), "FAULTS", ()):
            if isinstance(fault, Fault):
                yield module.name, fault


def test_the_catalogue_has_the_faults_of_every_module() -> None:
    missing = sorted({module for module, fault in defined() if fault.name not in FAULTS})
    assert not missing, (
        f"add to FAULTS in {CATALOGUE}: {', '.join(f'*{module}.FAULTS' for module in missing)}"
    )


def test_every_fact_belongs_to_a_fault() -> None:
    unused = sorted(FAULT_FACTS.keys() - FAULTS.keys())
    assert not unused, f"no such fault in {CATALOGUE}; remove from {FACTS}: {', '.join(unused)}"


def test_a_fault_without_a_heal_is_over_at_once() -> None:
    # `nothing` stands for the fault that it replaces in a losing twin, and most of these last
    without = {name for name, fault in FAULTS.items() if fault.heal is nothing_to_heal} - {NOTHING}
    lasting = sorted(name for name in without if FAULTS[name].facts.is_lasting)
    assert without
    assert not lasting, f"nothing to heal: add to {FACTS}, as _OVER_AT_ONCE: {', '.join(lasting)}"


def test_a_fault_that_is_over_at_once_has_nothing_to_heal_unless_a_machine_must_start() -> None:
    for fault in FAULTS.values():
        if not fault.facts.is_lasting:
            assert fault.heal is nothing_to_heal or fault.facts.machine_becomes is MachineState.OFF


def test_a_recorded_fault_that_is_unknown_here_loses_no_data() -> None:
    facts = facts_of("drop-the-rack")
    assert (facts.is_lasting, facts.machine_becomes, facts.loses_data) == (True, None, DataLoss.NONE)


def test_a_machine_that_is_removed_loses_the_data_of_its_member() -> None:
    removed = [facts for facts in FAULT_FACTS.values() if facts.machine_becomes is MachineState.REMOVED]
    assert removed
    assert all(facts.loses_data is DataLoss.OWN_MEMBER for facts in removed)


def test_the_fault_nothing_touches_no_machine() -> None:
    guests = FakeGuests()
    entry, seen = inject(site_of(guests), "nothing")
    assert seen == "nothing was done"
    heal(site_of(guests), entry)
    assert guests.calls == []


def test_every_fault_says_what_it_does() -> None:
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.does.endswith(".")


def test_the_example_of_every_option_fits_it() -> None:
    # one by one: some options exclude each other
    for fault in FAULTS.values():
        for name, option in fault.options.items():
            assert not option.example or option.problem_with(name, option.example) is None, fault.name


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the script."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return runpy.run_path(str(SCRIPTS / "sweep"))


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What `halab faults --json` prints."""
    main(["faults", "--json"])
    faults: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return faults


def test_the_sweep_has_a_plan_for_every_fault(sweep: dict[str, Any], listed: list[dict[str, Any]]) -> None:
    plans, left_out, plan_of = sweep["PLANS"], sweep["LEFT_OUT"], sweep["plan_of"]
    unknown = sorted((plans.keys() | left_out) - FAULTS.keys())
    assert not unknown, f"no such fault in {CATALOGUE}; remove from scripts/sweep: {', '.join(unknown)}"
    for fault in listed:
        if fault["name"] not in left_out:
            known, (target, options) = FAULTS[fault["name"]], plan_of(fault)
            problems = list(known.problems_with(options))
            assert not problems, f"add options to PLANS in scripts/sweep: {'; '.join(problems)}"
            # the sweep brings up a stacked lab
            assert kinds_of(target, Topology.STACKED) <= known.target.kinds, (
                f"add a target to PLANS in scripts/sweep: {known.name} is not for {target}"
            )


def test_the_sweep_leaves_out_what_the_lab_cannot_do(
    sweep: dict[str, Any], listed: list[dict[str, Any]]
) -> None:
    without_capability = sweep["without_capability"]
    lacking = without_capability(listed, set(Capability) - {Capability.ENDPOINT_NAME})
    assert lacking["change-endpoint-name"] == ["endpoint-name"]
    assert "delay-packets" not in lacking
    assert without_capability(listed, set(Capability)) == {}


def test_the_needs_of_a_fault_stand_in_one_place(
    sweep: dict[str, Any], listed: list[dict[str, Any]]
) -> None:
    twice = sorted(sweep["without_capability"](listed, set()).keys() & sweep["LEFT_OUT"])
    assert not twice, (
        f"left out because of their needs: remove from LEFT_OUT in scripts/sweep: {', '.join(twice)}"
    )
