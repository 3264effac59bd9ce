"""All rendered files of some labs. `pytest tests/golden --regenerate` rewrites them; read the diff."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import get_args

import pytest

from halab.config.lab import LabFile, ProviderKind
from halab.config.lab_traits import ChosenProvider
from halab.config.load_balancer import Balancer
from halab.config.loading import loads
from halab.config.own_file import OwnFile
from halab.topology import files, setup_scripts
from halab.topology.files import HostValues
from halab.topology.lab import plan

HERE = Path(__file__).parent

HOST = HostValues(
    work="/home/ada/labs/.halab",
    identity="0123456789ab",
    base="halab/debian-12:0123456789ab",
    private_key="/home/ada/labs/.halab/keys/id_ed25519",
    public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEexample halab",
    proxies={},
)


@dataclass(frozen=True)
class Case:
    """A lab file, the file that it names, and the values that come from the host."""

    folder: str
    lab_file: str
    own_balancer: str = ""
    own_keepalived: str = ""
    network: str = "10.213.0.0/24"
    provider: ProviderKind = ProviderKind.DOCKER
    host: HostValues = field(default=HOST)
    patches: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, OwnFile] = field(default_factory=dict)
    # the scripts of `halab upgrade`, instead of all others
    upgrades: bool = False


# The user's own settings: flags in both forms, lists that are merged and replaced, null, text that needs quotes.
KUBEADM = """\
name: own
control_planes: 1
workers: 1
patience: 2.5
kubeadm:
  cluster:
    apiServer:
      extraArgs: {shutdown-delay-duration: 10s, v: "4"}
      certSANs: [api.lab.example]
      extraVolumes:
        - {name: audit, hostPath: /etc/kubernetes/audit, mountPath: /etc/kubernetes/audit, readOnly: true}
    controllerManager:
      extraArgs:
        - {name: node-monitor-grace-period, value: 20s}
    etcd: {local: {extraArgs: {quota-backend-bytes: "1e9", log-outputs: "it's \\"$token\\" `id`: #1\\nEOF"}}}
    encryptionAlgorithm: ECDSA-P256
    certificateValidityPeriod: 24h
    clusterName: null
  init:
    nodeRegistration: {kubeletExtraArgs: {v: "3"}, taints: null}
  join:
    nodeRegistration:
      taints: [{key: gpu, value: "yes", effect: NoSchedule}]
      kubeletExtraArgs: [{name: node-labels, value: "a=b,c=$d"}]
    timeouts: {discovery: 10m}
  kubelet:
    maxPods: 50
    crashLoopBackOff: {maxContainerRestartPeriod: 10s}
    featureGates: {KubeletCrashLoopBackOffMax: true}
    evictionHard: {imagefs.available: null}
  kube_proxy: {mode: iptables}
  patches: patches
"""
PATCHES = {
    "kube-apiserver0+strategic.yaml": "spec:\n  priorityClassName: system-node-critical\n",
    "kube-scheduler+json.yaml": "# ends EOF\nEOF\n- {op: add, path: /metadata/labels/halab, value: 'yes'}",
}

CASES = (
    Case("default", ""),
    Case(
        "nginx",
        "name: small\ncontrol_planes: 1\nworkers: 2\nload_balancer: {kind: nginx}\nkubernetes: {version: '1.34'}\n",
        network="192.168.77.0/24",
        host=replace(
            HOST,
            proxies={
                "http_proxy": "http://proxy.example:3128",
                "https_proxy": "http://proxy.example:3128",
                "no_proxy": "example",
            },
        ),
    ),
    Case(
        "haproxy-settings",
        "control_planes: 1\nload_balancer:\n  check: livez\n  interval: 2s\n  timeout: 500ms\n  fall: 3\n  rise: 2\n"
        "  slow_start: 30s\n  connect_timeout: 5s\n  idle_timeout: 20s\n  redispatch: false\n  on_marked_down: none\n"
        "  algorithm: leastconn\n  connections: 100\n  port: 7443\n",
    ),
    Case(
        "nginx-settings",
        "control_planes: 1\nload_balancer:\n  kind: nginx\n  interval: 20s\n  fall: 3\n  connect_timeout: 5s\n"
        "  idle_timeout: 20s\n  redispatch: false\n  algorithm: source\n  connections: 100\n  port: 7443\n",
    ),
    Case(
        "kube-vip",
        "control_planes: 3\nworkers: 1\nendpoint: api.lab.example\n"
        "load_balancer: {kind: kube-vip, kube_vip: {balancing: true, lease_duration: 10}}\n",
    ),
    Case(
        "local-nginx",
        "control_planes: 1\nworkers: 1\nload_balancer: {kind: local-nginx, fall: 3, interval: 5s}\n",
    ),
    Case(
        "local",
        "control_planes: 2\nworkers: 1\nload_balancer: {kind: local, fall: 3, on_marked_down: none}\n",
    ),
    Case("dns", "control_planes: 2\nworkers: 1\nload_balancer: {kind: dns, ttl: 10s}\n"),
    Case(
        "dns-virtual",
        "provider: libvirt\ncontrol_planes: 1\nendpoint: api.lab.example\nload_balancer: {kind: dns}\n",
        provider=ProviderKind.LIBVIRT,
    ),
    # the checks and time-outs of kubeadm's guide, and the port that halab would take for its statistics
    Case(
        "own-haproxy",
        "control_planes: 1\nload_balancer: {config: ./haproxy.cfg.j2}\n",
        own_balancer="""defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s

frontend kubernetes
  bind *:{{ lab.load_balancer.port }}
  default_backend masters

backend masters
  option ssl-hello-chk
{% for machine in lab.control_planes %}
  server master-{{ loop.index }} {{ machine.address }}:6443 check
{% endfor %}

listen stats
  bind 127.0.0.1:8404
  mode http
  stats enable""",
    ),
    Case(
        "own-nginx",
        "control_planes: 1\nload_balancer: {kind: nginx, config: ./nginx.conf}\n",
        own_balancer="""include /etc/nginx/modules-enabled/*.conf;
pid /run/nginx.pid;
events {}
stream {
  server {
    listen 6443;
    proxy_pass 10.213.0.11:6443;
  }
}
""",
    ),
    Case(
        "external-etcd",
        "control_planes: 3\netcd: {topology: external}\nkubeadm:\n  cluster: {certificateValidityPeriod: 24h}\n"
        "  patches: patches\n",
        patches={"etcd0+strategic.yaml": "spec:\n  hostNetwork: true\n", **PATCHES},
    ),
    Case("pair", "control_planes: 1\nendpoint: api.lab.example\nload_balancer: {machines: 2}\n"),
    Case(
        "pair-nginx",
        "provider: libvirt\ncontrol_planes: 1\nnetwork: 10.213.0.0/24\nload_balancer:\n  kind: nginx\n  machines: 2\n"
        "  address: 10.213.0.5\n  keepalived: {check: api, preempt: false, vrrp: unicast, router_id: 7}\n"
        "machines: {lb2: {address: 10.213.0.20}}\n",
        provider=ProviderKind.LIBVIRT,
    ),
    # as in many guides: a script with a weight, and a first machine that begins as the master
    Case(
        "own-keepalived",
        "control_planes: 1\nload_balancer: {machines: 2, keepalived: {config: ./keepalived.conf}}\n",
        own_keepalived="""vrrp_script chk_haproxy {
  script "/usr/bin/killall -0 haproxy"
  interval 3
  weight -2
}

vrrp_instance VI_1 {
  state {{ 'MASTER' if machine == lab.balancers[0] else 'BACKUP' }}
  interface {{ nic }}
  virtual_router_id 60
  priority {{ 101 if machine == lab.balancers[0] else 100 }}
  advert_int 5
  authentication {
    auth_type PASS
    auth_pass secret
  }
  virtual_ipaddress {
    {{ lab.virtual_address }}
  }
  track_script {
    chk_haproxy
  }
}
""",
    ),
    Case(
        "libvirt",
        "name: five\nprovider: libvirt\naccel: tcg\ncontrol_planes: 5\nload_balancer: {check: tcp}\npatience: 4\n"
        "machines: {cp: {cpus: 4, memory: 3G}}\n",
        provider=ProviderKind.LIBVIRT,
        host=replace(
            HOST,
            work="/home/ada/it's a lab/.halab",
            private_key="/home/ada/it's a lab/.halab/keys/id_ed25519",
            base="halab/debian-12-0123456789ab",
        ),
    ),
    Case(
        "stock",
        "name: stock\nprovider: libvirt\ncontrol_planes: 1\nbox: bento/ubuntu-24.04\n",
        provider=ProviderKind.LIBVIRT,
        host=replace(HOST, base="bento/ubuntu-24.04", proxies={"https_proxy": "http://proxy.example:3128"}),
    ),
    Case(
        "disks",
        "provider: libvirt\ncontrol_planes: 2\ndisk_cache: unsafe\nmachines:\n"
        "  cp: {disks: [{mount: /var/lib/etcd, size: 512M}, {mount: /srv/data}]}\n  cp2: {disks: []}\n",
        provider=ProviderKind.LIBVIRT,
    ),
    Case(
        "disks-of-containers",
        "control_planes: 1\nmachines: {lb: {disks: [{mount: /data}]}, cp: {disks: [{mount: /var/lib/etcd}, "
        "{mount: /srv/data}]}}\n",
    ),
    Case("kubeadm", KUBEADM, patches=PATCHES),
    Case("upgrade", "control_planes: 2\nworkers: 1\npatience: 2\n", patches=PATCHES, upgrades=True),
    Case(
        "applied",
        "name: own\ncontrol_planes: 1\nworkers: 1\ncni: none\n"
        "setup: {lb: {before: all.sh}, cp: {before: all.sh, after: it's.sh.j2}, worker: {after: it's.sh.j2}}\n",
        host=replace(HOST, proxies={"https_proxy": "http://proxy.example:3128"}),
        scripts={
            "all.sh": OwnFile(Path("all.sh"), "cat <<'EOF'\n{{ not a template }}\nEOF"),
            "it's.sh.j2": OwnFile(
                Path("it's.sh.j2"),
                "#!/bin/sh\n{## a comment ##}\necho {{ machine.name }} {{ machine.pods }}\n",
            ),
        },
    ),
)


def rendered(case: Case) -> dict[str, str]:
    written = loads(case.lab_file, "lab.yml", LabFile)
    management = IPv4Network("10.214.0.0/24") if case.provider is ProviderKind.LIBVIRT else None
    config = written.load_balancer.config
    lab = plan(
        written, network=IPv4Network(case.network), provider=case.provider, management=management,
        balancer_file=OwnFile(Path(config), case.own_balancer) if config else None,
        keepalived_file=OwnFile(Path("./keepalived.conf"), case.own_keepalived) if case.own_keepalived else None,
    )  # fmt: skip
    if case.upgrades:
        programs, first = "/var/lib/halab/programs", lab.control_planes[0]
        return files.upgrade_scripts(lab, case.patches, programs=programs, first=first)
    addresses = {machine.name: f"172.17.0.{2 + index}" for index, machine in enumerate(lab.machines)}
    keys = {machine.name: case.host.private_key for machine in lab.machines}
    config = files.ssh_config(lab, addresses, private_keys=keys, known_hosts=f"{case.host.work}/known_hosts")
    own = setup_scripts.rendered(lab, case.scripts, files.guest_proxies(lab, case.host.proxies))
    return {**files.work_files(lab, case.host, case.patches), **own, "ssh_config": config}


def test_every_load_balancer_and_every_provider_has_a_case() -> None:
    kinds = {loads(case.lab_file, "lab.yml", LabFile).load_balancer.kind for case in CASES}
    missing = sorted(set(Balancer) - kinds) + sorted(
        {*get_args(ChosenProvider)} - {case.provider for case in CASES}
    )
    assert not missing, (
        f"add a case to CASES, and run pytest tests/golden --regenerate: {', '.join(missing)}"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder)
def test_rendered_files_are_as_reviewed(case: Case, request: pytest.FixtureRequest) -> None:
    folder, now = HERE / case.folder, rendered(case)
    if request.config.getoption("--regenerate"):
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in now.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    reviewed = {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }
    assert sorted(now) == sorted(reviewed)
    for name in sorted(now):
        assert now[name] == reviewed[name], f"{case.folder}/{name}: see --regenerate"
