"""The name of the endpoint: removed or changed on a machine, and restored from the machine's own copy."""

from __future__ import annotations

import pytest
from support.fakes import FakeGuests
from support.site_builder import heal, inject, site_of

from halab.errors import Unable

FAULT, NAME = "change-endpoint-name", "api.lab.example"


def test_without_an_endpoint_name_the_error_says_what_to_write() -> None:
    guests = FakeGuests()
    with pytest.raises(Unable, match=r"write `endpoint: api\.lab\.example` in the lab file"):
        inject(site_of(guests), FAULT)
    assert guests.calls == []


def test_a_removed_record_is_waited_for_until_the_machine_has_forgotten_it() -> None:
    guests = FakeGuests({"getent": ["10.213.7.10\n", ""]})
    entry, seen = inject(site_of(guests, endpoint=NAME), FAULT)
    assert seen == f"{NAME} is not known on cp2"
    assert entry.options == {"address": "none"}


def test_a_changed_record_names_the_other_address() -> None:
    guests = FakeGuests({"getent": "10.213.7.99\n"})
    _, seen = inject(site_of(guests, endpoint=NAME), FAULT, address="10.213.7.99")
    assert seen == f"{NAME} is 10.213.7.99 on cp2"
    assert "echo '10.213.7.99 api.lab.example'" in guests.commands("cp2")[0]


def test_the_heal_restores_the_copy_and_checks_the_address() -> None:
    guests = FakeGuests({"getent": ["", "10.213.7.10\n", "10.213.7.10\n"]})
    site = site_of(guests, endpoint=NAME)
    entry, _ = inject(site, FAULT)
    before = len(guests.calls)
    heal(site, entry)
    restored, *looked_up = guests.commands("cp2")[before:]
    assert "/etc/halab/hosts.before" in restored and "rm /etc/halab/hosts.before" in restored
    assert len(looked_up) == 1
    # a second heal finds no copy, and only proves the address again
    heal(site, entry)


@pytest.mark.parametrize("address", ["somewhere", "10.0.0.300", "10.213.7.99:6443"])
def test_another_address_is_refused(address: str) -> None:
    from halab.faults.catalogue import FAULTS

    (problem,) = FAULTS[FAULT].problems_with({"address": address})
    assert "should be none or an address such as 10.213.7.99" in problem


DNS = {"kind": "dns"}


def test_with_dns_a_machine_has_no_record_of_its_own_to_remove() -> None:
    with pytest.raises(Unable, match="remove a record from the DNS server with remove-dns-record"):
        inject(site_of(FakeGuests(), load_balancer=DNS), FAULT)


def test_with_dns_the_heal_waits_for_the_address_of_any_control_plane() -> None:
    guests = FakeGuests({"getent": ["10.213.7.99\n", "10.213.7.99\n", "10.213.7.13\n"]})
    site = site_of(guests, load_balancer=DNS)
    entry, seen = inject(site, FAULT, address="10.213.7.99")
    assert seen == "api.ha.internal is 10.213.7.99 on cp2"
    heal(site, entry)
    assert len([command for command in guests.commands("cp2") if "getent" in command]) == 3
