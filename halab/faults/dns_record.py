"""The fault of a record that is missing in the lab's DNS."""

from __future__ import annotations

import shlex

from halab.clock import NotYet, wait_for
from halab.config.load_balancer import Balancer
from halab.config.targets import FaultTarget
from halab.errors import LabProblem, Unable
from halab.faults.fault import Fault
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.topology.dns import RECORDS

_EFFECT_SECONDS = 20
# The DNS server asks itself. On a virtual machine, systemd-resolved may have kept an older answer.
_LOOK_UP = "resolvectl flush-caches 2>/dev/null; getent ahostsv4 {name} | awk '{{ print $1 }}' | sort -u"
_IS_ACTIVE = f"systemctl is-active -q {Balancer.DNS.service}.service"
# A server that is stopped reads the records when it starts.
_RELOAD = f"{{ ! {_IS_ACTIVE} || systemctl reload {Balancer.DNS.service}.service; }}"


def _require_dns(site: Site, entry: Entry) -> None:
    if not site.lab.has_dns:
        raise Unable("the lab has no DNS server: write `load_balancer: {kind: dns}` in the lab file")


def _remove(site: Site, entry: Entry) -> str:
    address = _address(site, entry)
    site.guests.run(_server(site), f"sed -i '/{_line(address)}/d' {RECORDS} && {_RELOAD}")
    return _wait_until(site, entry, is_there=False)


def _put_back(site: Site, entry: Entry) -> None:
    _require_dns(site, entry)
    address = _address(site, entry)
    record = shlex.quote(f"{address} {site.lab.endpoint_name}")
    site.guests.run(
        _server(site), f"grep -q '{_line(address)}' {RECORDS} || echo {record} >>{RECORDS}; {_RELOAD}"
    )
    # another fault may have stopped the server
    if site.guests.run(_server(site), _IS_ACTIVE, check=False).code == 0:
        _wait_until(site, entry, is_there=True)


def _wait_until(site: Site, entry: Entry, *, is_there: bool) -> str:
    name, address = str(site.lab.endpoint_name), _address(site, entry)

    def seen() -> str:
        found = site.guests.run(
            _server(site), _LOOK_UP.format(name=shlex.quote(name)), check=False
        ).output.split()
        what = f"{name} has {'the records ' + ', '.join(found) if found else 'no record'}"
        if (address in found) != is_there:
            raise NotYet(what)
        return what

    what = f"{name} to have {'the' if is_there else 'no'} record of {entry.machine}"
    return wait_for(what, seen, site.deadline(_EFFECT_SECONDS), every_seconds=0.5)


def _line(address: str) -> str:
    """A regular expression for the beginning of the line with the record of an address."""
    return f"^{address.replace('.', '[.]')} "


def _server(site: Site) -> str:
    return site.lab.balancer.name


def _address(site: Site, entry: Entry) -> str:
    try:
        return str(site.lab.machine(entry.machine).address)
    except KeyError as error:
        raise LabProblem(f"the lab has no such machine any more: {entry.machine}") from error


FAULTS = (
    Fault(
        "remove-dns-record",
        "Remove the record of a control plane from the endpoint's name in DNS, until it is healed. Clients may use an "
        "earlier answer for its time to live.",
        _remove,
        _put_back,
        target=FaultTarget.CONTROL_PLANE,
        check=_require_dns,
    ),
)
