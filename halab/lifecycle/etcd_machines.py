"""etcd on machines of its own: its members are started before the first API server needs them, and replaced if lost."""

from __future__ import annotations

from functools import partial

from halab.clock import Clock, Deadline, NotYet, wait_for
from halab.cluster import departure, etcd, member_list
from halab.cluster.departure import JOINED
from halab.errors import HalabError, LabProblem
from halab.lifecycle.scripts import Scripts
from halab.machines.guests import Guests, on_all
from halab.progress import Progress
from halab.topology.lab import Lab, Machine

# Measured on 2 cores with three etcd machines: the certificates take 3 s, and all members answer 8 s later.
_START_SECONDS = 300
_SCRIPT_SECONDS = 120
# Without the time and the stream, which containerd puts in front.
_LAST_ERROR = (
    "find /var/log/pods -path '*/kube-system_etcd-*.log' -exec cat {} + 2>/dev/null | "
    "cut -d ' ' -f 4- | grep -E '\"level\":\"(error|fatal|panic)\"|^[^{]*(rror|nvalid)' | tail -n 1"
)
_CA = "the CA of etcd"
# Where API servers keep everything. Other programs may have keys elsewhere.
_REGISTRY = "/registry/"
_REBUILD = "rebuild the lab: `halab down && halab up`"


class EtcdMachines:
    """Starts and replaces the members of a lab. It has nothing to do if the members are on the control planes."""

    def __init__(self, lab: Lab, guests: Guests, progress: Progress, clock: Clock, scripts: Scripts) -> None:
        self._lab = lab
        self._guests = guests
        self._progress = progress
        self._clock = clock
        self._scripts = scripts

    def run(self, *, is_new_cluster: bool) -> int:
        """Start the members that do not run yet. Return the number of changes.

        Raises LabProblem if no member is left of a cluster that is not new.
        """
        names = [machine.name for machine in self._lab.etcd_machines]
        joined = on_all(names, self._has_joined)
        missing = [name for name in names if not joined[name]]
        if not missing:
            return 0
        with self._progress.step(
            f"start etcd on {', '.join(missing)}", limit_seconds=self._scripts.limit(_START_SECONDS)
        ):
            if len(missing) == len(names):
                if not is_new_cluster:
                    raise LabProblem(
                        "all etcd machines were lost, and with them the data of the cluster",
                        hint=_REBUILD,
                    )
                return self._found(names)
            # one after another: each changes the list of members, which needs a majority of them
            return sum(self._replace(self._lab.machine(name)) for name in missing)

    def replace(self, machine: Machine) -> int:
        """Let a machine that was created again take the place of the lost one. Return the number of changes."""
        if self._has_joined(machine.name):
            return 0
        with self._progress.step(
            f"start etcd on {machine.name}", limit_seconds=self._scripts.limit(_START_SECONDS)
        ):
            return self._replace(machine)

    def prepare(self, control_plane: str, *, was_complete: bool) -> None:
        """Give the first control plane what its API server needs to ask etcd, and let a new cluster begin with no data.

        There is data if an earlier `kubeadm init` was interrupted: it was made for another CA, and is deleted. Raises
        LabProblem if there is data and the lab `was_complete` once: it is the user's, and nothing else has it.
        """
        if not self._lab.has_external_etcd:
            return
        member = self._lab.members[0].name
        if was_complete and self._has_data(member):
            raise LabProblem(
                "all control planes were lost, and with them the CA of the cluster; etcd still has the data",
                hint=f"save the data first if you need it; {_REBUILD}, which deletes it",
            )
        self._guests.run(
            member, etcd.command(f"del --prefix {_REGISTRY}", limit_seconds=30), timeout_seconds=40
        )
        client = self._secret(member, "etcd-client.sh", "a certificate for API servers")
        self._scripts.put(control_plane, "etcd-client", client)

    def _found(self, names: list[str]) -> int:
        """Start all members of a new cluster at once: none of them answers before a majority runs.

        They are marked when all of them answer. If this was interrupted before, it is repeated, and changes nothing of
        what is already right.
        """
        ca = self._secret(names[0], "etcd-ca.sh", _CA)
        changes = on_all(names, lambda name: self._start(name, "new", ca))
        deadline = self._deadline(_START_SECONDS)
        wait_for("etcd to answer on all its machines", partial(self._require_answers, names), deadline)
        on_all(names, self._mark)
        return sum(changes.values())

    def _replace(self, machine: Machine) -> int:
        """Let an empty member take the place of a lost one. A member that votes already is only marked."""
        peer = etcd.healthy_peer(self._guests, self._lab, machine.name)
        if self._answers(machine.name) and etcd.votes(self._guests, peer, str(machine.address)):
            self._mark(machine.name)
            return 1
        deadline = self._deadline(_START_SECONDS)
        add = partial(member_list.add_learner, self._guests, peer, machine)
        wait_for(f"etcd on {peer} to add {machine.name}", add, deadline)
        changes = self._start(machine.name, "existing", self._secret(peer, "etcd-ca.sh", _CA))
        wait_for(f"etcd on {machine.name} to vote", partial(self._promote, machine, peer), deadline)
        self._mark(machine.name)
        return changes

    def _promote(self, machine: Machine, peer: str) -> None:
        member_list.promote(self._guests, peer, machine)
        self._require_answers([machine.name])

    def _start(self, name: str, state: str, ca: str) -> int:
        self._scripts.put(name, "etcd-material", f"{state}\n{ca}")
        return self._scripts.run(name, "etcd.sh", _SCRIPT_SECONDS)

    def _require_answers(self, names: list[str]) -> None:
        silent = [name for name, answers in on_all(names, self._answers).items() if not answers]
        if silent:
            raise NotYet(f"no answer from {', '.join(silent)}{self._why(silent[0])}")

    def _why(self, name: str) -> str:
        """The last error in the log of a member, after a colon; nothing if there is none."""
        try:
            line = self._guests.run(name, _LAST_ERROR, check=False).output.strip()
        except HalabError:
            return ""
        return f": {line[:200]}" if line else ""

    def _answers(self, name: str) -> bool:
        """Whether its member answers with a majority behind it."""
        try:
            return self._guests.run(name, etcd.command("endpoint health"), check=False).code == 0
        except HalabError:
            return False

    def _has_data(self, name: str) -> bool:
        """Whether etcd has objects of Kubernetes."""
        asked = etcd.command(f"get --prefix {_REGISTRY} --keys-only --limit=1")
        return bool(self._guests.run(name, asked).output.strip())

    def _has_joined(self, name: str) -> bool:
        return departure.has_joined(self._guests, name)

    def _mark(self, name: str) -> None:
        self._guests.run(name, f"date -Is >{JOINED}")

    def _secret(self, machine: str, script: str, what: str) -> str:
        return self._scripts.secret(machine, script, what, _SCRIPT_SECONDS)

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline.after(self._clock, self._scripts.limit(seconds))
