"""Rules of a lab file that take several of its fields together: machines that exist, addresses and networks."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from halab.config import component_versions, kubernetes
from halab.config.applied import Cni, Setup
from halab.config.lab import AUTO, LabFile, OneMachine, ProviderKind, Size
from halab.config.loading import nearest
from halab.config.roles import FIRST_VIRTUAL, Role, last_byte, machine_names
from halab.config.targets import kind_of
from halab.config.yaml_source import Path


def problems(lab: LabFile) -> Iterator[tuple[Path, str]]:
    """What is wrong in a lab file, with the path of the field."""
    yield from _networks(lab)
    roles = names(lab)
    for name, own in lab.machines.by_name.items():
        if name not in roles:
            known = [*type(lab.machines).model_fields, *roles]
            yield ("machines", name), f"is neither a role nor a machine of this lab{nearest(name, known)}"
        else:
            yield from _size(name, own, role_size(lab, roles[name]))
            yield from _address(lab, ("machines", name, "address"), own.address, name)
            yield from _hostname(lab, name, own.hostname)
    yield from _disks(lab)
    yield from _address(lab, ("load_balancer", "address"), lab.load_balancer.address)
    yield from _etcd(lab)
    yield from _versions(lab)
    if disorder := lab.load_balancer.kube_vip.disorder():
        setting, what = disorder
        yield ("load_balancer", "kube_vip", setting), what


def warnings(lab: LabFile) -> Iterator[str]:
    """What is allowed, but probably not meant."""
    if warning := even_members(lab):
        yield warning
    if not lab.load_balancer.machine_count and "lb" in lab.machines.model_fields_set:
        yield f"machines.lb has no effect: with {lab.load_balancer.kind}, no machine is a load balancer"
    brings_nothing = not lab.manifests and lab.setup == Setup()
    then = "`halab up` fails at the end. Apply one yourself, then run `halab up` again"
    if lab.cni is Cni.NONE and brings_nothing:
        yield (
            "cni: none, but no manifests and no setup scripts that bring a network of pods: nodes stay NotReady, and "
            f"{then}"
        )
    elif lab.kubeadm.has_dns and not lab.kubeadm.has_proxy and brings_nothing:
        yield (
            "kubeadm installs no kube-proxy, and no manifests and no setup scripts bring a replacement: CoreDNS does "
            f"not reach the API, and {then}"
        )


def even_members(lab: LabFile) -> str:
    """The warning for an even number of members on the control planes; empty if there is nothing to warn of."""
    members = lab.control_planes
    if members % 2 == 1 or lab.etcd.is_external:
        return ""
    quorum = members // 2 + 1
    return (
        f"control_planes: {members}: etcd needs {quorum} of {members} members. The number of failed machines that "
        f"the lab tolerates is {members - quorum}, the same as with one control plane fewer"
    )


def role_size(lab: LabFile, role: Role) -> Size:
    """The size of the machines of a role."""
    return {
        Role.LOAD_BALANCER: lab.machines.lb,
        Role.CONTROL_PLANE: lab.machines.cp,
        Role.ETCD: lab.machines.etcd,
        Role.WORKER: lab.machines.worker,
    }[role]


def _etcd(lab: LabFile) -> Iterator[tuple[Path, str]]:
    """What a lab with etcd on machines of its own cannot have, and what only such a lab can have."""
    local = lab.kubeadm.cluster and lab.kubeadm.cluster.etcd and lab.kubeadm.cluster.etcd.local
    if lab.etcd.is_external and local is not None:
        yield (
            ("kubeadm", "cluster", "etcd", "local"),
            "is for members on the control planes, and `etcd: {topology: external}` has none there: change the members "
            "with a patch such as etcd0+strategic.yaml in the folder of `kubeadm: {patches: DIR}`",
        )
    if lab.etcd.is_external:
        return
    reason = "is for etcd machines, which this lab does not have: write `etcd: {topology: external}`"
    if "etcd" in lab.machines.model_fields_set:
        yield ("machines", "etcd"), reason
    if "etcd" in lab.setup.model_fields_set:
        yield ("setup", "etcd"), reason


def _versions(lab: LabFile) -> Iterator[tuple[Path, str]]:
    """The versions of components that do not work together."""
    settings = lab.kubernetes
    if settings.allow_unsupported:
        return
    release = kubernetes.resolve(settings.version)
    for component, what in component_versions.problems(release, settings.written_versions):
        hint = "write `allow_unsupported: true` below `kubernetes` to build it all the same"
        yield component_versions.setting(component), f"{what}; {hint}"


def _networks(lab: LabFile) -> Iterator[tuple[Path, str]]:
    pods, services = IPv4Network(lab.kubernetes.pods), IPv4Network(lab.kubernetes.services)
    if pods.overlaps(services):
        yield ("kubernetes", "pods"), f"overlaps the network of Services, {services}"
    if lab.network == AUTO:
        return
    for name, taken in {"pod": pods, "service": services}.items():
        if IPv4Network(lab.network).overlaps(taken):
            yield ("network",), f"overlaps the cluster's {name} network {taken}"


def _size(name: str, own: OneMachine, of_role: Size) -> Iterator[tuple[Path, str]]:
    for field in ("cpus", "memory"):
        value = getattr(own, field)
        least = next(
            (bound.ge for bound in type(of_role).model_fields[field].metadata if hasattr(bound, "ge")), 0
        )
        if value is not None and value < least:
            unit = "M" if field == "memory" else ""
            yield ("machines", name, field), f"should be {least}{unit} or more, not {value}{unit}"


def _disks(lab: LabFile) -> Iterator[tuple[Path, str]]:
    """Sizes of disks that a container cannot have. `provider: auto` means containers."""
    if lab.provider is ProviderKind.LIBVIRT:
        return
    of_roles = {str(key): getattr(lab.machines, key).disks for key in type(lab.machines).model_fields}
    of_machines = {name: own.disks or () for name, own in lab.machines.by_name.items()}
    for name, disks in (of_roles | of_machines).items():
        for index, disk in enumerate(disks):
            if disk.size is not None:
                yield (
                    ("machines", name, "disks", index, "size"),
                    "a container's disk is a docker volume, which has no size of its own: remove this setting, or "
                    "write `provider: libvirt`",
                )


def _address(
    lab: LabFile, where: Path, own: IPv4Address | None, machine: str = ""
) -> Iterator[tuple[Path, str]]:
    """What is wrong with an address of the user's choice: the address of a machine, or the virtual address."""
    if own is None:
        return
    if lab.network == AUTO:
        yield where, f"needs a fixed `network`: write `network: {IPv4Network((own, 24), strict=False)}`"
        return
    network = IPv4Network(lab.network)
    if own not in network:
        yield where, f"is not in the lab's network {network}"
    elif own in _not_for_machines(network):
        yield where, "is the network's own, the host's or the broadcast address"
    else:
        same = [other for other in names(lab) if other != machine and address(lab, other, network) == own]
        if same:
            yield where, f"is the address of {same[0]} too"


def _hostname(lab: LabFile, name: str, own: str | None) -> Iterator[tuple[Path, str]]:
    """What is wrong with a host name: another machine has it, or halab calls another machine so."""
    if own is None or own == name:
        return
    same = [other for other in names(lab) if other != name and own == hostname(lab, other)]
    if kind_of(own) is not None:
        yield ("machines", name, "hostname"), "is a name that halab gives to another machine"
    elif same:
        yield ("machines", name, "hostname"), f"is the host name of {same[0]} too"


def _not_for_machines(network: IPv4Network) -> tuple[IPv4Address, ...]:
    return network.network_address, network.network_address + 1, network.broadcast_address


def names(lab: LabFile) -> dict[str, Role]:
    """Name → role of all machines of a lab."""
    balancers = lab.load_balancer.machine_count
    return machine_names(balancers, lab.control_planes, lab.workers, lab.etcd.machines)


def address(lab: LabFile, name: str, network: IPv4Network) -> IPv4Address:
    """The address of a machine in the lab's network."""
    own = lab.machines.by_name.get(name)
    if own is not None and own.address is not None:
        return own.address
    return network.network_address + last_byte(name, names(lab)[name])


def hostname(lab: LabFile, name: str) -> str:
    """The host name of a machine: its own, or else its name."""
    own = lab.machines.by_name.get(name)
    return (own and own.hostname) or name


def endpoint_name(lab: LabFile) -> str | None:
    """The name of the API's endpoint; None if it is an address.

    With a load balancer on every node, no address would do: the name means the node itself on every node, and the
    control planes everywhere else. With DNS, it means all control planes.
    """
    if lab.endpoint or not lab.load_balancer.kind.needs_a_name:
        return lab.endpoint
    return f"api.{lab.name.rstrip('-')}.internal"


def virtual_address(lab: LabFile, network: IPv4Network) -> IPv4Address | None:
    """The address that two load balancers share, or the control planes with kube-vip; None in other labs.

    Addresses in the file count also if their machines left: the address must be the same in a lab of another size.
    """
    settings = lab.load_balancer
    if settings.address or not (settings.machine_count > 1 or settings.kind.has_address):
        return settings.address
    taken = {address(lab, name, network) for name in names(lab)}
    taken |= {own.address for own in lab.machines.by_name.values() if own.address}
    return next(
        free for free in map(network.network_address.__add__, range(FIRST_VIRTUAL, 255)) if free not in taken
    )
