"""What a lab must have for a drill. No machine is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from halab.config.drill import Drill
from halab.config.lab_traits import Capability, LabTraits
from halab.config.step import Inject
from halab.faults.catalogue import FAULTS
from halab.topology.lab import Lab


def traits_of(
    lab: Lab, capabilities: Collection[str] = (), lacking: Mapping[str, str] | None = None
) -> LabTraits:
    """The traits of a lab. A drill that asks for backends requires a balancer that reports them."""
    return LabTraits(
        kubernetes=lab.release.kubernetes,
        provider=lab.provider,
        load_balancer=lab.load_balancer.kind,
        control_planes=len(lab.control_planes),
        workers=len(lab.nodes) - len(lab.control_planes),
        balancers=len(lab.balancers),
        etcd_machines=len(lab.etcd_machines),
        capabilities=frozenset(capabilities),
        lacking=dict(lacking or {}),
    )


def lacking(lab: Lab, drill: Drill) -> list[str]:
    """Why a lab cannot run a drill, as far as its file decides; empty if it can."""
    return lacking_in(traits_of(lab, frozenset(Capability)), drill)


def lacking_in(traits: LabTraits, drill: Drill) -> list[str]:
    """Why a lab with these traits cannot run a drill; empty if it can. The faults of its break have needs, too."""
    faults = [step.fault for step in drill.breaks if isinstance(step, Inject)]
    return drill.requires.lacking_in(traits, sorted(need for name in faults for need in FAULTS[name].needs))
