"""The content of `halab status`: machines, leaders, and why the lab is not steady."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from halab.cluster import node_choice
from halab.cluster.steady import Observation, observe
from halab.config.component_settings import SourceState
from halab.faults.journal import Entry, Journal
from halab.lifecycle import access, machine_info, providers, sizes, source_record, versions
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.machines.host import allocation
from halab.machines.provider import MachineInfo
from halab.topology.lab import Lab


@dataclass(frozen=True)
class Status:
    lab: Lab
    machines: dict[str, MachineInfo]
    seen: Observation
    open_faults: tuple[Entry, ...]
    # a drill is running: its break is a secret
    drill_is_on: bool = False
    # node → the control plane whose API server its kubelet is connected to
    choices: Mapping[str, str] = field(default_factory=dict)
    # the breaks of a game day are secrets, too
    game_day_is_on: bool = False
    # the version of Kubernetes that the lab was built with; empty if it was never upgraded
    built_with: str = ""
    # component → the checkout that it was built from
    sources: Mapping[str, SourceState] = field(default_factory=dict)

    @property
    def steady(self) -> bool:
        return self.seen.steady and not self.open_faults

    @property
    def missing(self) -> tuple[str, ...]:
        return self.seen.missing

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of a lab that may be steady.

        That it was upgraded, the versions of components that its file chooses, the source code that components were
        built from, and which API servers halab asked itself if the load balancer checks backends in general.
        """
        notes: list[str] = []
        version = self.lab.release.kubernetes
        if self.built_with not in ("", version):
            notes.append(f"the lab was upgraded from Kubernetes {self.built_with} to {version}")
        if self.lab.own_versions:
            chosen = ", ".join(map(" ".join, self.lab.own_versions.items()))
            notes.append(f"the lab file chooses other versions than those of Kubernetes {version}: {chosen}")
        notes += [f"{component} is built from {source}" for component, source in self.sources.items()]
        kind, names = self.lab.load_balancer.kind, ", ".join(self.seen.unchecked)
        if names and kind.checks_backends:
            notes.append(f"{kind.program} does not check {names}: halab asked for /readyz itself")
        return tuple(notes)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Machine, address, state, and roles (leader of …, backend …, load balancer)."""
        return [
            (
                machine.name if machine.hostname == machine.name else f"{machine.name} ({machine.hostname})",
                str(machine.address),
                self._state(machine.name),
                ", ".join(self._roles(machine.name)),
            )
            for machine in self.lab.machines
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "lab": self.lab.name,
            "kubernetes": self.lab.release.kubernetes,
            "versions": self.lab.versions,
            "sources": {component: asdict(source) for component, source in self.sources.items()},
            "endpoint": self.lab.endpoint,
            "load_balancer": str(self.lab.load_balancer.kind),
            "steady": self.steady,
            "missing": list(self.missing),
            "open_faults": [str(fault) for fault in self.open_faults],
            "drill_is_on": self.drill_is_on,
            "game_day_is_on": self.game_day_is_on,
            "etcd": str(self.lab.etcd_topology),
            "members": list(self.seen.members),
            "leaders": self.seen.leaders,
            **({"vip_holders": list(self.seen.holders)} if self.lab.virtual_address else {}),
            **({"backends_of": dict(self.choices)} if self.lab.load_balancer.kind.nodes_choose else {}),
            **({"records": list(self.seen.records)} if self.lab.has_dns else {}),
            "backends": self.seen.backends,
            "unchecked_backends": list(self.seen.unchecked),
            "machines": [
                {
                    "name": machine.name,
                    "hostname": machine.hostname,
                    "address": str(machine.address),
                    "state": self._state(machine.name),
                }
                for machine in self.lab.machines
            ],
        }

    def _state(self, machine: str) -> str:
        if machine not in self.machines:
            return "missing"
        if self.machines[machine].paused:
            return "frozen"
        return "running" if self.machines[machine].running else "stopped"

    def _roles(self, machine: str) -> list[str]:
        roles = [f"{role} leader" for role, leader in self.seen.leaders.items() if leader == machine]
        if machine in self.seen.backends:
            roles.append(f"backend {self.seen.backends[machine]}")
        if machine in self.seen.holders:
            roles.append(f"has {self.lab.virtual_address}")
        if machine in self.seen.records:
            roles.append(f"record of {self.lab.endpoint_name}")
        if self.lab.has_external_etcd and machine in self.seen.members:
            roles.append("etcd member")
        if self.lab.machine(machine) in self.lab.balancing_machines:
            own = self.lab.balancer_file
            roles.append(f"{self.lab.load_balancer.kind.service}{f' with {own.path.name}' if own else ''}")
        if machine in self.choices:
            roles.append(f"kubelet uses {self.choices[machine]}")
        return roles


def read_status(lab_dir: LabDir) -> Status:
    """Ask the provider and, if all machines run, the cluster."""
    lab = labs.allocated(lab_dir)
    machine_info.require_same(lab_dir.file, lab_dir.work, lab)
    machines = {info.machine: info for info in providers.machines(lab_dir, lab).infos()}
    not_running = [
        machine.name
        for machine in lab.machines
        if not (machine.name in machines and machines[machine.name].running)
    ]
    held = allocation.of(lab_dir.work.path)
    restoring, scaling = labs.restoring(lab_dir), sizes.target(held)
    choices: dict[str, str] = {}
    if machines and not machine_info.has_keys(lab_dir.work):
        seen = Observation(
            (labs.NO_KEYS.format(work=lab_dir.work.path) + "; rebuild the lab with `halab up`",)
        )
    elif restoring:
        seen = Observation((f"restoring the snapshot {restoring} was interrupted",))
    elif scaling:
        seen = Observation((f"scaling the lab to {scaling} was interrupted: continue with `halab scale`",))
    elif versions.target(held):
        seen = Observation(
            (f"{versions.interrupted(held, 'upgrading the lab')}: continue with `halab upgrade`",)
        )
    elif lab_dir.work.kept.exists():
        seen = Observation(("the lab is down and was kept: start it with `halab up`",))
    elif not_running:
        seen = Observation(tuple(f"{name} does not run" for name in not_running))
    elif not lab_dir.work.kubeconfig.exists():
        seen = Observation(("`halab up` is still running or has failed",))
    else:
        guests = access.guests(lab_dir)
        with access.api(lab_dir, lab) as api:
            seen = observe(guests, api, lab)
        choices = node_choice.all_of(guests, lab)
    work = lab_dir.work
    open_faults = [] if work.hides_faults else Journal(work.journal).open_faults()
    built_with = held.upgraded.built if held and held.upgraded else ""
    sources = {name: state for name, state in source_record.states(work).items() if name in lab.sources}
    return Status(
        lab,
        machines,
        seen,
        tuple(open_faults),
        work.has_drill,
        choices,
        work.has_game_day,
        built_with,
        sources,
    )
