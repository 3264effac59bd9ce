"""The record of a control plane: removed on the DNS server and put back; the server reads it again."""

from __future__ import annotations

import pytest
from support.fakes import FakeGuests
from support.site_builder import heal, inject, site_of

from halab.errors import BadUsage, LabProblem, Unable
from halab.faults.journal import Entry
from halab.process import Completed

FAULT, NAME, DNS = "remove-dns-record", "api.ha.internal", {"kind": "dns"}
ALL, LEFT = "10.213.7.11\n10.213.7.12\n10.213.7.13\n", "10.213.7.11\n10.213.7.13\n"


def test_the_record_is_removed_on_the_dns_server_and_waited_for() -> None:
    guests = FakeGuests({"getent": [ALL, LEFT]})
    _, seen = inject(site_of(guests, load_balancer=DNS), FAULT)
    assert seen == f"{NAME} has the records 10.213.7.11, 10.213.7.13"
    removed, *looked_up = guests.commands("lb1")
    assert "sed -i '/^10[.]213[.]7[.]12 /d' /etc/halab/dns-records" in removed
    assert "systemctl reload dnsmasq.service" in removed
    assert len(looked_up) == 2
    # the machine itself may have no power
    assert guests.commands("cp2") == []


def test_without_a_single_record_the_effect_is_shown() -> None:
    _, seen = inject(site_of(FakeGuests({"getent": ""}), load_balancer=DNS), FAULT)
    assert seen == f"{NAME} has no record"


def test_the_heal_puts_it_back_once() -> None:
    guests = FakeGuests({"getent": ALL})
    heal(site_of(guests, load_balancer=DNS), Entry("42", FAULT, "cp2", {}))
    put_back = guests.commands("lb1")[0]
    assert f"grep -q '^10[.]213[.]7[.]12 ' /etc/halab/dns-records || echo '10.213.7.12 {NAME}'" in put_back


def test_while_the_dns_server_is_stopped_the_heal_does_not_wait_for_an_answer() -> None:
    guests = FakeGuests(
        {"^lb1: systemctl is-active -q dnsmasq.service\n": Completed(3, "", ""), "getent": ""}
    )
    heal(site_of(guests, load_balancer=DNS), Entry("42", FAULT, "cp2", {}))
    assert not any("getent" in command for command in guests.commands("lb1"))


def test_a_lab_without_dns_is_told_what_to_write() -> None:
    guests = FakeGuests()
    with pytest.raises(Unable, match=r"write `load_balancer: \{kind: dns\}` in the lab file"):
        inject(site_of(guests), FAULT)
    assert guests.calls == []


def test_a_machine_that_is_gone_has_no_record_to_put_back() -> None:
    with pytest.raises(LabProblem, match="no such machine any more: cp5"):
        heal(site_of(FakeGuests(), load_balancer=DNS), Entry("42", FAULT, "cp5", {}))


def test_only_a_control_plane_has_a_record() -> None:
    from support.fakes import lab_of

    from halab.faults.catalogue import FAULTS
    from halab.faults.targets import require_target

    with pytest.raises(BadUsage, match="remove-dns-record needs a control plane"):
        require_target(lab_of(load_balancer=DNS), FAULTS[FAULT], {}, "lb1")
