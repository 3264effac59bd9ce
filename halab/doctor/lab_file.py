"""Checks of the provider and the name in the lab file."""

from __future__ import annotations

from halab.config.lab import ProviderKind
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok
from halab.doctor.host import Host


def provider(host: Host, subject: Subject) -> Finding:
    if subject.written.provider is not ProviderKind.AUTO:
        return ok(f"{subject.provider}, from the lab file")
    is_decided = host.allocation(subject.lab_dir) is not None
    return ok(f"{subject.provider}, {'chosen by the first `halab up`' if is_decided else 'chosen by auto'}")


def unused_name(host: Host, subject: Subject) -> Finding:
    name = subject.written.name
    other = host.lab_of_same_name(subject.lab_dir)
    if other is None:
        return ok(name)
    return failed(
        f"another lab on this host is called {name}: {other.parent}",
        f"name: {name}2  # in {subject.file}, or any other name",
        f"cd {other.parent} && halab down",
    )


CHECKS = (
    Check(
        "provider",
        "it decides whether the machines are virtual machines or containers",
        provider,
        pace=Pace.QUICK,
    ),
    Check(
        "name", "docker and libvirt know the machines by the name of their lab", unused_name, pace=Pace.QUICK
    ),
)
