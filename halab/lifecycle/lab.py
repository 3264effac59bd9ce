"""A lab on this host: its file, its work folder, its networks, its lock."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Flag, auto
from ipaddress import IPv4Network
from pathlib import Path

from filelock import FileLock, Timeout

from halab import files
from halab.config import kubeadm_patches, kubernetes, lab_rules, own_file, yaml_source
from halab.config.kubernetes import Release
from halab.config.lab import AUTO, LabFile, ProviderKind
from halab.config.lab_size import LabSize, resized
from halab.config.loading import Written, read
from halab.config.own_file import OwnFile
from halab.config.remote import Remote
from halab.errors import BadFile, BadUsage, LabProblem
from halab.lifecycle import machine_info, sizes, versions
from halab.machines.host import allocation, identity, remote_env
from halab.machines.host.allocation import Allocation
from halab.machines.work import Work
from halab.topology.host_names import names_by_hostname
from halab.topology.lab import Lab, plan

NO_KEYS = "the keys of the lab's machines are missing from {work}, so nobody can log in to the machines"
_NO_KEYS_HINT = "rebuild the lab with `halab up`, or remove it with `halab down`"


@dataclass(frozen=True)
class LabDir:
    """A lab file and the work folder beside it.

    `content` is the file as it was read, even if it has changed since, and so are the files of the load balancer.
    """

    file: Path
    written: LabFile
    work: Work
    content: bytes = b""
    balancer_file: OwnFile | None = None
    keepalived_file: OwnFile | None = None
    # the size for which the lab is planned, if that is neither its present size nor that of the file
    size: LabSize | None = None
    # the same for the version of Kubernetes
    version: str | None = None

    @property
    def name(self) -> str:
        return self.written.name


def open_file(
    path: Path,
    *,
    work: Work | None = None,
    locate: Callable[[str], Path] | None = None,
    reads_own_files: bool = True,
) -> LabDir:
    """Read a lab file. Raises BadUsage if it does not exist and BadFile if its content is wrong.

    `work` is the lab's work folder if the file is a copy elsewhere: the name that `auto` stands for depends on it.
    `locate` says where the files are that it names; without it, their paths are relative to the lab file. Without
    `reads_own_files` they are not read: they may be gone when a lab is removed.

    Raises LabProblem if other users may write to its work folder.
    """
    if not path.exists():
        hint = "write one with `halab init`, or name another file with -f FILE"
        raise BadUsage(f"no such lab file: {path}", hint=hint)
    source, work = read(path, LabFile), work or Work.beside(path)
    work.require_own()
    written = source.value
    problems = [source.problem(where, what) for where, what in lab_rules.problems(written)]
    if problems:
        raise BadFile(problems)
    if written.name == AUTO:
        written = written.model_copy(update={"name": name_of(work.path.parent)})
    if not reads_own_files:
        return LabDir(path, written, work, source.content)
    locate, settings = locate or path.parent.joinpath, written.load_balancer
    own = _own_file(source, locate, settings.config, ("load_balancer", "config"))
    where = ("load_balancer", "keepalived", "config")
    of_keepalived = _own_file(source, locate, settings.keepalived.config, where)
    return LabDir(path, written, work, source.content, own, of_keepalived)


def _own_file(
    source: Written[LabFile], locate: Callable[[str], Path], name: str | None, where: yaml_source.Path
) -> OwnFile | None:
    """A configuration that the lab file names. Raises BadFile if it cannot be read."""
    if name is None:
        return None
    try:
        return own_file.read(locate(name))
    except BadUsage as error:
        raise BadFile([source.problem(where, error.message)], hint=error.hint) from error


def patches(lab_dir: LabDir) -> dict[str, str]:
    """The user's patches for kubeadm as they are now: file name → text. Raises BadFile if kubeadm would refuse them."""
    folder, release = lab_dir.written.kubeadm.patches, kubernetes.resolve(version_of(lab_dir))
    return kubeadm_patches.read(lab_dir.file, lab_dir.content, folder, release)


def name_of(folder: Path) -> str:
    """The name for `name: auto`: the folder's name and a hash that is unique per folder and host."""
    words = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).lstrip("-0123456789").rstrip("-")
    unique = hashlib.sha256(f"{identity.of_this_host()}:{folder}".encode()).hexdigest()[:6]
    return f"{words[:13].rstrip('-') or 'lab'}-{unique}"


def existing(lab_dir: LabDir) -> Lab:
    """The lab as `up` built it. Raises LabProblem if it is not up, differs from its file, or its keys are missing."""
    lab = allocated(lab_dir)
    if not machine_info.has_keys(lab_dir.work):
        raise LabProblem(NO_KEYS.format(work=lab_dir.work.path), hint=_NO_KEYS_HINT)
    machine_info.require_same(lab_dir.file, lab_dir.work, lab)
    return lab


def allocated(lab_dir: LabDir) -> Lab:
    """The lab for which networks are allocated, in whatever state. Raises LabProblem if there are none."""
    held = allocation.of(lab_dir.work.path)
    if held is None:
        raise _not_up(lab_dir)
    if held.name != lab_dir.name:
        raise LabProblem(
            f"the lab is up under the name {held.name}, but {lab_dir.file} now calls it {lab_dir.name}",
            hint=f"write `name: {held.name}` again, or remove the lab first with `halab down`",
        )
    if lab_dir.written.network not in ("auto", str(held.network)):
        raise LabProblem(
            f"the lab {lab_dir.name} is up on the network {held.network}, but {lab_dir.file} now names "
            f"{lab_dir.written.network}",
            hint="remove the lab first with `halab down`",
        )
    if lab_dir.written.provider not in (ProviderKind.AUTO, held.provider):
        raise LabProblem(
            f"the lab {lab_dir.name} is up on {held.provider}, but {lab_dir.file} now names {lab_dir.written.provider}",
            hint="remove the lab first with `halab down`",
        )
    require_same_host(lab_dir, held)
    if lab_dir.size is None:
        sizes.require_agreement(lab_dir.file, lab_dir.written, held)
    if lab_dir.version is None:
        versions.require_agreement(lab_dir.file, lab_dir.written, held)
    return planned(lab_dir, held)


def moved(lab_dir: LabDir, origin: Work) -> LabProblem:
    """The error for a work folder that was moved: its machines carry the old path, which cannot be changed."""
    here, before = lab_dir.work.path, origin.path
    source, target = (here, before) if before.parent.exists() else (here.parent, before.parent)
    return LabProblem(
        f"the lab {lab_dir.name} was built in {before.parent}, but its folder was moved since",
        hint=f"move it back with `mv {shlex.quote(str(source))} {shlex.quote(str(target))}`, or rebuild the lab with "
        f"`halab down && halab up`",
    )


def _not_up(lab_dir: LabDir) -> LabProblem:
    before = machine_info.moved_from(lab_dir.work)
    if before:
        return moved(lab_dir, before)
    other = next((held.work for held in allocation.held() if held.name == lab_dir.name), None)
    if other and other.exists():
        return LabProblem(
            f"another folder has a lab called {lab_dir.name}: {other.parent}",
            hint=f"go there, or give this lab another name in {lab_dir.file} (`name: auto` chooses one)",
        )
    return LabProblem(f"the lab {lab_dir.name} is not up", hint="run `halab up`")


def require_same_host(lab_dir: LabDir, held: Allocation) -> None:
    """Raise LabProblem if the settings name another host now: the machines would be left behind on the old one."""
    remote = remote_of(lab_dir)
    named = str(remote) if remote else ""
    if named == held.host:
        return
    if provider_of(lab_dir) is ProviderKind.DOCKER:
        hint = f"export DOCKER_HOST=ssh://{held.host}" if held.host else "unset DOCKER_HOST"
    else:
        hint = "set `provider_uri` or LIBVIRT_DEFAULT_URI back to its old value"
    raise LabProblem(
        f"the lab {lab_dir.name} is up on {held.host or 'this host'}, but the settings now name {named or 'this host'}",
        hint=hint,
    )


def planned(lab_dir: LabDir, held: Allocation) -> Lab:
    """The lab of a file on its allocated networks, with its present size and version."""
    version = lab_dir.version or versions.present(lab_dir.written, held)
    size = lab_dir.size or sizes.present(lab_dir.written, held)
    return plan(
        resized(versions.versioned(lab_dir.written, version), size),
        network=held.network,
        management=held.management,
        provider=provider_of(lab_dir),
        balancer_file=lab_dir.balancer_file,
        keepalived_file=lab_dir.keepalived_file,
    )


def size_of(lab_dir: LabDir) -> LabSize:
    """The size for which a lab is planned: the size in its file, unless it was scaled or is being scaled."""
    return lab_dir.size or sizes.present(lab_dir.written, allocation.of(lab_dir.work.path))


def version_of(lab_dir: LabDir) -> str:
    """The version of Kubernetes for which a lab is planned: that of its file, unless it was upgraded or is being."""
    return lab_dir.version or versions.present(lab_dir.written, allocation.of(lab_dir.work.path))


def present_file(lab_dir: LabDir) -> LabFile:
    """The lab file as if it said the version of Kubernetes for which the lab is planned."""
    return versions.versioned(lab_dir.written, version_of(lab_dir))


def base_release(lab_dir: LabDir) -> Release:
    """What is in the box from which the lab's machines start. An upgraded lab has a newer version."""
    return kubernetes.resolve(versions.of_base(lab_dir.written, allocation.of(lab_dir.work.path)))


def cluster_networks(lab_dir: LabDir) -> list[IPv4Network]:
    """The networks of pods and Services, which the lab's own network must not overlap."""
    settings = lab_dir.written.kubernetes
    return [IPv4Network(settings.pods), IPv4Network(settings.services)]


def provider_of(lab_dir: LabDir) -> ProviderKind:
    """The provider of a lab. `auto` is decided by the first `up` and stays with the lab's allocation.

    A new lab gets docker, which needs no KVM and starts in a tenth of the time.
    """
    if lab_dir.written.provider is not ProviderKind.AUTO:
        return lab_dir.written.provider
    held = allocation.of(lab_dir.work.path)
    return held.provider if held else ProviderKind.DOCKER


def remote_of(lab_dir: LabDir) -> Remote | None:
    """The other host that runs the machines, from DOCKER_HOST or libvirt's address; None for this host."""
    if provider_of(lab_dir) is ProviderKind.DOCKER:
        return remote_env.by_docker()
    return remote_env.by_libvirt(lab_dir.written.provider_uri)


def restoring(lab_dir: LabDir) -> str:
    """The name of a snapshot whose restore was interrupted; empty if there is none."""
    try:
        return lab_dir.work.restoring.read_text().strip()
    except FileNotFoundError:
        return ""


def machine_called(lab: Lab, name: str) -> str:
    """The machine with this name or host name. Raises BadUsage if the lab has none."""
    known = [machine.name for machine in lab.machines]
    found = name if name in known else names_by_hostname(lab).get(name)
    if found:
        return found
    raise BadUsage(f"no such machine: {name}", hint=f"the lab {lab.name} has {', '.join(known)}")


def require_complete(lab_dir: LabDir) -> None:
    """Raise LabProblem if the lab is not up, or if its first `up` has not ended."""
    if not lab_dir.work.kubeconfig.exists():
        existing(lab_dir)
        raise LabProblem(f"the lab {lab_dir.name} is not complete yet", hint="complete it with `halab up`")


def require_not_kept(lab_dir: LabDir) -> None:
    """Raise LabProblem if the lab is down and its machines were kept."""
    if lab_dir.work.kept.exists():
        raise LabProblem(f"the lab {lab_dir.name} is down and was kept", hint="start it with `halab up`")


def require_no_drill(lab_dir: LabDir) -> None:
    """Raise LabProblem if a drill is running."""
    if lab_dir.work.has_drill:
        raise LabProblem(
            f"a drill is running in the lab {lab_dir.name}",
            hint="see `halab drill status`; `halab drill reset` ends it and restores the lab",
        )


class Unfinished(Flag):
    """What may be unfinished in a lab: most commands are refused then."""

    # other commands would use machines of different times
    RESTORE = auto()
    # other commands would join machines that were leaving
    SCALE = auto()
    # other commands would set up machines of one version
    UPGRADE = auto()
    # other commands would undo or reveal its faults
    DRILL = auto()

    NOTHING = 0
    ANYTHING = RESTORE | SCALE | UPGRADE | DRILL


@contextmanager
def locked(lab_dir: LabDir, doing: str, *, despite: Unfinished = Unfinished.NOTHING) -> Iterator[None]:
    """Lock the lab: only one command may change it at a time.

    Raises LabProblem if another command holds the lock, or if something is unfinished that is not in `despite`.
    """
    is_new = not lab_dir.work.path.exists()
    lab_dir.work.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    holder = lab_dir.work.lock_holder
    lock = FileLock(lab_dir.work.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        by = holder.read_text().strip() if holder.exists() else "another halab process"
        what = f"the lab {lab_dir.name} is in use: {by}"
        raise LabProblem(what, hint="wait until it ends, or interrupt it") from error
    try:
        with files.writing(holder):
            holder.write_text(doing + "\n")
        name = restoring(lab_dir)
        if name and Unfinished.RESTORE not in despite:
            raise LabProblem(
                f"restoring the lab {lab_dir.name} to the snapshot {name} was interrupted",
                hint=f"restore it again with `halab snapshot restore {name}`, or remove the lab with `halab down`",
            )
        held = allocation.of(lab_dir.work.path)
        if Unfinished.SCALE not in despite:
            sizes.require_complete(lab_dir.name, held)
        if Unfinished.UPGRADE not in despite:
            versions.require_complete(lab_dir.name, held)
        if Unfinished.DRILL not in despite:
            require_no_drill(lab_dir)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
        if is_new:
            # a failed command must not leave a work folder that makes the lab look usable
            lab_dir.work.remove_if_empty()
