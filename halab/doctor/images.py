"""Checks of the bundle and the box that the lab needs."""

from __future__ import annotations

from halab.config.kubernetes import BundleSource
from halab.config.lab import ProviderKind, is_stock
from halab.doctor import fix
from halab.doctor.check import Check, Finding, Subject, failed, ok, warning
from halab.doctor.host import Host
from halab.errors import Corrupted, HalabError
from halab.images import cache
from halab.images.bundle import Bundle


def bundle(host: Host, subject: Subject) -> Finding:
    """Whether it is there with all its files, or else can be made."""
    build = f"halab bundle build{_options(subject)}"
    try:
        found = host.bundle(subject.release, subject.written.kubernetes.source)
    except Corrupted as error:
        return failed(error.message, f"{build} --force")
    if found is None:
        return _to_be_made(host, subject, build)
    broken = _broken_files(found)
    if broken:
        return failed(f"missing or cut short: {', '.join(broken)}", f"{build} --force")
    seen = f"Kubernetes {found.manifest.kubernetes}, {found.manifest.source}, {cache.in_words(found.size_bytes)}"
    return ok(seen)


def box(host: Host, subject: Subject) -> Finding:
    """Whether it is there, or else can be built."""
    name = subject.written.box
    if is_stock(name):
        return _stock_box(host, name)
    there = host.bundle(subject.release, subject.written.kubernetes.source)
    build = fix.as_root_with_environment(
        host, f"halab box build {name}{_for_provider(subject)}{_options(subject)}"
    )
    try:
        found = host.box(name, there, subject.provider) if there else None
    except Corrupted as error:
        return failed(error.message, f"{build} --force")
    if found:
        return ok(f"{name}, {found.key}, {cache.in_words(found.size_bytes)}")
    if host.tool("mmdebstrap") is None:
        return failed(
            "not in the cache, and not found: mmdebstrap, which builds it",
            f"{fix.install(host, 'mmdebstrap')} && {build}",
        )
    obstacle = host.box_obstacle(subject.provider)
    if obstacle:
        return failed(
            f"not in the cache, and nothing to build it with: {obstacle.message}",
            f"{obstacle.hint} && {build}" if obstacle.hint else build,
        )
    if not host.is_root:
        return failed(f"not in the cache, and building it needs root: {name}", build)
    return warning(f"not in the cache, `halab up` builds it (1 to 3 min): {name}", build)


def _stock_box(host: Host, name: str) -> Finding:
    """Whether Vagrant has it already. Whether it could fetch it is known only by trying."""
    if host.tool("vagrant") is None:
        return failed("not found: vagrant, which fetches it", fix.install(host, "vagrant"))
    listed = host.output("vagrant", "box", "list").splitlines()
    if any(line.split(" (")[0].strip() == name and "(libvirt" in line for line in listed):
        return ok(f"{name}, a stock box that Vagrant has; the bundle is sent to its machines")
    return warning(
        f"a stock box that Vagrant does not have, `halab up` lets it fetch it: {name}",
        f"vagrant box add {name} --provider libvirt",
    )


def _to_be_made(host: Host, subject: Subject, build: str) -> Finding:
    """The first source that can be used, in the order in which a build prefers them."""
    asked = subject.written.kubernetes.source
    sources = [BundleSource.RELEASE, BundleSource.MODULES] if asked is BundleSource.AUTO else [asked]
    problems: dict[BundleSource, HalabError] = {}
    for source in sources:
        problem = host.obstacle(subject.release, source)
        if problem is None:
            how = (
                "downloads it"
                if source is BundleSource.RELEASE
                else "builds it with Go (10 to 15 min on 2 cores)"
            )
            return warning(
                f"not in the cache, `halab up` {how}: Kubernetes {subject.release.kubernetes}", build
            )
        problems[source] = problem
    reasons = "; ".join(f"{source}: {problem.message}" for source, problem in problems.items())
    hints = [f"{source}: {problem.hint}" for source, problem in problems.items() if problem.hint]
    return failed(f"not in the cache, and no source for it: {reasons}", *hints)


def _broken_files(found: Bundle) -> list[str]:
    """By size alone: checksums take seconds, and are compared whenever the bundle is used."""

    def whole(name: str, size: int) -> bool:
        path = found.path / name
        return path.is_file() and path.stat().st_size == size

    return [name for name, record in found.manifest.files.items() if not whole(name, record.size)]


def _for_provider(subject: Subject) -> str:
    return " --provider libvirt" if subject.provider is ProviderKind.LIBVIRT else ""


def _options(subject: Subject) -> str:
    written = subject.written.kubernetes
    version = f" --kubernetes {written.version}"
    return version if written.source is BundleSource.AUTO else f"{version} --source {written.source}"


CHECKS = (
    Check("bundle", "the Kubernetes that the lab runs comes from it", bundle),
    Check("box", "machines start from it; the bundle is inside", box),
)
