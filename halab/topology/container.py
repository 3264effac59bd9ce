"""A machine as a container: the engine's arguments that let systemd and Kubernetes run in it."""

from __future__ import annotations

from halab.topology.lab import Lab, Machine

LABEL = "halab.lab"
MACHINE_LABEL = "halab.machine"
# The work folder: it distinguishes labs of the same name of several users who share an engine.
WORK_LABEL = "halab.work"
# Only images and volumes of a snapshot have it.
SNAPSHOT_LABEL = "halab.snapshot"
# The host whose halab made it, for hosts that share an engine.
HOST_LABEL = "halab.host"
# A container that copies a volume for a snapshot has it; the value is the machine's name.
COPY_LABEL = "halab.copy"
# For short-lived helper containers: without it they would inherit the label of their image, which may be a machine's.
NO_MACHINE = {MACHINE_LABEL: ""}

# What systemd, containerd, kubelet and kube-proxy need, and no more. Left out on purpose: SYS_TIME (the clock is the
# host's), SYS_MODULE and SYS_RAWIO (the kernel is the host's as well), SYS_RESOURCE (an engine inside a container may
# not have it, and then refuses to start a container that asks for it).
CAPABILITIES = (
    "AUDIT_CONTROL", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
    "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN",
    "SYS_BOOT", "SYS_CHROOT", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_TTY_CONFIG", "WAKE_ALARM",
)  # fmt: skip

# overlayfs cannot be on overlayfs, and etcd's disk must outlive a power cut of its machine.
# The volume of containerd starts as a copy of the image's folder, which has the unpacked images of the bundle.
_VOLUMES = {"containerd": "/var/lib/containerd", "etcd": "/var/lib/etcd"}
# containerd's volume is not saved: after a restore it starts from its images, which never change.
_NOT_SAVED = ("containerd",)


def volumes(machine: Machine) -> dict[str, str]:
    """The volumes of a machine → where they are mounted."""
    return {f"{machine.host_name}-{name}": path for name, path in _folders(machine).items()}


def _folders(machine: Machine) -> dict[str, str]:
    """The volumes of a machine by their own names → where they are mounted.

    A disk of the lab file is a volume. Where a machine has a volume anyway, it is that one.
    """
    always = _VOLUMES if machine.has_kubelet else {}
    disks = {
        f"disk{number}": disk.mount
        for number, disk in enumerate(machine.disks, 1)
        if disk.mount not in always.values()
    }
    return {**always, **disks}


def saved_volumes(machine: Machine, snapshot: str) -> dict[str, str]:
    """The volumes of a machine that a snapshot saves → the volumes of the snapshot."""
    saved = [name for name in _folders(machine) if name not in _NOT_SAVED]
    return {f"{machine.host_name}-{name}": f"{machine.host_name}-{name}-at-{snapshot}" for name in saved}


def saved_image(host_name: str, snapshot: str) -> str:
    """The image that a snapshot makes of a machine's own file system."""
    return f"{host_name}:{snapshot}"


def running_image(host_name: str) -> str:
    """A second name of the image that a machine was last restored from: it outlives the snapshot."""
    return f"{host_name}:_running"


def arguments(lab: Lab, machine: Machine, *, work: str, identity: str, public_key: str) -> list[str]:
    """Arguments of `docker run` for a machine. No secrets: users of the engine and the process list can see them."""
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
