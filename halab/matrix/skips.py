"""Which scenarios and drills a lab cannot run, as far as its file decides. No machine is asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from halab.config import kubernetes, lab_rules
from halab.config.lab import LabFile, ProviderKind
from halab.config.lab_traits import Capability, LabTraits
from halab.config.roles import Role
from halab.drill import requirements
from halab.drill.library import DrillScript
from halab.faults.capabilities import ruled_out
from halab.faults.catalogue import FAULTS
from halab.scenario.run.library import Script


@dataclass
class Skips:
    """The members of a matrix, which have different names. Labs that do not differ for them are looked at once."""

    _known: dict[tuple[object, ...], str] = field(default_factory=dict)

    def lacking(
        self, traits: tuple[LabTraits, ...], script: Script | DrillScript, *, twin: bool = False
    ) -> str:
        """Why a lab cannot run a drill, a scenario or its losing twin; empty if it may.

        The machines decide about the rest.
        """
        key = (*map(_compared, traits), script.name, twin)
        if key not in self._known:
            if isinstance(script, DrillScript):
                reasons = [requirements.lacking_in(each, script.drill) for each in traits]
            else:
                played = script.scenario.losing() if twin else script.scenario
                reasons = [played.lacking_in(each, FAULTS) for each in traits]
            self._known[key] = "; ".join(reasons[0]) if all(reasons) else ""
        return self._known[key]


def traits_of(written: LabFile) -> tuple[LabTraits, ...]:
    """The traits that a lab has at best; with `provider: auto`, those with each provider."""
    is_open = written.provider is ProviderKind.AUTO
    providers = (ProviderKind.DOCKER, ProviderKind.LIBVIRT) if is_open else (written.provider,)
    return tuple(_traits(written, provider) for provider in providers)


def _traits(written: LabFile, provider: ProviderKind) -> LabTraits:
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
        capabilities=frozenset(Capability).difference(without),
        lacking={str(name): why for name, why in without.items()},
    )


def _compared(traits: LabTraits) -> tuple[object, ...]:
    """What two labs must have in common. The reasons in `lacking` belong to the capabilities that are missing."""
    return tuple(value for name, value in vars(traits).items() if name != "lacking")
