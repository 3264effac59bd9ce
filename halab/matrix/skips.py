"""Which scenarios a lab cannot run, as far as its file decides. No machine is asked. Pure."""

from __future__ import annotations

from halab.config import kubernetes, lab_rules
from halab.config.lab import LabFile, ProviderKind
from halab.config.lab_traits import Capability, LabTraits
from halab.config.roles import Role
from halab.config.scenario import Scenario
from halab.faults.capabilities import ruled_out
from halab.faults.catalogue import FAULTS


def lacking(written: LabFile, scenario: Scenario, *, twin: bool = False) -> str:
    """Why a lab cannot run a scenario or its losing twin; empty if it may: the machines decide about the rest.

    With `provider: auto`, only what neither provider can do.
    """
    played = scenario.losing() if twin else scenario
    is_open = written.provider is ProviderKind.AUTO
    providers = (ProviderKind.DOCKER, ProviderKind.LIBVIRT) if is_open else (written.provider,)
    reasons = [played.lacking_in(_traits(written, provider), FAULTS) for provider in providers]
    return "; ".join(reasons[0]) if all(reasons) else ""


def _traits(written: LabFile, provider: ProviderKind) -> LabTraits:
    """The traits that a lab has at best."""
    roles = list(lab_rules.names(written).values())
    without = ruled_out(provider, written.disk_cache, has_name=lab_rules.endpoint_name(written) is not None)
    return LabTraits(
        kubernetes=kubernetes.resolve(written.kubernetes.version).kubernetes,
        provider=provider,
        load_balancer=written.load_balancer.kind,
        control_planes=roles.count(Role.CONTROL_PLANE),
        workers=roles.count(Role.WORKER),
        balancers=roles.count(Role.LOAD_BALANCER),
        etcd_machines=roles.count(Role.ETCD),
        capabilities=frozenset(Capability) - without.keys(),
        lacking=without,
    )
