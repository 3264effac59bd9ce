"""Provisioning in order: set up every machine, init the first control plane, then join the others one by one."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from functools import partial

from halab import process
from halab.clock import Clock
from halab.cluster import departure, etcd, healthy_control_plane
from halab.cluster.join import JoinOptions, read_attempt
from halab.config.applied import When
from halab.errors import BadFile, HalabError, LabProblem, ScriptFailed
from halab.lifecycle import connections, own_images, own_scripts, script_log
from halab.lifecycle.etcd_machines import EtcdMachines
from halab.lifecycle.own_images import NO_IMAGES, NodeImages
from halab.lifecycle.payload import Payload
from halab.lifecycle.scripts import Scripts
from halab.machines.guests import Guests, on_all, once_it_answers
from halab.machines.work import Work
from halab.printable import counted
from halab.progress import Progress
from halab.topology import balancer, balancer_messages, keepalived
from halab.topology.files import BALANCER_SCRIPT, DISKS_SCRIPT, has_disks_script
from halab.topology.lab import Lab, Machine

# Measured on 2 cores: a node's own set-up takes 2 s, init 8 s.
_NODE_SECONDS = 180
# A file system is made in a second; then it gets what the folder has, which may be the unpacked images of the bundle.
_DISKS_SECONDS = 120
_INIT_SECONDS = 420
# A stock box downloads missing packages from its distribution.
_BASE_SECONDS = 900
# kubeadm's client certificate for its own health checks. halab uses it only to ask members for their status.
_ETCD_CLIENT = (
    "cd /etc/kubernetes/pki/etcd && "
    "for file in ca.crt healthcheck-client.crt healthcheck-client.key; do base64 -w0 $file; echo; done"
)


class Provisioner:
    """Runs the rendered scripts of a lab on its machines. The scripts skip what is done already."""

    def __init__(
        self,
        lab: Lab,
        work: Work,
        guests: Guests,
        progress: Progress,
        clock: Clock,
        payload: Payload | None = None,
        images: NodeImages = NO_IMAGES,
    ) -> None:
        self._lab = lab
        self._images = images
        self._payload = payload
        self._clock = clock
        self._work = work
        self._guests = guests
        self._progress = progress
        self._scripts = Scripts(lab, work, guests)
        # the control plane through which the others join
        self._through = lab.control_planes[0].name
        self._etcd = EtcdMachines(lab, guests, progress, clock, self._scripts)

    def run(self, *, balancers_last: bool = False) -> int:
        """Provision all machines. Return the number of changes.

        With `balancers_last`, the load balancers send nothing to a new control plane before it has joined.
        """
        balancers = self._lab.balancers if balancers_last else ()
        first = [machine for machine in self._lab.machines if machine not in balancers]
        changes = self._set_up_machines(first, keep_servers=balancers_last)
        joined = on_all([machine.name for machine in self._lab.nodes], self._has_joined)
        if not all(joined.values()):
            connections.require(self._lab, self._guests, self._clock, self._progress)
        members = [machine.name for machine in self._lab.control_planes if joined[machine.name]]
        changes += self._etcd.run(is_new_cluster=not members)
        if members:
            # not always the first control plane: if that one was lost, it joins the others
            self._through = members[0]
        else:
            self._etcd.prepare(self._through, was_complete=self._work.kubeconfig.exists())
            with self._progress.step(
                f"kubeadm init on {self._through}", limit_seconds=self._scripts.limit(_INIT_SECONDS)
            ):
                changes += self._scripts.run(self._through, "init.sh", _INIT_SECONDS)
        others = [machine for machine in self._lab.nodes if machine.name != self._through]
        missing = [machine for machine in others if not joined[machine.name]]
        changes += self._join_in_turn(missing, is_new_cluster=not members)
        if balancers_last:
            changes += self.set_up_balancers()
        if members and self._lab.balancing_machines:
            self._report_new_configuration()
        return changes + self._run_scripts_after()

    def set_up_balancers(self) -> int:
        """Let the load balancers run with the rendered configuration. Return the number of changes."""
        if self._lab.balancers:
            return self._set_up_machines(self._lab.balancers)
        names = [machine.name for machine in self._lab.balancing_machines]
        if not names:
            return 0
        with self._progress.step(
            f"set up {counted(len(names), 'load balancer')}",
            limit_seconds=self._scripts.limit(_NODE_SECONDS),
        ) as step:
            changes = sum(on_all(names, self._set_up_balancer).values())
            step.done(counted(changes, "change") if changes else "nothing to change")
        return changes

    @property
    def joined_control_plane(self) -> str:
        """A control plane that has joined."""
        return self._through

    def rejoin(self, machine: Machine, options: JoinOptions) -> None:
        """Set up one machine that was created again, and join it to the cluster of the machines that are left."""
        with self._progress.step(f"set up {machine.name}", limit_seconds=self._set_up_limit):
            self._set_up(machine.name)
        if machine in self._lab.etcd_machines:
            self._etcd.replace(machine)
        elif machine.is_node and not self._has_joined(machine.name):
            self._through = healthy_control_plane.find(self._guests, self._lab, without=machine.name)
            if options.forget_lost:
                departure.forget(self._lab, self._guests, self._clock, self._through, machine)
            self._join(machine, options)
        self._run_script_after(machine.name)

    def kubeconfig(self) -> str:
        """An administrator's kubeconfig that goes through the load balancer, by its address: for this host."""
        written = self._guests.run(self._through, "cat /etc/kubernetes/admin.conf").output
        return written.replace(
            f"server: https://{self._lab.endpoint}", f"server: https://{self._lab.endpoint_address}"
        )

    def etcd_client(self) -> tuple[str, str, str]:
        """etcd's CA, and the certificate and the key of a client of its members."""
        machine = self._lab.members[0].name if self._lab.has_external_etcd else self._through
        lines = self._guests.run(machine, _ETCD_CLIENT).output.split()
        try:
            ca, certificate, key = (b64decode(line, validate=True).decode() for line in lines)
        except ValueError as error:
            raise LabProblem(f"{machine} did not print a client certificate for etcd") from error
        return ca, certificate, key

    def _set_up_machines(self, machines: Sequence[Machine], *, keep_servers: bool = False) -> int:
        names = [machine.name for machine in machines]
        with self._progress.step(
            f"set up {counted(len(names), 'machine')}", limit_seconds=self._set_up_limit
        ) as step:
            set_up = partial(self._set_up, keep_servers=keep_servers)
            changes = sum(on_all(names, set_up).values())
            step.done(counted(changes, "change") if changes else "nothing to change")
        for what in sorted(
            {what for _, what in self._scripts.changed if what.startswith(("ran ", "imported "))}
        ):
            self._progress.say(
                f"{what} on {', '.join(name for name in names if (name, what) in self._scripts.changed)}"
            )
        return changes

    def _run_scripts_after(self) -> int:
        """Run the user's scripts that run after all machines have joined. Return the number of changes."""
        if not own_scripts.has(self._lab, When.AFTER):
            return 0
        with self._progress.step(
            "run the scripts after the joins", limit_seconds=self._scripts.limit(own_scripts.SECONDS)
        ) as step:
            run = on_all([machine.name for machine in self._lab.machines], self._run_script_after)
            ran = [name for name, changes in run.items() if changes]
            step.done(f"ran on {', '.join(ran)}" if ran else "nothing to change")
        return sum(run.values())

    def _run_script_after(self, name: str) -> int:
        return own_scripts.run(self._lab, self._lab.machine(name), When.AFTER, self._scripts.run)

    def _set_up(self, name: str, *, keep_servers: bool = False) -> int:
        """Set up a machine. With `keep_servers`, a load balancer on a node that has joined keeps its old servers."""
        machine = self._lab.machine(name)
        # the machine runs, but an interrupted `up` may have started it a moment ago
        once_it_answers(name, lambda: self._guests.run(name, "true"), self._clock, self._lab.patience)
        changes = 0
        if has_disks_script(self._lab, machine):
            changes += self._scripts.run(name, DISKS_SCRIPT, _DISKS_SECONDS)
        if self._lab.has_stock_box:
            changes += self._scripts.run(name, "base.sh", _BASE_SECONDS)
        changes += own_scripts.run(self._lab, machine, When.BEFORE, self._scripts.run)
        if not machine.has_kubelet:
            return changes + self._set_up_balancer(name)
        changes += self._set_up_node(name)
        # kubeadm on this node goes through it
        if machine in self._lab.balancing_machines and not (keep_servers and self._has_joined(name)):
            changes += self._set_up_balancer(name)
        return changes + self._import_images(name)

    def _set_up_node(self, name: str) -> int:
        payload = self._payload
        if payload is None or payload.is_there(self._guests, name):
            return self._scripts.run(name, "node.sh", _NODE_SECONDS)
        changes = payload.send(self._guests, name, self._lab.patience)
        # from here on the programs run, and containerd accepts images
        changes += self._scripts.run(name, "node.sh", _NODE_SECONDS)
        payload.import_images(self._guests, name, self._lab.patience, log=self._work.logs / f"{name}.log")
        return changes + 1

    def _set_up_balancer(self, name: str) -> int:
        """Set up the load balancer. Raises BadFile if it rejects a configuration of the user's own."""
        try:
            return self._scripts.run(name, BALANCER_SCRIPT, _NODE_SECONDS)
        except ScriptFailed as error:
            files = [balancer.configuration(self._lab)]
            if self._lab.virtual_address:
                files.append(keepalived.configuration(self._lab, self._lab.machine(name)))
            for configuration in files:
                rendered = self._work.path / "provision" / name / configuration.name
                problems = balancer_messages.problems(error.output, configuration, str(rendered))
                if configuration.own and problems:
                    hint = f"{name} keeps its old configuration; change {configuration.own.path}"
                    raise BadFile(problems, hint=hint) from error
            raise

    def _report_new_configuration(self) -> None:
        """Say that a second `up` changed the configuration of the load balancer."""
        kind, own = self._lab.load_balancer.kind, self._lab.balancer_file
        files = [(kind.service, balancer.path_of(self._lab), own)]
        files += [("keepalived", keepalived.PATH, self._lab.keepalived_file)]
        names = [machine.name for machine in self._lab.balancing_machines]
        for program, path, written in files:
            if changed := [name for name in names if (name, path) in self._scripts.changed]:
                run = "runs" if len(changed) == 1 else "run"
                which = f": {written.path}" if written else ""
                self._progress.say(
                    f"{' and '.join(changed)} {run} {program} with a new configuration{which}"
                )

    def _import_images(self, name: str) -> int:
        imported = own_images.bring(self._images.of(self._lab, name), self._guests, name, self._lab.patience)
        self._scripts.changed.update((name, f"imported {archive.name}") for archive in imported)
        return len(imported)

    def _join_in_turn(self, machines: Sequence[Machine], *, is_new_cluster: bool) -> int:
        """Join one machine after another: etcd takes one learner at a time.

        The next join begins as soon as the previous member has a vote, before the previous join has ended: the rest
        of a join, its wait for the machine's own API server and controllers (5 s), disturbs no other join. In a new
        cluster, earlier joins left nothing that must be removed.
        """
        with ThreadPoolExecutor(max_workers=len(machines) + 1) as pool, process.ended_at_interrupt():
            joins: list[Future[int]] = []
            commands = [pool.submit(self._join_command, self._through)] if machines else []
            for machine in machines:
                if any(join.done() and join.exception() for join in joins):
                    break
                if not is_new_cluster:
                    departure.forget(self._lab, self._guests, self._clock, self._through, machine)
                joins.append(pool.submit(self._join, machine, JoinOptions(), commands[-1]))
                if machine is not machines[-1]:
                    # while this machine joins: it takes seconds
                    commands.append(pool.submit(self._join_command, self._through))
                if machine in self._lab.members:
                    self._wait_for_vote(machine, joins[-1])
            wait(joins)
        return sum(join.result() for join in joins)

    def _wait_for_vote(self, machine: Machine, join: Future[int]) -> None:
        """Wait until the etcd member of a joining machine has a vote, or until its join has succeeded or failed."""
        while not join.done():
            with suppress(HalabError):
                if etcd.votes(self._guests, self._through, str(machine.address)):
                    return
            with suppress(FutureTimeout):
                join.exception(timeout=1)

    def _has_joined(self, name: str) -> bool:
        return departure.has_joined(self._guests, name)

    def _join(self, machine: Machine, options: JoinOptions, join_command: Future[str] | None = None) -> int:
        seconds = options.limit_seconds
        with self._progress.step(
            f"kubeadm join on {machine.name}", limit_seconds=self._scripts.limit(seconds)
        ):
            command = join_command.result() if join_command else self._join_command(self._through)
            if options.before_join:
                options.before_join(self._through)
            self._scripts.put(machine.name, "join-command", command)
            return self._run_join(machine.name, options)

    def _run_join(self, name: str, options: JoinOptions) -> int:
        log = self._work.logs / f"{name}.log"
        begun, before = self._clock.now(), script_log.size(log)

        def report(code: int | None) -> None:
            attempt = read_attempt(script_log.added(log, before), code, self._clock.now() - begun)
            if options.after_join and attempt:
                options.after_join(attempt)

        try:
            changes = self._scripts.run(name, "join.sh", options.limit_seconds)
            report(0)
            return changes
        except ScriptFailed as error:
            report(error.code)
            raise

    def _join_command(self, first: str) -> str:
        return self._scripts.secret(
            first, "join-material.sh", "a join command", _NODE_SECONDS, begins="kubeadm join "
        )

    @property
    def _set_up_limit(self) -> float:
        has_own = own_scripts.has(self._lab, When.BEFORE)
        return self._scripts.limit(
            _NODE_SECONDS
            + (_BASE_SECONDS if self._lab.has_stock_box else 0)
            + (own_scripts.SECONDS if has_own else 0)
            + (
                _DISKS_SECONDS
                if any(has_disks_script(self._lab, each) for each in self._lab.machines)
                else 0
            )
        )
