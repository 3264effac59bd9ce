"""The fault of the name of the API's endpoint: a machine resolves it wrongly, or not at all."""

from __future__ import annotations

import shlex
from ipaddress import AddressValueError, IPv4Address

from halab.clock import NotYet, wait_for
from halab.config.lab_traits import Capability
from halab.config.targets import FaultTarget
from halab.errors import LabProblem, Unable
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

NO_ADDRESS = "none"
_EFFECT_SECONDS = 20
# The machine's own file, and the one that it is copied to at every start.
_HOSTS, _COPIED_TO, _BEFORE = "/etc/halab/hosts", "/etc/hosts", "/etc/halab/hosts.before"
# A container's /etc/hosts is a mount: it can be written, not replaced.
_COPY = f"cat {_HOSTS} >{_COPIED_TO}"
_LOOK_UP = "getent ahostsv4 {name} | awk 'NR == 1 {{ print $1 }}'"


def _address(value: str) -> object:
    try:
        return value if value == NO_ADDRESS else IPv4Address(value)
    except AddressValueError as error:
        raise ValueError(f"should be {NO_ADDRESS} or an address such as 10.213.7.99, not {value}") from error


def _require_name(site: Site, entry: Entry) -> None:
    if site.lab.endpoint_name is None:
        raise Unable(
            "the endpoint of the API has no name here: write `endpoint: api.lab.example` in the lab file"
        )
    if site.lab.has_dns and entry.options["address"] == NO_ADDRESS:
        raise Unable(
            "in a lab with DNS, a machine has no record of its own that could be removed: give it another address, or "
            "remove a record from the DNS server with remove-dns-record"
        )


def _change(site: Site, entry: Entry) -> str:
    name, address = str(site.lab.endpoint_name), entry.options["address"]
    wanted = "" if address == NO_ADDRESS else address
    record = f"{wanted} {name}" if wanted else ""
    site.guests.run(
        entry.machine,
        f"[ -e {_BEFORE} ] || cp -p {_HOSTS} {_BEFORE}; "
        f"{{ awk -v name={shlex.quote(name)} '{{ line = $1; for (i = 2; i <= NF; i++) "
        f'if ($i != name) line = line " " $i; if (line != $1) print line }}\' {_BEFORE}; '
        f"echo {shlex.quote(record)}; }} >{_HOSTS} && {_COPY}",
    )
    return _wait_for_address(site, entry.machine, name, wanted)


def _restore(site: Site, entry: Entry) -> None:
    site.guests.run(
        entry.machine, f"[ ! -e {_BEFORE} ] || {{ cat {_BEFORE} >{_HOSTS} && {_COPY} && rm {_BEFORE}; }}"
    )
    if site.lab.endpoint_name is None:
        raise LabProblem("the lab file no longer names the endpoint of the API")
    right = site.lab.endpoint_addresses(site.lab.machine(entry.machine))
    _wait_for_address(site, entry.machine, site.lab.endpoint_name, *map(str, right))


def _wait_for_address(site: Site, machine: str, name: str, *wanted: str) -> str:
    """Wait until the first address of the name is one of those; with an empty one, until there is none."""

    def resolved() -> str:
        done = site.guests.run(machine, _LOOK_UP.format(name=shlex.quote(name)), check=False)
        address = done.output.strip()
        if address not in wanted:
            raise NotYet(f"{name} is {address or 'not known'}")
        return f"{name} is {address or 'not known'} on {machine}"

    what = f"{machine} to resolve {name}" if any(wanted) else f"{machine} to forget {name}"
    return wait_for(what, resolved, site.deadline(_EFFECT_SECONDS), every_seconds=0.5)


FAULTS = (
    Fault(
        "change-endpoint-name",
        "Remove the record of the endpoint's name on a machine, or give the record another address.",
        _change,
        _restore,
        {
            "address": Option(
                f"{NO_ADDRESS} or an address", example="10.213.7.99", default=NO_ADDRESS, reads=_address
            )
        },
        target=FaultTarget.ANY,
        needs=frozenset({Capability.ENDPOINT_NAME}),
        check=_require_name,
    ),
)
