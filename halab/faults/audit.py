"""Look for what healed faults may have left behind, which would spoil the next scenario."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from halab.config.lab import ProviderKind
from halab.errors import HalabError
from halab.faults.manifests import HELD, MANIFESTS, backup
from halab.faults.resources import CPUS
from halab.faults.scratch import KEPT, OF_THE_SET_UP
from halab.faults.site import Site
from halab.faults.units import DROP_IN
from halab.machines.guests import on_all
from halab.machines.power import PowerState
from halab.topology import balancer
from halab.topology.lab import Machine

_AUDIT_SECONDS = 30
_DROP_INS = f"/etc/systemd/system/*.d/{DROP_IN}*"

# Prints a line for everything that no machine should have. The lab's own units are files in /etc/systemd; units of
# faults are transient.
_ANYWHERE = f"""
shopt -s nullglob
nft list tables 2>/dev/null | awk '$3 ~ /^halab/ {{ print "nft table " $2 " " $3 }}'
tc qdisc show | awk '$2 ~ /^(netem|tbf|htb|prio|ingress|clsact)$/ {{ print "qdisc " $2 " of " $5 }}'
iptables-save 2>/dev/null | awk '/^-A.*halab/ {{ print "iptables rule " $0 }}'
ps -eo stat=,comm= | awk '$1 ~ /^T/ {{ print "stopped process " $2 }}' | sort -u
systemctl list-units --all --plain --no-legend 'halab-*' | awk '{{ print $1 }}' | while read -r unit; do
  case $(systemctl show -p FragmentPath --value "$unit") in
    /etc/systemd/*) ;;
    *) echo "unit $unit" ;;
  esac
done
for path in {KEPT}/*; do
  case ${{path##*/}} in
    {OF_THE_SET_UP}) ;;
    *) echo "file $path" ;;
  esac
done
for path in {HELD}/* /run/halab-* /var/lib/etcd/halab-* {_DROP_INS}; do echo "file $path"; done
for group in blkio/halab-* halab-*; do
  for path in /sys/fs/cgroup/$group; do echo "control group $path"; done
done
grep -rs . --include='blkio.throttle.*_device' /sys/fs/cgroup/blkio | sed 's/^/disk limit /'
grep -rsE '(bps|iops)=[0-9]' --include=io.max /sys/fs/cgroup | sed 's/^/disk limit /'
"""


def audit(site: Site) -> list[str]:
    """Return a line for everything that a healed lab has but should not have, or lacks."""

    def of_machine(name: str) -> list[str]:
        return _machine(site, site.lab.machine(name))

    leftovers = on_all((machine.name for machine in site.lab.machines), of_machine)
    return [line for lines in leftovers.values() for line in lines]


def _machine(site: Site, machine: Machine) -> list[str]:
    state = site.power.state(machine.name)
    if state is not PowerState.RUNNING:
        return [f"not running: {machine.name} ({state})"]
    try:
        said = site.guests.run(machine.name, script(site, machine), timeout_seconds=_AUDIT_SECONDS).output
    except HalabError as error:
        return [f"not audited: {machine.name} ({error.message.splitlines()[0]})"]
    return [f"{line} on {machine.name}" for line in said.splitlines()]


def script(site: Site, machine: Machine) -> str:
    """The command that a machine runs. It prints what it finds, and fails if it cannot look."""
    parts: list[Callable[[Site, Machine], str]] = [_network, _cpus, _services, _manifests]
    if machine in site.lab.balancing_machines:
        parts.append(_balancer)
    own = "".join(part(site, machine) for part in parts)
    return f"{_ANYWHERE}{own}exit 0"


def _network(site: Site, machine: Machine) -> str:
    return f"""
link=$(ip -o -4 address show | awk '$4 ~ /^{str(machine.address).replace(".", "[.]")}\\// {{ print $2 }}')
if [ -z "$link" ]; then
  echo 'address {machine.address} is missing'
elif ! ip -o link show "$link" | grep -q LOWER_UP; then
  echo "no link at $link"
fi
"""


def _cpus(site: Site, machine: Machine) -> str:
    if site.lab.provider is not ProviderKind.DOCKER:
        return ""
    return f"""{CPUS}
read -r quota period < <(cpus)
case $quota in
  -1 | max) ;;
  *) [ $((quota * 100 / period)) -eq {machine.cpus * 100} ] || echo "cpu limit of $quota µs in $period µs" ;;
esac
"""


def _services(site: Site, machine: Machine) -> str:
    names = "containerd kubelet" if machine.has_kubelet else ""
    if machine in site.lab.balancing_machines:
        names = f"{names} {site.lab.load_balancer.kind.service}".strip()
    if machine in site.lab.balancers and site.lab.virtual_address:
        names += " keepalived"
    return f"""
for name in {names}; do systemctl is-active -q $name || echo "service $name is not active"; done
"""


def _manifests(site: Site, machine: Machine) -> str:
    pods = site.lab.manifests(machine)
    if not pods:
        return ""
    # other files are pods of the user's own
    return f"""
for path in {MANIFESTS}/.[!.]* {" ".join(map(backup, pods))}; do [ ! -e $path ] || echo "file $path"; done
for pod in {" ".join(pods)}; do [ -e {MANIFESTS}/$pod.yaml ] || echo "missing {MANIFESTS}/$pod.yaml"; done
"""


def _balancer(site: Site, machine: Machine) -> str:
    """Compare its configuration with the configuration of the lab."""
    configuration = balancer.configuration(site.lab)
    digest = hashlib.sha256(configuration.text.encode()).hexdigest()
    return f"""
[ "$(sha256sum <{configuration.path} | cut -d ' ' -f 1)" = {digest} ] || echo 'load balancer configuration differs'
"""
