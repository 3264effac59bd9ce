"""The rendered files of a lab's work folder, for this host."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from halab.config.lab import ProviderKind
from halab.errors import HalabError
from halab.images import box as boxes
from halab.lifecycle import kubeadm_check, own_files
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.lifecycle.own_files import OwnFiles
from halab.machines.host import allocation, identity, proxies, remote_env
from halab.machines.host.allocation import Allocation
from halab.topology import files, setup_scripts
from halab.topology.files import HostValues
from halab.topology.lab import Lab

# Files of the lock, which is held while the folder is cleared.
_LOCKS = ("lock", "lock.holder")


def rendered(
    lab_dir: LabDir, lab: Lab, patches: Mapping[str, str], own: OwnFiles, *, base: str
) -> dict[str, str]:
    """Path in the work folder → content. The keys of the lab must exist.

    `patches` are the user's for kubeadm, `own` is what else the lab file names.
    """
    remote = labs.remote_of(lab_dir)
    host = HostValues(
        work=str(lab_dir.work.path),
        identity=identity.of_this_host(),
        base=base,
        private_key=str(lab_dir.work.private_key),
        public_key=lab_dir.work.public_key.read_text().strip(),
        proxies=proxies.of_environment(),
        provider_uri=lab_dir.written.provider_uri or remote_env.libvirt_address(),
        # Vagrant's plugin for libvirt opens its own connection
        proxy_command=remote.proxy_command if remote and lab.provider is ProviderKind.DOCKER else None,
    )
    return {
        **files.work_files(lab, host, patches),
        **setup_scripts.rendered(lab, own.scripts, files.guest_proxies(lab, host.proxies)),
        **own.record(),
    }


def of_version(lab_dir: LabDir, lab: Lab) -> dict[str, str]:
    """The files that another version of Kubernetes changes: the scripts. What machines start from stays the same."""
    files_of_lab = rendered(lab_dir, lab, labs.patches(lab_dir), own_files.read(lab_dir), base="")
    del files_of_lab[files.VAGRANTFILE]
    return files_of_lab


def write(lab_dir: LabDir, content: Mapping[str, str]) -> list[str]:
    """Write rendered files. Remove those that an earlier lab file had, and copies of files that it no longer names."""
    folder = lab_dir.work.path
    for path in [*own_files.recorded_files(lab_dir.work), *folder.glob("provision/*/*")]:
        if path.relative_to(folder).as_posix() not in content:
            path.unlink()
    return lab_dir.work.write(content)


def clear(lab_dir: LabDir, *, runs: bool = False) -> None:
    """Remove the content of the work folder, but keep recorded runs unless `runs` is true."""
    for path in lab_dir.work.path.iterdir():
        if path.name not in _LOCKS and (runs or path != lab_dir.work.runs):
            _remove(path)


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise HalabError(f"cannot remove {path}: {error.strerror}") from error


def preview(lab_dir: LabDir) -> tuple[Lab, list[str]]:
    """Write the work folder without touching any machine or other host. Return the lab and the changed files."""
    own = own_files.read(lab_dir)
    patches = labs.patches(lab_dir)
    kubeadm_check.require(lab_dir)
    held = allocation.of(lab_dir.work.path)
    if held is None:
        # another host is asked for its routes only by `up`, which may then choose a different network
        taken = labs.cluster_networks(lab_dir)
        taken += [] if labs.remote_of(lab_dir) else allocation.host_routes()
        network, management = allocation.preview(lab_dir.written.network, taken)
        provider = labs.provider_of(lab_dir)
        ssh_network = management if provider is ProviderKind.LIBVIRT else None
        held = Allocation(lab_dir.name, network, lab_dir.work.path, ssh_network, provider=provider)
    lab = labs.planned(lab_dir, held)
    lab_dir.work.make()
    base = boxes.expected_base(
        lab.box, labs.base_release(lab_dir), lab_dir.written.kubernetes.source, lab.provider
    )
    return lab, write(lab_dir, rendered(lab_dir, lab, patches, own, base=base))
