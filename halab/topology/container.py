"""How a machine is made as a container: the arguments for the engine that let systemd and Kubernetes run in it."""

from __future__ import annotations

from halab.topology.lab import Lab, Machine

LABEL = "halab.lab"
MACHINE_LABEL = "halab.machine"
# The work folder, which tells labs of the same name from each other where several users share an engine.
WORK_LABEL = "halab.work"
# Only what is kept of a machine in a snapshot has it.
SNAPSHOT_LABEL = "halab.snapshot"
# Which host's halab has made it, where several hosts share an engine.
HOST_LABEL = "halab.host"
# What copies a volume of a machine for a moment: the machine's name.
COPY_LABEL = "halab.copy"
# Of a container that helps for a moment: without it, it would have the label of its image, which may be a machine's.
NO_MACHINE = {MACHINE_LABEL: ""}

# What systemd, containerd, kubelet and kube-proxy need, and no more. Left out on purpose: SYS_TIME (the clock
# is the host's), SYS_MODULE and SYS_RAWIO (so is the kernel), SYS_RESOURCE (an engine that runs inside a
# container may lack it, and then refuses to start anything that asks for it).
CAPABILITIES = (
    "AUDIT_CONTROL", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
    "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN",
    "SYS_BOOT", "SYS_CHROOT", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_TTY_CONFIG", "WAKE_ALARM",
)  # fmt: skip

# overlayfs cannot lie on overlayfs, and etcd's disk must outlive a power cut of its machine.
# The volume of containerd starts as a copy of what the image holds there: the images of the bundle, unpacked.
_VOLUMES = {"containerd": "/var/lib/containerd", "etcd": "/var/lib/etcd"}
# Of what containerd keeps, a machine that starts uses the images alone, and these do not change.
_SAVED = ("etcd",)


def volumes(machine: Machine) -> dict[str, str]:
    """The volumes of a machine, and where they are in it."""
    if not machine.is_node:
        return {}
    return {f"{machine.host_name}-{name}": path for name, path in _VOLUMES.items()}


def saved_volumes(machine: Machine, snapshot: str) -> dict[str, str]:
    """The volumes of a machine that a snapshot keeps, and the one that keeps each."""
    if not machine.is_node:
        return {}
    return {f"{machine.host_name}-{name}": f"{machine.host_name}-{name}-at-{snapshot}" for name in _SAVED}


def saved_image(host_name: str, snapshot: str) -> str:
    """What a snapshot keeps of a machine's own file system."""
    return f"{host_name}:{snapshot}"


def running_image(host_name: str) -> str:
    """Another name of what a machine was last restored from, which no snapshot can have: it outlives the snapshot."""
    return f"{host_name}:_running"


def arguments(lab: Lab, machine: Machine, *, work: str, identity: str, public_key: str) -> list[str]:
    """Arguments of `docker run` for a machine. All who may ask the engine, or list processes, see them: no secrets."""
    return [
        "--label", f"{LABEL}={lab.name}",
        "--label", f"{MACHINE_LABEL}={machine.name}",
        "--label", f"{WORK_LABEL}={work}",
        "--label", f"{HOST_LABEL}={identity}",
        "--env", f"HALAB_AUTHORIZED_KEY={public_key}",
        "--cpus", str(machine.cpus),
        "--memory", f"{machine.memory_mebibytes}m",
        "--stop-signal", "SIGRTMIN+3",
        "--cgroupns", "private",
        "--cap-drop", "ALL",
        *(word for capability in CAPABILITIES for word in ("--cap-add", capability)),
        "--security-opt", "seccomp=unconfined",
        "--security-opt", "apparmor=unconfined",
        "--security-opt", "systempaths=unconfined",
        "--device-cgroup-rule", "a *:* rwm",
        "--tmpfs", "/run:exec,mode=755",
        "--tmpfs", "/tmp:exec,mode=1777",
        *(word for name, path in volumes(machine).items() for word in ("--volume", f"{name}:{path}")),
    ]  # fmt: skip
