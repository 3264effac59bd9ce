"""Run the checks at the same time, and report their results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from halab.config.lab import ProviderKind
from halab.doctor import (
    acceleration,
    capacity,
    engines,
    firewall,
    images,
    known_bugs,
    lab_file,
    lab_network,
    libvirt,
    libvirt_networks,
    storage,
    time_source,
    tools,
    vagrant,
)
from halab.doctor.check import (
    LIBVIRT_ONLY,
    Check,
    HostCheckResult,
    HostCheckState,
    Pace,
    Subject,
    failed,
    remote,
    skipped,
)
from halab.doctor.host import Host
from halab.doctor.real_host import RealHost
from halab.errors import HalabError, HostProblem
from halab.lifecycle.lab import LabDir

CHECKS: Sequence[Check] = (
    *lab_file.CHECKS,
    *lab_network.CHECKS,
    *tools.CHECKS,
    *vagrant.CHECKS,
    *engines.CHECKS,
    *capacity.CHECKS,
    *images.CHECKS,
    *known_bugs.CHECKS,
    *time_source.CHECKS,
    *acceleration.CHECKS,
    *libvirt.CHECKS,
    *storage.CHECKS,
    *libvirt_networks.CHECKS,
    *firewall.CHECKS,
)

_REPORT = "halab doctor --json  # and report this output as a bug of halab"


@dataclass(frozen=True)
class Report:
    """`results` are in the order of the checks.

    `libvirt_would_work`: `provider: auto` chose docker, and the checks of libvirt passed too.
    """

    lab: str
    provider: ProviderKind
    results: Sequence[HostCheckResult]
    libvirt_would_work: bool = False

    @property
    def could_run(self) -> bool:
        return not any(result.stops_the_lab for result in self.results)

    def count(self, state: HostCheckState) -> int:
        """The number of results in this state, of the checks that the lab needs."""
        return sum(result.needed and result.state is state for result in self.results)

    @property
    def hidden(self) -> Sequence[str]:
        """The names of the checks that the lab needs and only root can make."""
        return [result.name for result in self.results if result.needed and result.needs_root]

    def as_json(self) -> dict[str, object]:
        return {
            "lab": self.lab,
            "provider": self.provider,
            "could_run": self.could_run,
            "libvirt_would_work": self.libvirt_would_work,
            "checks": [
                {
                    "name": result.name,
                    "state": result.state,
                    "needed": result.needed,
                    "seen": result.seen,
                    "why": result.why,
                    "fixes": list(result.fixes),
                    "needs_root": result.needs_root,
                }
                for result in self.results
            ],
        }


def examine(lab_dir: LabDir, host: Host | None = None, checks: Iterable[Check] = CHECKS) -> Report:
    subject = Subject(lab_dir)
    chosen = list(checks)
    real = host or RealHost(lab_dir.written.provider_uri)
    with ThreadPoolExecutor(max_workers=max(1, len(chosen))) as pool:
        futures = [
            pool.submit(_result, check, real, subject) for check in chosen if check.pace is not Pace.LONG
        ]
        # in the main thread, where Ctrl-C interrupts it
        results = [_result(check, real, subject) for check in chosen if check.pace is Pace.LONG]
        results += [future.result() for future in futures]
    order = [check.name for check in chosen]
    results.sort(key=lambda result: order.index(result.name))
    has_choice = lab_dir.written.provider is ProviderKind.AUTO and subject.provider is ProviderKind.DOCKER
    would_work = has_choice and _passes_libvirt(results, chosen)
    return Report(lab_dir.name, subject.provider, results, would_work)


def _passes_libvirt(results: Iterable[HostCheckResult], checks: Iterable[Check]) -> bool:
    """True if no check failed that the lab needs, and all of libvirt were made, apart from what only root can see."""
    names = {check.name for check in checks if check.needed_by == LIBVIRT_ONLY}
    passed = [
        result.needs_root or result.state in (HostCheckState.OK, HostCheckState.WARNING)
        for result in results
        if result.name in names
    ]
    return bool(passed) and all(passed) and not any(result.stops_the_lab for result in results)


def require(lab_dir: LabDir, host: Host | None = None) -> list[HostCheckResult]:
    """Run the checks of `up`, and return the warnings that it prints. Raises HostProblem with every failed check.

    Takes less than a second. For virtual machines also looks for Vagrant's plugin and boots a guest under KVM:
    without that, machines could hang for minutes before the first error.
    """
    provider = Subject(lab_dir).provider
    checks = [check for check in CHECKS if check.is_for_up and provider in check.needed_by]
    report = examine(lab_dir, host, checks)
    failures = [result for result in report.results if result.stops_the_lab]
    if failures:
        raise HostProblem(
            "\n".join(
                ["this host cannot run the lab", *(f"{result.name}: {result.seen}" for result in failures)]
            ),
            hint="\n".join(_hint(result) for result in failures if result.fixes)
            + "\nall results and fixes: `halab doctor`",
        )
    printed = {check.name for check in checks if check.warns_at_up}
    return [
        result
        for result in report.results
        if result.name in printed and result.state is HostCheckState.WARNING
    ]


def _hint(result: HostCheckResult) -> str:
    first, *others = result.fixes
    return "\n".join([f"{result.name}: {first}", *(f"  or: {fix}" for fix in others)])


def _result(check: Check, host: Host, subject: Subject) -> HostCheckResult:
    try:
        other_host = remote(host, subject) if check.about_machines_host else None
        if other_host:
            finding = skipped(f"not checked: the machines are on {other_host}")
        else:
            finding = check.look(host, subject)
    except HalabError as error:
        # the message of an error that the check does not expect says what is wrong
        finding = failed(error.message, *([error.hint] if error.hint else []))
    except OSError as error:
        finding = failed(str(error))
    except (ValueError, LookupError) as error:
        # the output of a tool has a form that the check does not know
        finding = failed(f"halab does not understand the answer: {type(error).__name__}: {error}", _REPORT)
    needed = subject.provider in check.needed_by
    return HostCheckResult(
        check.name, finding.state, finding.seen, check.why, finding.fixes, needed, finding.needs_root
    )
