"""Ask the host every question at the same time, and say what it came to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from halab.config.lab import ProviderKind
from halab.doctor import (
    acceleration,
    capacity,
    engines,
    images,
    lab_file,
    lab_network,
    libvirt,
    libvirt_networks,
    storage,
    time_source,
    tools,
)
from halab.doctor.check import Check, CheckResult, CheckState, Pace, Subject, failed, remote, skipped
from halab.doctor.host import Host, RealHost
from halab.errors import HalabError, HostProblem
from halab.lifecycle.lab import LabDir

CHECKS: Sequence[Check] = (
    *lab_file.CHECKS,
    *lab_network.CHECKS,
    *tools.CHECKS,
    *engines.CHECKS,
    *capacity.CHECKS,
    *images.CHECKS,
    *time_source.CHECKS,
    *acceleration.CHECKS,
    *libvirt.CHECKS,
    *storage.CHECKS,
    *libvirt_networks.CHECKS,
)

_REPORT = "halab doctor --json  # and report it as a defect of halab"


@dataclass(frozen=True)
class Report:
    """The results in the order of the checks."""

    lab: str
    provider: ProviderKind
    results: Sequence[CheckResult]

    @property
    def could_run(self) -> bool:
        return not any(result.stops_the_lab for result in self.results)

    def count(self, state: CheckState) -> int:
        """Among the checks that the lab needs."""
        return sum(result.needed and result.state is state for result in self.results)

    @property
    def hidden(self) -> Sequence[str]:
        """What the lab needs and only root can look at."""
        return [result.name for result in self.results if result.needed and result.needs_root]

    def as_json(self) -> dict[str, object]:
        return {
            "lab": self.lab,
            "provider": self.provider,
            "could_run": self.could_run,
            "checks": [
                {
                    "name": each.name,
                    "state": each.state,
                    "needed": each.needed,
                    "seen": each.seen,
                    "why": each.why,
                    "fixes": list(each.fixes),
                    "needs_root": each.needs_root,
                }
                for each in self.results
            ],
        }


def examine(place: LabDir, host: Host | None = None, checks: Iterable[Check] = CHECKS) -> Report:
    subject = Subject(place)
    asked = list(checks)
    real = host or RealHost(place.written.provider_uri)
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        pending = [
            pool.submit(_result, check, real, subject) for check in asked if check.pace is not Pace.LONG
        ]
        # in the main thread, which a Ctrl-C reaches
        results = [_result(check, real, subject) for check in asked if check.pace is Pace.LONG]
        results += [each.result() for each in pending]
    order = [check.name for check in asked]
    return Report(place.name, subject.provider, sorted(results, key=lambda each: order.index(each.name)))


def require(place: LabDir, host: Host | None = None) -> list[CheckResult]:
    """What `up` needs of the host: HostProblem that names every failed check, or else the warnings worth a word.

    It asks what is quick, in a quarter of a second. For virtual machines also whether Vagrant has its plugin, and
    for the proof that KVM boots a guest: without one, they would hang for minutes before anything is said.
    """
    provider = Subject(place).provider
    asked = [check for check in CHECKS if check.is_for_up and provider in check.needed_by]
    report = examine(place, host, asked)
    lacking = [result for result in report.results if result.stops_the_lab]
    if lacking:
        raise HostProblem(
            "\n".join(["this host cannot run the lab", *(f"{each.name}: {each.seen}" for each in lacking)]),
            hint="\n".join(_hint(each) for each in lacking if each.fixes)
            + "\nall that was seen, with every way to put it right: `halab doctor`",
        )
    told = {check.name for check in asked if check.told_at_up}
    return [each for each in report.results if each.name in told and each.state is CheckState.WARNING]


def _hint(result: CheckResult) -> str:
    first, *others = result.fixes
    return "\n".join([f"{result.name}: {first}", *(f"  or: {each}" for each in others)])


def _result(check: Check, host: Host, subject: Subject) -> CheckResult:
    try:
        there = remote(host, subject) if check.of_the_machines_host else None
        finding = skipped(f"not asked: machines are on {there}") if there else check.look(host, subject)
    except HalabError as error:
        # an answer that no check expects says what is wrong in its own words
        finding = failed(error.message, *([error.hint] if error.hint else []))
    except OSError as error:
        finding = failed(str(error))
    except (ValueError, LookupError) as error:
        # of a tool that says something in another form than it is known for
        finding = failed(
            f"an answer that halab does not understand: {type(error).__name__}: {error}", _REPORT
        )
    needed = subject.provider in check.needed_by
    return CheckResult(
        check.name, finding.state, finding.seen, check.why, finding.fixes, needed, finding.needs_root
    )
