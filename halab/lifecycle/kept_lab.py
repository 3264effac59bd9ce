"""A lab that is down but keeps its disks: `down --keep`, and the `up` that continues from there.

Its machines are off and have the disks that `up` saved: they need no processor and no memory. Keys, names and networks
stay the lab's own, so a kept lab comes back only in its own folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence

from halab.config.lab import ProviderKind
from halab.errors import LabProblem
from halab.files import replace
from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info, providers, snapshot, source_record, workfiles
from halab.lifecycle.down import down_locked
from halab.lifecycle.lab import LabDir, Unfinished
from halab.lifecycle.own_files import OwnFiles
from halab.lifecycle.own_images import ComponentImage
from halab.machines.guests import on_all
from halab.machines.host import allocation
from halab.machines.power import PowerState
from halab.machines.provider import LabMachines, Provider
from halab.printable import counted
from halab.progress import Progress
from halab.topology.files import VAGRANTFILE


def keep(lab_dir: LabDir, progress: Progress) -> None:
    """Switch the lab's machines off, and restore their disks to what `up` saved. Changes since then are lost.

    Raises LabProblem if `up` saved nothing, or if the lab is not up.
    """
    with labs.locked(lab_dir, f"down --keep, process {os.getpid()}", despite=Unfinished.RESTORE):
        lab = labs.existing(lab_dir)
        machines = providers.machines(lab_dir, lab)
        saved = [saved for saved in snapshot.snapshots(machines) if saved.name == snapshot.AFTER_UP]
        if not saved or not saved[0].is_complete:
            raise LabProblem(
                f"there is nothing to keep: the lab {lab.name} has no complete snapshot that `halab up` saved",
                hint="remove the lab with `halab down`, or switch it off as it is with `halab stop`",
            )
        if lab.provider is ProviderKind.DOCKER:
            snapshot.restore_locked(lab_dir, machines, snapshot.AFTER_UP, progress, starts=False)
        else:
            # restored by the next `up`: a restored virtual machine is in memory, and continues there
            with progress.step("switch the machines off"):
                on_all([machine.name for machine in lab.machines], machines.power().cut)
        # now: `halab render` would replace the Vagrantfile by one of a newer box
        replace(lab_dir.work.kept, _digest(_vagrantfile(lab_dir)) + "\n")


def remove_if_changed(
    lab_dir: LabDir,
    provider: Provider,
    own: OwnFiles,
    patches: Mapping[str, str],
    components: Sequence[ComponentImage],
    progress: Progress,
) -> None:
    """Remove a kept lab whose lab file, box, patches or source code are no longer those that it was built with.

    Nothing happens if no lab is kept, or if its networks are not on record: `up` says what to do with such a lab. The
    caller holds the lab's lock.
    """
    if not lab_dir.work.kept.exists() or allocation.of(lab_dir.work.path) is None:
        return
    reason = _change(lab_dir, own, patches, progress) or source_record.change(lab_dir.work, components)
    if reason:
        progress.say(f"the kept lab is removed and a new one is built: {reason}")
        down_locked(lab_dir, provider, progress)


def bring_back(lab_dir: LabDir, machines: LabMachines, progress: Progress) -> int:
    """Start the machines of a kept lab. Return how many were started; 0 if no lab is kept."""
    if not lab_dir.work.kept.exists():
        return 0
    lab = machines.lab
    names = [machine.name for machine in lab.machines]
    gone = [name for name in names if machines.state(name) is PowerState.GONE]
    if lab.provider is ProviderKind.DOCKER and not gone:
        with progress.step(f"start {counted(len(names), 'machine')} that the lab has kept"):
            # without Vagrant, which takes seconds for each call
            on_all(names, machines.power().start)
        lab_dir.work.kept.unlink()
    else:
        # makes what somebody has removed in the meantime, too
        snapshot.restore_locked(lab_dir, machines, snapshot.AFTER_UP, progress)
    return len(names)


def _change(lab_dir: LabDir, own: OwnFiles, patches: Mapping[str, str], progress: Progress) -> str:
    """What differs from the lab that was kept, in words; empty if nothing does that machines are built from."""
    lab = labs.allocated(lab_dir)
    changed = [
        *machine_info.changes(lab_dir.work, lab),
        *machine_info.changed_patches(lab_dir.work, patches),
    ]
    if changed:
        return machine_info.in_words(changed)
    base = providers.base(lab_dir, lab, progress)
    rendered = workfiles.rendered(lab_dir, lab, patches, own, base=base)
    if lab_dir.work.kept.read_text().strip() != _digest(rendered[VAGRANTFILE]):
        return "the box or the machines in the lab file have changed"
    return ""


def _vagrantfile(lab_dir: LabDir) -> str:
    """The text of the Vagrantfile; empty if somebody has removed it, so that the lab is built again."""
    path = lab_dir.work.path / VAGRANTFILE
    return path.read_text() if path.exists() else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
