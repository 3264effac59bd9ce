"""Checks of the bundle and the box that the lab needs."""

from __future__ import annotations

from halab.config.kubernetes import BundleSource
from halab.config.lab import ProviderKind, is_stock
from halab.doctor import fix
from halab.doctor.check import Check, Finding, Subject, failed, ok, warning
from halab.doctor.host import Host
from halab.errors import Corrupted, HalabError
from halab.images import cache, component
from halab.images.bundle import Bundle
from halab.images.user_namespace import NoUserNamespace
from halab.lifecycle import components
from halab.packages import BUILD_ELSEWHERE


def check_bundle(host: Host, subject: Subject) -> Finding:
    """The bundle is in the cache with all its files, or can be built."""
    build = f"halab bundle build{_options(subject)}"
    try:
        bundle = host.bundle(subject.release, subject.written.kubernetes.source)
    except Corrupted as error:
        return failed(error.message, f"{build} --force")
    if bundle is None:
        return _missing_bundle(host, subject, build)
    broken = _broken_files(bundle)
    if broken:
        return failed(f"missing or truncated: {', '.join(broken)}", f"{build} --force")
    if lacking := _missing_component(host, subject):
        return lacking
    seen = f"Kubernetes {bundle.manifest.kubernetes}, {bundle.manifest.source}, {cache.in_words(bundle.size_bytes)}"
    return ok(seen)


def check_box(host: Host, subject: Subject) -> Finding:
    """The box is in the cache, or can be built."""
    name = subject.written.box
    if is_stock(name):
        return _stock_box(host, name)
    bundle = host.bundle(subject.release, subject.written.kubernetes.source)
    build = f"halab box build {name}{_for_provider(subject)}{_options(subject)}"
    try:
        box = host.box(name, bundle, subject.provider) if bundle else None
    except Corrupted as error:
        return failed(error.message, f"{build} --force")
    if box:
        return ok(f"{name}, {box.key}, {cache.in_words(box.size_bytes)}")
    if host.tool("mmdebstrap") is None:
        return failed(
            "not in the cache, and mmdebstrap, which builds it, is not installed",
            fix.install(host, "mmdebstrap", "debian-archive-keyring", then=build),
        )
    obstacle = host.box_obstacle(subject.provider)
    if obstacle:
        fixes = [_then(obstacle.hint, build)] if obstacle.hint else []
        if isinstance(obstacle, NoUserNamespace):
            fixes.append(fix.as_root_with_environment(host, build))
        return failed(f"not in the cache, and it cannot be built: {obstacle.message}", *fixes or [build])
    return warning(f"not in the cache; `halab up` builds it (1 to 3 min): {name}", build)


def _stock_box(host: Host, name: str) -> Finding:
    """Vagrant has the box already. Whether it could download it is not checked."""
    if host.tool("vagrant") is None:
        return failed("not found: vagrant, which downloads it", fix.install(host, "vagrant"))
    listed = host.output("vagrant", "box", "list").splitlines()
    if any(line.split(" (")[0].strip() == name and "(libvirt" in line for line in listed):
        return ok(f"{name}, a stock box that Vagrant has; `halab up` copies the bundle to the machines")
    return warning(
        f"a stock box that Vagrant does not have yet; `halab up` downloads it: {name}",
        f"vagrant box add {name} --provider libvirt",
    )


def _missing_bundle(host: Host, subject: Subject, build: str) -> Finding:
    """Try the sources in the order in which a build prefers them."""
    wanted = subject.written.kubernetes.source
    sources = [BundleSource.RELEASE, BundleSource.MODULES] if wanted is BundleSource.AUTO else [wanted]
    problems: dict[BundleSource, HalabError] = {}
    for source in sources:
        problem = host.bundle_obstacle(subject.release, source)
        if problem is None:
            how = (
                "downloads it"
                if source is BundleSource.RELEASE
                else "builds it with Go (10 to 15 min on 2 cores)"
            )
            return warning(
                f"not in the cache; `halab up` {how}: Kubernetes {subject.release.kubernetes}", build
            )
        problems[source] = problem
    reasons = "; ".join(f"{source}: {problem.message}" for source, problem in problems.items())
    hints = [f"{source}: {problem.hint}" for source, problem in problems.items() if problem.hint]
    return failed(f"not in the cache, and no source is available: {reasons}", *hints)


def _missing_component(host: Host, subject: Subject) -> Finding | None:
    """The first image beside the bundle that the lab needs and the cache lacks; None if it has all."""
    for wanted in components.needed(subject.lab_dir):
        build = component.build_command(wanted)
        try:
            if host.component(wanted):
                continue
        except Corrupted as error:
            return failed(error.message, f"{build} --force")
        if obstacle := host.component_obstacle(wanted):
            hints = [obstacle.hint] if obstacle.hint else []
            return failed(f"not in the cache, and it cannot be built: {wanted}: {obstacle.message}", *hints)
        return warning(f"not in the cache; `halab up` builds it with Go ({wanted.minutes}): {wanted}", build)
    return None


def _broken_files(bundle: Bundle) -> list[str]:
    """Compare only sizes: checksums take seconds, and every use of the bundle compares them."""

    def is_complete(name: str, size: int) -> bool:
        path = bundle.path / name
        return path.is_file() and path.stat().st_size == size

    return [name for name, record in bundle.manifest.files.items() if not is_complete(name, record.size)]


def _then(hint: str, build: str) -> str:
    return hint if hint == BUILD_ELSEWHERE else f"{hint} && {build}"


def _for_provider(subject: Subject) -> str:
    return " --provider libvirt" if subject.provider is ProviderKind.LIBVIRT else ""


def _options(subject: Subject) -> str:
    written = subject.written.kubernetes
    version = f" --kubernetes {written.version}"
    return version if written.source is BundleSource.AUTO else f"{version} --source {written.source}"


CHECKS = (
    Check("bundle", "it holds the Kubernetes that the lab runs", check_bundle),
    Check("box", "machines start from it; it contains the bundle", check_box),
)
