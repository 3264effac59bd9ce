"""The fault of a clock: only a virtual machine has one of its own."""

from __future__ import annotations

import time

import pytest
from support.fakes import Call, FakeGuests
from support.site_builder import heal, inject, site_of

from halab.config.lab import ProviderKind
from halab.errors import TimedOut, Unable
from halab.faults import clocks
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.process import Completed

VIRTUAL = Completed(1, "", "")
CONTAINER = Completed(0, "", "")


@pytest.mark.parametrize(
    ("shift", "seconds"), [("+1h", 3600), ("-90s", -90), ("+2d", 172800), ("-5m", -300)]
)
def test_a_shift_is_a_time_with_a_sign(shift: str, seconds: int) -> None:
    assert clocks.seconds(shift) == seconds
    assert list(FAULTS["shift-clock"].problems_with({"by": shift})) == []


def test_a_shift_without_a_sign_is_refused() -> None:
    assert list(FAULTS["shift-clock"].problems_with({"by": "1h"}))


def test_a_container_s_clock_is_never_set() -> None:
    guests = FakeGuests({"systemd-detect-virt": CONTAINER})
    entry = Entry("42", "shift-clock", "cp2", {"by": "+1h"})
    for provider in ProviderKind.DOCKER, ProviderKind.LIBVIRT:
        site = site_of(guests, provider=provider)
        with pytest.raises(Unable):
            inject(site, "shift-clock", by="+1h")
        with pytest.raises(Unable):
            FAULTS["shift-clock"].inject(site, entry)
        with pytest.raises(Unable):
            heal(site, entry)
    assert not any("date" in command for command in guests.commands("cp2"))


def test_the_clock_of_a_virtual_machine_is_shifted_and_set_right_by_the_host_s() -> None:
    def told(call: Call) -> str:
        return f"{time.time() + 3600.4:.3f}\n"

    guests = FakeGuests({"^cp2: systemd-detect-virt": VIRTUAL, r"date \+%s\.%N": told})
    site = site_of(guests, provider=ProviderKind.LIBVIRT)
    entry, seen = inject(site, "shift-clock", by="+1h")
    assert seen == "its clock is +3600 s from the host's"
    (setting,) = [command for command in guests.commands("cp2") if "date -s" in command]
    assert setting.startswith("if systemd-detect-virt -cq; then")
    assert "date -s 'now +3600 seconds'" in setting
    heal(site, entry)
    right, service, looked = guests.commands("cp2")[-3:]
    assert right.startswith("if systemd-detect-virt -cq; then")
    assert abs(float(right.split("date -s 'now ")[1].split(" seconds'")[0]) + 3600) < 5
    assert "systemctl start systemd-timesyncd" in service
    # nothing was created meanwhile: nothing is removed
    assert "ctr" in looked and "containers rm" not in looked


def test_a_clock_may_differ_a_little_from_the_time_that_was_set() -> None:
    guests = FakeGuests(
        {
            "^cp2: systemd-detect-virt": VIRTUAL,
            r"date \+%s\.%N": lambda call: f"{time.time() - 172800 - 4.9:.3f}\n",
        }
    )
    _, seen = inject(site_of(guests, provider=ProviderKind.LIBVIRT), "shift-clock", by="-48h")
    assert seen == "its clock is -172805 s from the host's"


def test_a_clock_that_is_corrected_at_once_shows_no_effect() -> None:
    guests = FakeGuests(
        {"^cp2: systemd-detect-virt": VIRTUAL, r"date \+%s\.%N": lambda call: f"{time.time():.3f}\n"}
    )
    with pytest.raises(TimedOut, match=r"its clock is \+0 s from the host's"):
        inject(site_of(guests, provider=ProviderKind.LIBVIRT), "shift-clock", by="+1h")
