"""keepalived's configuration on each of two load balancers: from the settings of the lab file, or the user's own."""

from __future__ import annotations

import re

from halab import templates
from halab.config.keepalived import BalancerCheck, Keepalived
from halab.config.lab import ProviderKind
from halab.config.own_file import OwnFile
from halab.errors import BadFile, Problem
from halab.topology import balancer
from halab.topology.balancer import NEW, BalancerFile
from halab.topology.lab import Lab, Machine

PATH = "/etc/keepalived/keepalived.conf"
SERVICE = "keepalived.service"
# The NIC on the lab's network has another name in each box: the machine puts it in.
NIC = "@nic@"
# keepalived's own numbers in kubeadm's guide: the first machine is preferred.
_PRIORITY = 101
# In a container, this NIC is on the engine's own network. The machines of all labs are there.
_SHARED_NIC = "eth0"
_ON_SHARED_NIC = re.compile(rf"[^#!]*\binterface\s+{_SHARED_NIC}\b")


def configuration(lab: Lab, machine: Machine) -> BalancerFile:
    """What keepalived runs with. Raises BadFile if it is the user's own and cannot be used."""
    if lab.keepalived_file:
        return from_file(lab, machine, lab.keepalived_file)
    return from_settings(lab, machine, lab.load_balancer.keepalived)


def from_file(lab: Lab, machine: Machine, file: OwnFile) -> BalancerFile:
    """The configuration of a file of the user's own. Raises BadFile if it cannot be used."""
    _require_own_network(lab, file)
    text = balancer.rendered(lab, file, machine=machine, nic=NIC)
    return _file(templates.Rendered(text), file)


def _require_own_network(lab: Lab, file: OwnFile) -> None:
    """Raise BadFile if the load balancers of two labs would hear each other: their virtual routers may have one id."""
    if lab.provider is not ProviderKind.DOCKER:
        return
    why = (
        f"{_SHARED_NIC} is on a network that the containers of all labs share: two labs with the same "
        "virtual_router_id would take the address from each other"
    )
    problems = [
        Problem(str(file.path), number, "", why)
        for number, line in enumerate(file.text.splitlines(), 1)
        if _ON_SHARED_NIC.match(line)
    ]
    if problems:
        raise BadFile(problems, hint="write `interface {{ nic }}`, the NIC on the lab's own network")


def from_settings(lab: Lab, machine: Machine, settings: Keepalived) -> BalancerFile:
    """The configuration with these settings."""
    return _file(
        templates.text(
            "balancer/keepalived.conf.j2",
            lab=lab,
            machine=machine,
            settings=settings,
            nic=NIC,
            check=_check(lab, settings.check),
            priority=_PRIORITY - lab.balancers.index(machine),
        )
    )


def preferred(lab: Lab) -> str | None:
    """The machine to which the address returns; None if it stays where it is, or only the user's own file knows."""
    if lab.keepalived_file or not lab.load_balancer.keepalived.preempt:
        return None
    return lab.balancer.name


def _file(text: str, own: OwnFile | None = None) -> BalancerFile:
    return BalancerFile(PATH, text, _test(PATH), _test(PATH + NEW), SERVICE, (), own)


def _test(path: str) -> str:
    # 6: it runs scripts as root without enable_script_security, as many guides have it
    return f"{{ keepalived -t -f {path} || [ $? -eq 6 ]; }}"


def _check(lab: Lab, check: BalancerCheck) -> str:
    """The command that must succeed on the machine; empty if there is none."""
    port = lab.load_balancer.port
    return {
        BalancerCheck.NONE: "",
        BalancerCheck.PROCESS: f"/usr/bin/killall -0 {lab.load_balancer.kind}",
        BalancerCheck.PORT: f"/usr/bin/nc -z -w 1 127.0.0.1 {port}",
        BalancerCheck.API: f"/usr/bin/curl -sfk -m {lab.check_seconds} -o /dev/null https://127.0.0.1:{port}/readyz",
    }[check]
