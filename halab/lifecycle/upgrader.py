"""Upgrades the machines of a lab one after another, control planes first. After each, it waits for a steady lab."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from halab.clock import Clock, Deadline, NotYet, RealClock, wait_for
from halab.cluster import departure, healthy_control_plane, kubeadm_config
from halab.cluster.api import Api
from halab.cluster.kube import KUBECTL
from halab.cluster.steady import wait_until_steady
from halab.config.quantities import format_duration
from halab.errors import HalabError, LabProblem, ScriptFailed
from halab.lifecycle import versions
from halab.lifecycle.payload import FORGET_UPGRADE, Payload
from halab.lifecycle.scripts import Scripts
from halab.machines.guests import Guests, on_all
from halab.machines.work import Work
from halab.printable import counted
from halab.progress import Progress, Step
from halab.topology.lab import Lab, Machine

# For a host that does nothing else; a lab's patience stretches them. 1 GB goes to each machine at the same time.
_BRING_SECONDS = 600
_PREFLIGHT_SECONDS = 90
# kubeadm itself waits up to 5 min for each component of a control plane.
_KUBEADM_SECONDS = 900
_NODE_SECONDS = 180
_KUBELET_SECONDS = 60
_ANSWER_SECONDS = 120
_STEADY_SECONDS = 240
# How long the lab must stay steady: a new kubelet may restart the pods of its machine some seconds after its start.
_HOLD_SECONDS = 5
_EVERY_SECONDS = 0.5


@dataclass
class MachineUpgrade:
    """The seconds of each part of the upgrade of one machine: kubeadm, drain, kubelet, steady."""

    name: str
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())

    def __str__(self) -> str:
        return ", ".join(
            f"{part} {format_duration(round(seconds))}" for part, seconds in self.seconds.items()
        )


class Upgrader:
    """Upgrades the machines of a lab to the version of the payload. `lab` is the lab as it will be."""

    def __init__(
        self,
        lab: Lab,
        work: Work,
        guests: Guests,
        api: Api,
        payload: Payload,
        progress: Progress,
        clock: Clock | None = None,
    ) -> None:
        self._lab = lab
        self._work = work
        self._guests = guests
        self._api = api
        self._payload = payload
        self._progress = progress
        self._clock = clock or RealClock()
        self._scripts = Scripts(lab, work, guests)

    def bring(self) -> None:
        """Bring programs and images to the machines that do not have them yet. Nothing runs them yet."""
        missing = [machine.name for machine in self._waiting]
        what = f"bring Kubernetes {self._version} to {counted(len(missing), 'machine')}"
        if missing:
            with self._progress.step(what, limit_seconds=self._scripts.limit(_BRING_SECONDS)):
                on_all(
                    missing,
                    lambda name: self._payload.bring_for_upgrade(self._guests, name, self._lab.patience),
                )

    def preflight(self) -> None:
        """Ask the new kubeadm whether it can upgrade the cluster. Raises LabProblem if not: nothing has changed."""
        first = self._lab.control_planes[0].name
        try:
            with self._progress.step(
                f"kubeadm's checks on {first}", limit_seconds=self._scripts.limit(_PREFLIGHT_SECONDS)
            ):
                self._scripts.run(first, "upgrade-preflight.sh", _PREFLIGHT_SECONDS)
        except ScriptFailed as error:
            on_all(
                [machine.name for machine in self._lab.nodes],
                lambda name: self._guests.run(name, FORGET_UPGRADE, check=False),
            )
            raise LabProblem(f"kubeadm refuses the upgrade:\n{error.output}", hint=error.hint) from error

    def run(self) -> list[MachineUpgrade]:
        """Upgrade the machines that do not have the new version yet. Return what was done with each, in order."""
        if self._waiting:
            deadline = Deadline.after(self._clock, self._scripts.limit(_ANSWER_SECONDS))
            wait_for("the API to answer", self._set_images, deadline, every_seconds=_EVERY_SECONDS)
        return [self._upgrade(machine) for machine in self._waiting]

    def _set_images(self) -> None:
        try:
            kubeadm_config.set_images(self._guests, self._healthy(), self._lab)
        except HalabError as error:
            # after an interruption, the machines may have booted a moment ago
            raise NotYet(error.message.splitlines()[0]) from error

    @property
    def _version(self) -> str:
        return self._lab.release.kubernetes

    @cached_property
    def _waiting(self) -> list[Machine]:
        """The machines that did not have the whole new version at the start, in the order in which they get it."""
        machines = [*self._lab.control_planes, *self._lab.workers]
        there = on_all(
            [machine.name for machine in machines],
            lambda name: self._payload.is_there(self._guests, name),
        )
        return [machine for machine in machines if not there[machine.name]]

    def _healthy(self) -> str:
        return healthy_control_plane.find(self._guests, self._lab)

    def _upgrade(self, machine: Machine) -> MachineUpgrade:
        versions.reach(self._work, machine.name)
        name, done = machine.name, MachineUpgrade(machine.name)
        limit = _KUBEADM_SECONDS + _NODE_SECONDS + _KUBELET_SECONDS + _STEADY_SECONDS
        with self._progress.step(
            f"upgrade {name} to {self._version}", limit_seconds=self._scripts.limit(limit)
        ) as step:
            with self._timed(done, step, "kubeadm"):
                self._scripts.run(name, "upgrade-kubeadm.sh", _KUBEADM_SECONDS)
            if self._lab.workers:
                with self._timed(done, step, "drain"):
                    departure.drain(self._lab, self._guests, self._healthy(), machine)
            with self._timed(done, step, "kubelet"):
                self._scripts.run(name, "upgrade-kubelet.sh", _NODE_SECONDS)
                # the pause image of containerd belongs to the version too
                self._scripts.run(name, "node.sh", _NODE_SECONDS)
                self._wait_for_kubelet(machine)
                self._uncordon(machine)
            with self._timed(done, step, "steady"):
                self._wait_until_steady(step)
            self._payload.complete_upgrade(self._guests, name)
            step.done(str(done))
        return done

    @contextmanager
    def _timed(self, done: MachineUpgrade, step: Step, part: str) -> Iterator[None]:
        step.note(part)
        begun = self._clock.now()
        yield
        done.seconds[part] = self._clock.now() - begun

    def _uncordon(self, machine: Machine) -> None:
        if self._lab.workers:
            self._guests.run(self._healthy(), f"{KUBECTL} uncordon {machine.hostname}", timeout_seconds=30)

    def _wait_for_kubelet(self, machine: Machine) -> None:
        """Wait until the API knows the machine's new kubelet: before, it shows the state that the old one reported."""
        asks = f"{KUBECTL} get node {machine.hostname} -o jsonpath='{{.status.nodeInfo.kubeletVersion}}'"

        def is_new() -> None:
            try:
                seen = self._guests.run(self._healthy(), asks).output.strip()
            except HalabError as error:
                raise NotYet(error.message.splitlines()[0]) from error
            if seen != f"v{self._version}":
                raise NotYet(f"the API has {seen}")

        deadline = Deadline.after(self._clock, self._scripts.limit(_KUBELET_SECONDS))
        wait_for(f"the new kubelet of {machine.name}", is_new, deadline, every_seconds=_EVERY_SECONDS)

    def _wait_until_steady(self, step: Step) -> None:
        """Wait until the lab is steady and has stayed so for a while."""
        deadline = Deadline.after(self._clock, self._scripts.limit(_STEADY_SECONDS))
        wait_until_steady(
            self._guests, self._api, self._lab, deadline, hold_seconds=_HOLD_SECONDS, show=step.note
        )
