"""Every fault is in the catalogue, and has the facts that a verdict and a report depend on."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

from halab import faults
from halab.config.fault_facts import FAULT_FACTS, DataLoss, MachineState, facts_of
from halab.faults.catalogue import FAULTS
from halab.faults.fault import Fault, nothing_to_heal


def defined() -> Iterator[Fault]:
    """The faults of every module of the package."""
    for module in pkgutil.iter_modules(faults.__path__):
        for fault in getattr(importlib.import_module(f"halab.faults.{module.name}"), "FAULTS", ()):
            if isinstance(fault, Fault):
                yield fault


def test_the_catalogue_has_the_faults_of_every_module() -> None:
    assert {fault.name for fault in defined()} <= FAULTS.keys()


def test_every_fault_has_facts_and_there_are_no_facts_without_a_fault() -> None:
    assert FAULT_FACTS.keys() == FAULTS.keys()


def test_a_fault_without_facts_cannot_be_used() -> None:
    fault = Fault("drop-the-rack", "Let it fall.", lambda site, entry: "", nothing_to_heal)
    with pytest.raises(KeyError, match="drop-the-rack"):
        _ = fault.facts.is_lasting


def test_a_fault_that_is_over_at_once_has_nothing_to_heal_but_a_machine_that_starts() -> None:
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
