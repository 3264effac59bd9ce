"""The rendered files of a lab, as text: the files of its work folder, and the lab file that `halab init` writes.

Pure: facts of this host are passed in as values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halab import templates
from halab.config import kubernetes, schema
from halab.config.kubeadm_fields import STATIC_PODS
from halab.config.kubernetes import API_PORT
from halab.config.lab import DiskCache, ProviderKind
from halab.config.load_balancer import Balancer
from halab.config.load_balancer_choices import BackendCheck
from halab.topology import balancer, container, dns, domain, keepalived, kube_vip, kubeadm, stock
from halab.topology.lab import ETCD_PORT, Lab, Machine

# Checks of kubeadm that a machine of a lab cannot satisfy: a container has the kernel and the swap of its host.
IGNORED_CHECKS = ("SystemVerification", "Swap", "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables")

# The file that names what machines start from.
VAGRANTFILE = "Vagrantfile"

# The controller-manager signs when it is the leader: 5 s after init on 2 idle cores.
_SIGNATURE_SECONDS = 120
_BOOT_SECONDS = 300
BALANCER_SCRIPT = "load-balancer.sh"
# Only machines with disks of their own have it: it runs first.
DISKS_SCRIPT = "disks.sh"


@dataclass(frozen=True)
class HostValues:
    """Facts of this host for rendering.

    `work` is the work folder; `base` is what machines start from: the docker image, or the box by Vagrant's name.
    `provider_uri` is libvirt's address; `proxy_command` is ssh's way to machines on another host. `identity` tells this
    host from others that share the provider.
    """

    work: str
    identity: str
    base: str
    private_key: str
    public_key: str
    proxies: Mapping[str, str]
    provider_uri: str = "qemu:///system"
    proxy_command: str | None = None


def default_lab_file() -> str:
    """The file that `halab init` writes. Its first line names the schema, which is in the same folder."""
    return templates.text(
        "lab.yml.j2",
        schema=schema.LAB_SCHEMA,
        versions=list(kubernetes.RELEASES),
        providers=sorted(ProviderKind),
        balancers=list(Balancer),
        checks=list(BackendCheck),
    )


def work_files(lab: Lab, host: HostValues, patches: Mapping[str, str] | None = None) -> dict[str, str]:
    """Path in the work folder → content. `patches` are the user's for kubeadm: file name → text."""
    files = {VAGRANTFILE: _vagrantfile(lab, host)}
    for machine in lab.machines:
        files.update(_scripts(lab, machine, host, patches or {}))
    return files


def upgrade_scripts(
    lab: Lab, patches: Mapping[str, str], *, programs: str, first: Machine
) -> dict[str, str]:
    """Path in the work folder → script: what upgrades each node to the lab's version. `first` begins.

    The programs of the new version wait in the folder `programs` of every node.
    """
    scripts: dict[str, str] = {}
    for machine in lab.nodes:
        patch_files = kubeadm.patch_files(lab, machine, patches)
        values: dict[str, Any] = {
            "lab": lab,
            "machine": machine,
            "programs": programs,
            "is_first": machine == first,
            "ignored_checks": IGNORED_CHECKS,
            "control_plane": machine in lab.control_planes,
            "static_pods": lab.static_pods(machine),
            "patch_folder": kubeadm.PATCH_FOLDER,
            "patch_files": patch_files,
        }
        config = templates.text("provision/kubeadm-upgrade.yaml.j2", has_patches=bool(patch_files), **values)
        first_too = ("upgrade-preflight",) if machine == first else ()
        for name in (*first_too, "upgrade-kubeadm", "upgrade-kubelet"):
            script = templates.text(f"provision/{name}.sh.j2", kubeadm_config=config, **values)
            scripts[f"provision/{machine.name}/{name}.sh"] = script
    return scripts


def ssh_config(
    lab: Lab,
    addresses: Mapping[str, str],
    *,
    private_keys: Mapping[str, str],
    known_hosts: str,
    proxy_command: str | None = None,
) -> str:
    """OpenSSH's configuration for a lab's machines: their addresses from this host, and their keys.

    `proxy_command` leads to the host that they are on, if that is another one.
    """
    return templates.text(
        "ssh_config.j2",
        machines=[
            (machine.name, addresses[machine.name], private_keys[machine.name])
            for machine in lab.machines
            if machine.name in addresses
        ],
        known_hosts=known_hosts,
        proxy_command=proxy_command,
    )


def _vagrantfile(lab: Lab, host: HostValues) -> str:
    return templates.text(
        "Vagrantfile.j2",
        label=lab.label,
        host_prefix=f"{lab.label}-",
        netmask=lab.network.netmask,
        machines=lab.machines,
        boot_timeout_seconds=round(_BOOT_SECONDS * lab.patience),
        base=host.base,
        private_key=host.private_key,
        provider_uri=host.provider_uri,
        proxy_command=host.proxy_command,
        container_arguments={
            machine.name: container.arguments(
                lab,
                machine,
                work=host.work,
                identity=host.identity,
                public_key=host.public_key,
            )
            for machine in lab.machines
        },
        domains=_domains(lab, host) if lab.management else {},
        management=lab.management,
        management_name=domain.management_name(lab),
        is_emulated=lab.is_emulated,
        is_stock=lab.has_stock_box,
        # flushed data must be on the host's disk: otherwise a power cut proves nothing
        disk_cache="writethrough" if lab.disk_cache is DiskCache.SAFE else "unsafe",
    )


def _domains(lab: Lab, host: HostValues) -> dict[str, dict[str, Any]]:
    return {
        machine.name: {
            "interface": domain.interface(machine),
            "management_mac": domain.management_mac(lab, machine),
            "description": domain.description(lab, machine, work=host.work, identity=host.identity),
            "disks": domain.disks(machine),
        }
        for machine in lab.machines
    }


def _scripts(lab: Lab, machine: Machine, host: HostValues, patches: Mapping[str, str]) -> dict[str, str]:
    control_plane = machine in lab.control_planes
    patch_files = kubeadm.patch_files(lab, machine, patches)
    values: dict[str, Any] = {
        "lab": lab,
        "machine": machine,
        "port": API_PORT,
        "etcd_port": ETCD_PORT,
        "proxies": guest_proxies(lab, host.proxies),
        "in_container": lab.provider is ProviderKind.DOCKER,
        "ignored_checks": IGNORED_CHECKS,
        "control_plane": control_plane,
        "patch_folder": kubeadm.PATCH_FOLDER,
        "patch_files": patch_files,
        "static_pods": (*STATIC_PODS, kube_vip.NAME) if kube_vip.runs_in(lab) else STATIC_PODS,
        "dns": dns.script_values(lab) if lab.has_dns else None,
        "kube_vip": kube_vip.script_values(lab) if control_plane and kube_vip.runs_in(lab) else None,
        "signature_seconds": round(_SIGNATURE_SECONDS * lab.patience),
    }
    folder = f"provision/{machine.name}"
    base = {f"{folder}/base.sh": stock.script(lab, machine, values)} if lab.has_stock_box else {}
    if has_disks_script(lab, machine):
        base[f"{folder}/{DISKS_SCRIPT}"] = templates.text(
            "provision/disks.sh.j2", disks=domain.disks(machine), **values
        )
    if not machine.has_kubelet:
        configuration = balancer.configuration(lab)
        of_address = keepalived.configuration(lab, machine) if lab.virtual_address else None
        script = templates.text(
            "provision/load-balancer.sh.j2",
            balancer=configuration,
            keepalived=of_address,
            nic=keepalived.NIC,
            **values,
        )
        # to look up the lines that the load balancer names
        shown = {
            f"{folder}/{file.name}": file.text for file in (configuration, of_address) if file and file.own
        }
        return base | shown | {balancer_script(machine): script}
    scripts = base | {f"{folder}/node.sh": templates.text("provision/node.sh.j2", **values)}
    if machine in lab.balancing_machines:
        scripts[balancer_script(machine)] = templates.text(
            "provision/node-balancer.sh.j2", balancer=balancer.configuration(lab), **values
        )
    if machine in lab.etcd_machines:
        config = kubeadm.etcd_documents(lab, machine, patch_files)
        return scripts | {
            f"{folder}/{name}.sh": templates.text(f"provision/{name}.sh.j2", kubeadm_config=config, **values)
            for name in ("etcd", "etcd-ca", "etcd-client")
        }
    if machine == lab.control_planes[0]:
        config = kubeadm.init_documents(lab, patch_files)
        scripts[f"{folder}/init.sh"] = templates.text(
            "provision/first-control-plane.sh.j2", kubeadm_config=config, **values
        )
    config = kubeadm.join_document(lab, machine, patch_files)
    scripts[f"{folder}/join.sh"] = templates.text("provision/join.sh.j2", kubeadm_config=config, **values)
    if control_plane:
        scripts[f"{folder}/join-material.sh"] = templates.text("provision/join-material.sh.j2", **values)
    return scripts


def balancer_script(machine: Machine) -> str:
    """The script that lets a load balancer run with the servers of the lab."""
    return f"provision/{machine.name}/{BALANCER_SCRIPT}"


def has_disks_script(lab: Lab, machine: Machine) -> bool:
    """Whether a script mounts the machine's disks. The engine mounts those of a container."""
    return lab.provider is ProviderKind.LIBVIRT and bool(machine.disks)


def guest_proxies(lab: Lab, proxies: Mapping[str, str]) -> dict[str, str]:
    """The proxies of the environment, and `no_proxy` with the lab's own networks added."""
    if not proxies:
        return {}
    direct = [
        str(lab.network),
        str(lab.pods),
        str(lab.services),
        "localhost",
        "127.0.0.1",
        ".svc",
        ".cluster.local",
    ]
    direct += [machine.name for machine in lab.machines]
    direct += [lab.endpoint_name] if lab.endpoint_name else []
    others = {name: value for name, value in proxies.items() if name.lower() != "no_proxy"}
    written = [value for name, value in proxies.items() if name.lower() == "no_proxy" and value]
    no_proxy = ",".join(dict.fromkeys([*written[:1], *direct]))
    return {**others, "no_proxy": no_proxy, "NO_PROXY": no_proxy}
