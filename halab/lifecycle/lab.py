"""A lab on this host: its file, its place, its machines."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from halab.config.lab import AUTO, LabFile, ProviderKind
from halab.config.loading import read
from halab.config.remote import Remote
from halab.errors import BadUsage, LabProblem
from halab.lifecycle import machine_info
from halab.machines.host import allocation, identity, remote_env
from halab.machines.host.allocation import Allocation
from halab.machines.work import Work
from halab.topology.lab import Lab, plan

NO_KEYS = "the keys of the lab's machines are not in {work}: nobody can log in to them any more"
_NO_KEYS_HINT = "`halab up` makes the lab anew, `halab down` removes what is left of it"


@dataclass(frozen=True)
class LabDir:
    """A lab file and the work folder beside it. `content` is what was read, even if the file has changed since."""

    file: Path
    written: LabFile
    work: Work
    content: bytes = b""

    @property
    def name(self) -> str:
        return self.written.name


def open_file(path: Path) -> LabDir:
    """Read a lab file. BadUsage where there is none, BadFile where something in it is wrong.

    LabProblem where its work folder is not one's own.
    """
    if not path.exists():
        raise BadUsage(
            f"no such lab file: {path}", hint="write one with `halab init`, or name it with -f FILE"
        )
    found, work = read(path, LabFile), Work.beside(path)
    work.require_own()
    written = found.value
    if written.name == AUTO:
        written = written.model_copy(update={"name": name_of(work.path.parent)})
    return LabDir(path, written, work, found.content)


def name_of(folder: Path) -> str:
    """What `name: auto` means: the folder's name, and what tells it from all others, also of other hosts."""
    words = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).lstrip("-0123456789").rstrip("-")
    which = hashlib.sha256(f"{identity.of_this_host()}:{folder}".encode()).hexdigest()[:6]
    return f"{words[:13].rstrip('-') or 'lab'}-{which}"


def existing(place: LabDir) -> Lab:
    """The lab as it was brought up; LabProblem where it is not up, is another one now, or nobody gets into it."""
    lab = allocated(place)
    if not machine_info.opens(place.work):
        raise LabProblem(NO_KEYS.format(work=place.work.path), hint=_NO_KEYS_HINT)
    machine_info.require_same(place.file, place.work, lab)
    return lab


def allocated(place: LabDir) -> Lab:
    """The lab that networks are held for, whatever state it is in; LabProblem where there are none."""
    held = allocation.of(place.work.path)
    if held is None:
        raise _not_up(place)
    if held.name != place.name:
        raise LabProblem(
            f"the lab beside {place.file} was brought up as {held.name}, and is now called {place.name}",
            hint=f"write `name: {held.name}` again, or take it down first: `halab down`",
        )
    if place.written.network not in ("auto", str(held.network)):
        raise LabProblem(
            f"the lab {place.name} is up on {held.network}, and {place.file} now says {place.written.network}",
            hint="take it down first: `halab down`",
        )
    require_same_host(place, held)
    return planned(place, held)


def moved(place: LabDir, origin: Work) -> LabProblem:
    """The machines of a lab name the folder that was moved by its path of before, and cannot be told another."""
    here, before = place.work.path, origin.path
    source, target = (here, before) if before.parent.exists() else (here.parent, before.parent)
    return LabProblem(
        f"the lab {place.name} was made in {before.parent}, and its folder was moved since",
        hint=f"move it back, `mv {shlex.quote(str(source))} {shlex.quote(str(target))}`, or make the lab anew: "
        f"`halab down && halab up`",
    )


def _not_up(place: LabDir) -> LabProblem:
    before = machine_info.moved_from(place.work)
    if before:
        return moved(place, before)
    other = next((each.work for each in allocation.held() if each.name == place.name), None)
    if other and other.exists():
        return LabProblem(
            f"the lab {place.name} that is up is that of another folder: {other.parent}",
            hint=f"go there, or give this lab another name in {place.file} (`name: auto` makes one up)",
        )
    return LabProblem(f"the lab {place.name} is not up", hint="run `halab up`")


def require_same_host(place: LabDir, held: Allocation) -> None:
    """LabProblem where another host is named now: the machines would not be found there, and left behind here."""
    remote = remote_of(place.written)
    named = str(remote) if remote else ""
    if named == held.host:
        return
    if provider_of(place.written) is ProviderKind.DOCKER:
        hint = f"export DOCKER_HOST=ssh://{held.host}" if held.host else "unset DOCKER_HOST"
    else:
        hint = "write `provider_uri`, or export LIBVIRT_DEFAULT_URI, as it was"
    raise LabProblem(
        f"the lab {place.name} is up on {held.host or 'this host'}, and {named or 'this host'} is asked now",
        hint=hint,
    )


def planned(place: LabDir, held: Allocation) -> Lab:
    """The lab of a file on the networks that are held for it."""
    return plan(
        place.written,
        network=held.network,
        management=held.management,
        provider=provider_of(place.written),
    )


def provider_of(written: LabFile) -> ProviderKind:
    """Which provider `auto` means: docker, which needs no KVM and starts in a tenth of the time."""
    return ProviderKind.DOCKER if written.provider is ProviderKind.AUTO else written.provider


def remote_of(written: LabFile) -> Remote | None:
    """The other host that the machines live on, by DOCKER_HOST or the address of libvirt; None for this one."""
    if provider_of(written) is ProviderKind.DOCKER:
        return remote_env.by_docker()
    return remote_env.by_libvirt(written.provider_uri)


def restoring(place: LabDir) -> str:
    """The snapshot to which the lab was being put back when that was ended; empty where it was not."""
    try:
        return place.work.restoring.read_text().strip()
    except FileNotFoundError:
        return ""


def require_machine(lab: Lab, name: str) -> None:
    """BadUsage where the lab has no machine of that name."""
    known = [machine.name for machine in lab.machines]
    if name not in known:
        raise BadUsage(f"no such machine: {name}", hint=f"the lab {lab.name} has {', '.join(known)}")


@contextmanager
def locked(place: LabDir, doing: str, *, amid_restore: bool = False) -> Iterator[None]:
    """Only one command changes a lab at a time; the others are told who does.

    A lab whose machines are partly those of a snapshot is left alone by all but what ends that state.
    """
    is_new = not place.work.path.exists()
    place.work.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    holder = place.work.lock_holder
    lock = FileLock(place.work.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        by = holder.read_text().strip() if holder.exists() else "another halab"
        raise LabProblem(
            f"the lab {place.name} is in use: {by}", hint="wait for it to end, or interrupt it"
        ) from error
    try:
        holder.write_text(doing + "\n")
        name = restoring(place)
        if name and not amid_restore:
            raise LabProblem(
                f"the lab {place.name} was being put back to its snapshot {name}, and that did not end",
                hint=f"do it again: `halab snapshot restore {name}`; or take the lab down: `halab down`",
            )
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
        if is_new:
            # a command that came to nothing must not make a lab look like one that somebody can use
            place.work.remove_if_empty()
