"""Inject and heal faults without a scenario: `halab inject` and `halab heal`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from halab.config import option_files
from halab.config.loading import similar
from halab.errors import BadUsage, HalabError, LabProblem
from halab.faults import capabilities, injection
from halab.faults.catalogue import FAULTS
from halab.faults.fault import Fault
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site
from halab.faults.targets import Targets, require_target
from halab.lifecycle import access
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir, Unfinished
from halab.machines.guests import on_all
from halab.printable import counted
from halab.progress import Progress
from halab.scenario.run import linearizability, probe_objects


def inject(
    lab_dir: LabDir,
    progress: Progress,
    fault: str,
    targets: Sequence[str],
    options: Mapping[str, str],
    *,
    seed: int | None = None,
) -> list[tuple[Entry, str]]:
    """Inject one fault without a scenario and leave it open; journal entries of its machines, and what was seen.

    A fault that has no lasting effect is removed from the journal at once.
    """
    known, options = _known(fault, options)
    with labs.locked(lab_dir, f"inject, process {os.getpid()}"):
        lab = labs.existing(lab_dir)
        site, journal = access.site(lab_dir, lab), Journal(lab_dir.work.journal)
        with access.api(lab_dir, lab) as api:
            lacking = capabilities.probe(site).lacking if known.needs else {}
            for need in sorted(known.needs & lacking.keys()):
                raise LabProblem(f"this lab does not support {fault}: {lacking[need]}")
            resolver = Targets(lab, site.guests, api, {}, secrets.randbelow(10**6) if seed is None else seed)
            machines = resolver.machines(targets)
            for machine in machines:
                require_target(lab, known, options, machine)
            entries = {
                machine: injection.plan(site, fault, machine, resolver.options(known, options, machine))
                for machine in machines
            }
            with progress.step(f"inject {fault} on {', '.join(machines)}"):
                effects = on_all(machines, lambda machine: injection.inject(site, journal, entries[machine]))
            if not known.facts.is_lasting:
                on_all(machines, lambda machine: injection.heal(site, journal, entries[machine]))
    return [(entries[machine], effects[machine]) for machine in machines]


def heal(lab_dir: LabDir, progress: Progress, names: Collection[str] = ()) -> list[tuple[Entry, HalabError]]:
    """Heal the faults in the journal, the latest first; those that could not be healed, with the errors.

    `names` are names of faults or the beginnings of their ids; without any, all faults are healed.
    """
    # the heal of a fault that scales or upgrades the lab continues what was interrupted
    with labs.locked(lab_dir, f"heal, process {os.getpid()}", despite=Unfinished.SCALE | Unfinished.UPGRADE):
        journal = Journal(lab_dir.work.journal)
        chosen = _chosen(journal.open_faults(), names)
        if not chosen:
            progress.say("no open faults")
            failed = []
        else:
            failed = heal_all(access.site(lab_dir, labs.allocated(lab_dir)), journal, chosen, progress)
        _remove_leftovers(lab_dir, progress)
        return failed


def _remove_leftovers(lab_dir: LabDir, progress: Progress) -> None:
    """Remove the namespaces and the keys of a run that was killed. If the API does not answer, the next run does it."""
    with suppress(HalabError):
        lab = labs.existing(lab_dir)
        with access.api(lab_dir, lab) as api:
            for name in probe_objects.remove_leftovers(api):
                progress.say(f"removed the namespace of an earlier run: {name}")
        if keys := linearizability.clear(access.guests(lab_dir), lab):
            progress.say(f"removed {counted(keys, 'key')} of an earlier run from etcd")


def heal_all(
    site: Site, journal: Journal, entries: Sequence[Entry], progress: Progress
) -> list[tuple[Entry, HalabError]]:
    """Heal these faults, the latest first; those that could not be healed, with the errors."""
    failed = []
    for entry in reversed(entries):
        try:
            with progress.step(f"heal {entry}"):
                injection.heal(site, journal, entry)
        except HalabError as error:
            failed.append((entry, error))
        except Exception as error:
            # a bug in one heal must not prevent the others
            failed.append((entry, LabProblem(f"{type(error).__name__}: {error}")))
    return failed


def _chosen(entries: Sequence[Entry], names: Collection[str]) -> list[Entry]:
    """The entries with these names; BadUsage if a name matches no open fault."""
    for name in names:
        if not any(entry.fault == name or entry.id.startswith(name) for entry in entries):
            what = "; ".join(f"{entry.id} is {entry}" for entry in entries)
            hint = f"open faults: {what}" if what else "no fault is open"
            raise BadUsage(f"no such open fault: {name}", hint=hint)
    if not names:
        return list(entries)
    return [
        entry for entry in entries if any(entry.fault == name or entry.id.startswith(name) for name in names)
    ]


def _known(fault: str, options: Mapping[str, str]) -> tuple[Fault, dict[str, str]]:
    """The fault of the catalogue, and its options with the texts of files in the current folder.

    BadUsage if there is no such fault, or if it does not take these options.
    """
    if fault not in FAULTS:
        raise BadUsage(f"no such fault: {fault}{similar(fault, FAULTS)}", hint="`halab faults` lists them")
    given = option_files.read_for(FAULTS[fault], options, Path.cwd())
    wrong = list(FAULTS[fault].problems_with(given))
    if wrong:
        raise BadUsage("; ".join(wrong), hint="`halab faults` lists the options of every fault")
    return FAULTS[fault], given
