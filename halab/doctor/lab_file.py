"""Checks of what the lab file chooses: the provider, the name."""

from __future__ import annotations

from halab.config.lab import ProviderKind
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok
from halab.doctor.host import Host


def provider(host: Host, subject: Subject) -> Finding:
    chosen = "chosen by auto" if subject.written.provider is ProviderKind.AUTO else "as written"
    return ok(f"{subject.provider}, {chosen}")


def free_name(host: Host, subject: Subject) -> Finding:
    name = subject.written.name
    other = host.namesake(subject.place)
    if other is None:
        return ok(name)
    return failed(
        f"another lab on this host is called {name}: {other.parent}",
        f"name: {name}2  # in {subject.file}, or any other name",
        f"cd {other.parent} && halab down",
    )


CHECKS = (
    Check("provider", "it decides what the lab's machines are", provider, pace=Pace.QUICK),
    Check("name", "machines are known to the host by the name of their lab", free_name, pace=Pace.QUICK),
)
