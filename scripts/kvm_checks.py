"""The checks of scripts/verify-kvm. Each yields what it saw, and changes nothing but its own lab."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import kvm_facts
from evidence import Answer, Evidence
from halab_command import HALAB, at_step, begin, kill, lab_objects, processes_in
from kvm_facts import Fact, State

LAB = "verify-kvm"
SNAPSHOT = "verify"
SNAPSHOT_SECONDS = 90
# After `down`, a Vagrant that survived a killed halab makes its next machine within this time.
SURVIVOR_SECONDS = 60
# Of the files of a run: what shows what happened. Samples are large, and checks are halab's own.
RUN_FILES = (
    "meta.json", "result.json", "junit.xml", "timeline.jsonl", "states.jsonl", "checks.xml", "report.html",
)  # fmt: skip


@dataclass
class Trial:
    """The lab of this script, and what the checks pass on to each other."""

    evidence: Evidence
    folder: Path
    accel: str
    control_planes: int
    # multiplies the time limits
    patience: int
    began: float = field(default_factory=time.time)
    is_up: bool = False
    before: Mapping[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return os.environ.get("LIBVIRT_DEFAULT_URI", "qemu:///system")

    def halab(self, name: str, *words: str, limit_seconds: float) -> Answer:
        limit = limit_seconds * self.patience
        return self.evidence.run(name, [HALAB, *words], limit_seconds=limit, cwd=self.folder)

    def inside(self, name: str, machine: str, command: str) -> Answer:
        return self.halab(name, "ssh", machine, "--", command, limit_seconds=60)

    def look(self, name: str, *argv: str, limit_seconds: float = 30) -> Answer:
        return self.evidence.run(name, argv, limit_seconds=limit_seconds)

    def look_as_root(self, name: str, *argv: str) -> Answer:
        """Run a command that only reads, with `sudo -n` for an ordinary user: it never asks for a password."""
        return self.look(name, *(argv if os.geteuid() == 0 else ("sudo", "-n", *argv)))

    def virsh(self, name: str, *words: str) -> Answer:
        return self.look(name, "virsh", "--quiet", "--connect", self.uri, *words)

    def machines(self) -> dict[str, str]:
        """The addresses of the machines."""
        status = self.halab("status", "status", "--json", limit_seconds=60)
        listed = json.loads(status.output or "{}").get("machines", [])
        return {machine["name"]: machine["address"] for machine in listed}

    def domains(self) -> list[str]:
        """The names of the lab's machines in libvirt."""
        argv = ["virsh", "--quiet", "--connect", self.uri, "list", "--all", "--name"]
        listed = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        return [name for name in listed.stdout.split() if name.startswith(f"halab-{LAB}-")]

    def keep_logs(self, name: str) -> None:
        for log in (self.folder / ".halab/logs").glob("*"):
            self.evidence.copy(log, f"{name}/{log.name}")


def _about(answer: Answer, what: str) -> Fact:
    """A command that must succeed."""
    if answer.succeeded:
        return Fact(State.OK, f"{what}: {answer.seconds:.0f} s")
    return Fact(State.FAILED, f"{what}: {answer.why}")


def host(trial: Trial) -> Iterator[Fact]:
    """Groups, /dev/kvm, domain capabilities, versions, and what `halab doctor` says."""
    for name, argv in {
        "system": ("uname", "-a"), "distribution": ("cat", "/etc/os-release"), "processor": ("lscpu",),
        "memory": ("free", "-m"), "disks": ("df", "-h"), "kvm-acl": ("getfacl", "-p", "/dev/kvm"),
        "vhost-net": ("ls", "-l", "/dev/vhost-net", "/sys/module/vhost_net"),
        "halab": (str(HALAB), "--version"), "qemu": ("qemu-system-x86_64", "--version"),
        "vagrant": ("vagrant", "--version"), "vagrant-plugins": ("vagrant", "plugin", "list"),
        "revision": ("git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"),
        "selinux": ("getenforce",), "sudo": ("sudo", "--version"),
    }.items():  # fmt: skip
        trial.look(name, *argv)
    trial.virsh("libvirt", "version", "--daemon")
    trial.before, problems = _access(trial)
    yield Fact(State.OK, kvm_facts.in_words(trial.before))
    yield from problems
    doctor = trial.halab("doctor", "doctor", "--json", limit_seconds=120)
    checks = json.loads(doctor.output or "{}").get("checks", [])
    failed = [check for check in checks if check["needed"] and check["state"] == "failed"]
    for check in failed:
        yield Fact(State.FAILED, f"halab doctor: {check['name']}: {check['seen']}")
    if not checks:
        yield Fact(State.FAILED, f"halab doctor: {doctor.why}")
    elif not failed:
        yield Fact(State.OK, "halab doctor finds nothing that stops the lab")


def host_again(trial: Trial) -> Iterator[Fact]:
    """Groups, /dev/kvm and domain capabilities again: a lab must not change them."""
    seen, problems = _access(trial)
    yield from problems
    if not trial.before:
        yield Fact(State.NOT_SHOWN, "a comparison: the check `host` was skipped")
        return
    changed = kvm_facts.differences(trial.before, seen)
    yield from (Fact(State.FAILED, line) for line in changed)
    if not changed:
        yield Fact(State.OK, "the same as before")


def _access(trial: Trial) -> tuple[dict[str, str], list[Fact]]:
    """What this user and libvirt may use, and what they lack."""
    identity = trial.look("groups", "id")
    device = trial.look("kvm-device", "stat", "-c", "%A %U:%G", "/dev/kvm")
    kind = "kvm" if trial.accel == "kvm" else "qemu"
    capabilities = trial.virsh("domain-capabilities", "domcapabilities", "--virttype", kind)
    offered = kvm_facts.domain_capabilities(capabilities.output)
    groups = kvm_facts.groups_of(identity.output) & {"kvm", "libvirt", "docker", "root"}
    seen = {
        "groups": " ".join(sorted(groups)) or "none of kvm, libvirt",
        "/dev/kvm": device.output.strip() or "missing",
        "/dev/kvm for this user": "open" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "closed",
        **offered,
    }
    missing = [] if offered else [Fact(State.FAILED, f"libvirt offers no {kind}: {capabilities.why}")]
    return seen, missing


def box(trial: Trial) -> Iterator[Fact]:
    """Build the box again, as this user."""
    built = trial.halab("box", "box", "build", "--provider", "libvirt", "--force", limit_seconds=3600)
    yield _about(built, f"the box, built by {getpass.getuser()} (uid {os.geteuid()})")
    if os.geteuid() == 0:
        yield Fact(State.NOT_SHOWN, "the box as an ordinary user: this script ran as root")


def up(trial: Trial) -> Iterator[Fact]:
    """Bring the lab up; what its machines are; what AppArmor or SELinux denied meanwhile."""
    earlier, _ = _denials(trial)
    for what in ("halab up", "halab up again, which continues"):
        built = trial.halab("up", "up", limit_seconds=1200)
        yield _about(built, f"{what}, control planes: {trial.control_planes}")
        trial.is_up = built.succeeded
        # the other checks need a lab, also if the first try failed
        if trial.is_up:
            break
    trial.keep_logs("up-logs")
    for name in trial.domains():
        definition = trial.virsh(f"definition-{name}", "dumpxml", name)
        yield Fact(State.OK, f"{name}: {kvm_facts.in_words(kvm_facts.machine(definition.output))}")
    trial.virsh("networks", "net-list", "--all")
    trial.virsh("volumes", "vol-list", "default", "--details")
    # the kernel forwards the packets of a guest in threads with this name
    threads = [
        name for name in trial.look("threads", "ps", "-eLo", "comm").output.split() if "vhost-" in name
    ]
    yield Fact(State.OK, f"vhost-net: {len(threads)} threads on this host")
    yield from _denied(trial, earlier)
    if trial.is_up:
        trial.inside(
            "guest", "cp1", "uname -a; systemd-detect-virt; cat /sys/devices/system/clocksource/*/current_*"
        )
        cpuinfo = trial.inside("guest-processor", "cp1", "cat /proc/cpuinfo")
        flags = kvm_facts.processor_flags(cpuinfo.output)
        yield Fact(State.OK, f"processor flags in cp1: {' '.join(flags) or 'none of those that matter'}")


def _denials(trial: Trial) -> tuple[list[str], bool]:
    """The denials in the logs of this host, and whether one of the logs could be read."""
    since = f"--since=@{trial.began:.0f}"
    logs = [
        trial.look_as_root(
            "journal", "journalctl", "--no-pager", since, "_TRANSPORT=kernel", "+", "_TRANSPORT=audit"
        ),
        trial.look_as_root("audit-log", "ausearch", "-m", "AVC", "-ts", "today"),
        trial.look_as_root("kernel-messages", "dmesg"),
    ]
    read = [log for log in logs if log.succeeded and "No journal files" not in log.errors]
    return kvm_facts.denials("\n".join(log.output for log in read)), bool(read)


def _denied(trial: Trial, earlier: list[str]) -> Iterator[Fact]:
    lines, is_readable = _denials(trial)
    new = [line for line in lines if line not in earlier]
    yield from (Fact(State.FAILED, f"denied: {line}") for line in new[:10])
    if not is_readable:
        yield Fact(State.NOT_SHOWN, "denials: only root can read the logs; run `sudo -v` first")
    elif not new:
        yield Fact(State.OK, "AppArmor and SELinux denied nothing to libvirt, qemu or dnsmasq")


def snapshot(trial: Trial) -> Iterator[Fact]:
    """Save the lab, wait 90 s, restore it, and compare the clocks. Then reset it."""
    saved = trial.halab("snapshot-save", "snapshot", "save", SNAPSHOT, limit_seconds=600)
    yield _about(saved, "snapshot save")
    if not saved.succeeded:
        return
    # the memory of the machines is in their disks now
    trial.virsh("volumes", "vol-list", "default", "--details")
    yield from _clocks(trial, "after save")
    time.sleep(SNAPSHOT_SECONDS)
    restored = trial.halab("snapshot-restore", "snapshot", "restore", SNAPSHOT, limit_seconds=900)
    yield _about(restored, f"snapshot restore, {SNAPSHOT_SECONDS} s later, until the lab is steady")
    yield from _clocks(trial, "after restore")
    yield _about(
        trial.halab("snapshot-delete", "snapshot", "delete", SNAPSHOT, limit_seconds=300), "snapshot delete"
    )
    reset = trial.halab("reset", "reset", limit_seconds=900)
    yield _about(reset, "halab reset, to what `halab up` saved, until the lab is steady")


def _clocks(trial: Trial, when: str) -> Iterator[Fact]:
    for name in trial.machines():
        asked = time.time()
        answer = trial.inside(f"clock-{name}", name, "date +%s.%N")
        # the end of the command, without what this script does afterwards
        answered = asked + answer.seconds
        try:
            difference = kvm_facts.clock_difference(asked, answered, float(answer.output))
        except ValueError:
            yield Fact(State.FAILED, f"{when}: the clock of {name}: {answer.why}")
        else:
            yield kvm_facts.clock_fact(f"{name} {when}", *difference)


def network(trial: Trial) -> Iterator[Fact]:
    """Ping from each machine to each other, with the firewalls that this host has."""
    docker = trial.look("docker", "docker", "info", "--format", "{{.ServerVersion}}").succeeded
    ufw = "Status: active" in trial.look_as_root("ufw", "ufw", "status", "verbose").output
    firewalld = "running" in trial.look("firewalld", "firewall-cmd", "--state").output.split()
    trial.look("bridge-filter", "sysctl", "net.bridge.bridge-nf-call-iptables", "net.ipv4.ip_forward")
    # chains with their hooks and policies, and no rules: those are the user's own business
    trial.look_as_root("nft-chains", "nft", "list", "chains")
    trial.look_as_root("iptables-forward", "iptables", "-S", "FORWARD")
    trial.virsh("leases", "net-dhcp-leases", f"halab-{LAB}-ssh")
    for name, is_active in (("docker", docker), ("ufw", ufw), ("firewalld", firewalld)):
        if is_active:
            yield Fact(State.OK, f"{name} is active on this host")
        else:
            hint = f"start it and run `scripts/verify-kvm --only network`, if you use {name}"
            yield Fact(
                State.NOT_SHOWN, f"pings under {name}: it is not active here, or cannot be asked; {hint}"
            )
    addresses = trial.machines()
    for source in addresses:
        for target, address in addresses.items():
            if target != source:
                # root may ping in every box: without a capability of the program, others may not
                answer = trial.inside(f"ping-{source}-{target}", source, f"sudo ping -n -c 3 -W 2 {address}")
                yield kvm_facts.ping_fact(source, target, answer.output)


def scenarios(trial: Trial) -> Iterator[Fact]:
    """Run the scenarios that need virtual machines, one by one."""
    names, left_out = kvm_facts.scenarios_for(trial.control_planes)
    for name in names:
        ran = trial.halab(f"run-{name}", "run", name, limit_seconds=1800)
        verdict = {0: "passed", 1: "failed"}.get(-1 if ran.code is None else ran.code, "no verdict")
        words = f"{name}: {verdict}, {ran.seconds:.0f} s"
        yield Fact(State.OK, words) if ran.succeeded else Fact(State.FAILED, f"{words}: {ran.why}")
    for run in sorted((trial.folder / ".halab/runs").glob("*")):
        files = [*(run / name for name in RUN_FILES), *(run / "logs").glob("*")]
        for file in files:
            trial.evidence.copy(file, f"runs/{run.name}/{file.relative_to(run)}")
    yield from left_out


def down(trial: Trial) -> Iterator[Fact]:
    """Take the lab down: nothing may be left."""
    removed = trial.halab("down", "down", limit_seconds=300)
    trial.is_up = trial.is_up and not removed.succeeded
    yield _about(removed, "halab down")
    yield from _left(trial, "down")


def kill_up(trial: Trial) -> Iterator[Fact]:
    """Kill `halab up` with SIGKILL: `down` must remove what Vagrant made, also what it makes later."""
    for when, wanted in (("as Vagrant starts", 0), ("when the first machine exists", 1)):
        child, printed = begin("up", folder=trial.folder), list[str]()
        try:
            reached = at_step("boot", child, printed)
            deadline = time.monotonic() + 120 * trial.patience
            while reached and len(trial.domains()) < wanted and time.monotonic() < deadline:
                time.sleep(0.5)
        finally:
            kill(child)
            trial.evidence.write(f"killed-up-{wanted}.txt", "".join(printed))
        if not reached:
            errors = [line.strip() for line in printed if line.startswith("error: ")]
            yield Fact(State.FAILED, f"{when}: halab up started no Vagrant: {' '.join(errors)}")
            continue
        time.sleep(2)
        survivors = processes_in(trial.folder)
        trial.evidence.write(f"survivors-{wanted}.txt", "\n".join(survivors) + "\n")
        words = f"processes that survived: {len(survivors)}" if survivors else "no process survived"
        yield Fact(State.OK, f"{when}: {words}")
        yield _about(trial.halab("down-after-kill", "down", limit_seconds=300), f"{when}: halab down")
        time.sleep(SURVIVOR_SECONDS)
        yield from _left(trial, f"{when}: {SURVIVOR_SECONDS} s after down")


def _left(trial: Trial, when: str) -> Iterator[Fact]:
    left = sorted(set(lab_objects(LAB))) + [f"process {line}" for line in processes_in(trial.folder)]
    trial.evidence.write(f"left-{when.replace(' ', '-').replace(':', '')}.txt", "\n".join(left) + "\n")
    for line in left[:10]:
        yield Fact(State.FAILED, f"{when}: still there: {line}")
    if not left:
        yield Fact(State.OK, f"{when}: nothing is left")


@dataclass(frozen=True)
class Check:
    run: Callable[[Trial], Iterator[Fact]]
    needs_lab: bool = False


CHECKS = {
    "host": Check(host),
    "box": Check(box),
    "up": Check(up),
    "snapshot": Check(snapshot, needs_lab=True),
    "network": Check(network, needs_lab=True),
    "scenarios": Check(scenarios, needs_lab=True),
    "down": Check(down),
    "kill": Check(kill_up),
    "host-again": Check(host_again),
}
