"""The fault of a load: requests to the API, a number of them every second."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakes import FakeGuests
from support.site_builder import Shell, heal, inject, site_of

from halab.errors import TimedOut
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry


def test_a_load_has_its_effect_when_its_first_requests_have_answers() -> None:
    guests = FakeGuests({"cat .*answers": ["", "     48 200\n      2 000\n"]})
    entry, effect = inject(site_of(guests), "load-api", requests="50", in_flight="7", verb="get")
    assert effect == "50 requests of the first second got 48 times 200, 2 times no answer"
    start = guests.commands("cp2")[0]
    assert f"--unit=halab-load-{entry.id}.service -p RuntimeMaxSec=600" in start
    assert start.endswith("https://10.213.7.10:6443/api/v1/namespaces/kube-system 50 7 0")


def test_a_load_that_sends_nothing_is_no_effect() -> None:
    with pytest.raises(TimedOut, match="no request has an answer"):
        inject(site_of(FakeGuests()), "load-api", requests="50", in_flight="7", verb="list")


def test_a_load_that_the_api_refuses_is_no_effect() -> None:
    with pytest.raises(TimedOut, match="the API refuses: 50 times 403"):
        inject(site_of(FakeGuests({"cat .*answers": "50 403\n"})), "load-api", requests="50", verb="list")


def test_created_objects_are_limited_and_removed_without_the_api() -> None:
    guests = FakeGuests({"cat .*answers": "1 201\n"})
    entry, _ = inject(site_of(guests), "load-api", requests="50", in_flight="7", verb="create")
    start = guests.commands("cp2")[0]
    assert start.endswith("/api/v1/namespaces/default/configmaps 50 7 20000")
    assert f'"generateName": "halab-load-{entry.id}-"' in start
    heal(site_of(guests), entry)
    assert guests.commands("cp2")[-1].endswith(
        f"del --prefix /registry/configmaps/default/halab-load-{entry.id}-"
    )


def test_the_heal_of_a_load_that_was_not_injected_changes_nothing(tmp_path: Path) -> None:
    machine = Shell(tmp_path / "machine")
    machine.add_tool("systemctl", "[ $1 = is-active ] && exit 3; exit 5")
    heal(site_of(FakeGuests({"": machine})), Entry("42", "load-api", "cp2", {"verb": "list"}))
    assert machine.did == [
        "systemctl stop halab-load-42.service",
        "systemctl is-active -q halab-load-42.service",
    ]


def test_the_requests_of_a_second_are_sent_together_and_counted(tmp_path: Path) -> None:
    machine = Shell(tmp_path / "machine")
    machine.add_tool(
        "curl",
        # the second one ends the script
        f"[ $(grep -c ^curl {tmp_path}/machine/did) -lt 2 ] || kill $PPID\nprintf '200\\n503\\n200\\n'",
    )
    machine.add_tool("date", "echo 5000")
    machine.add_tool("sleep")
    machine.add_tool("kubectl", "echo a2V5")
    machine.add_tool("systemd-run", 'while [ "$1" != bash ]; do shift; done; "$@" || true')
    guests = FakeGuests({"": machine})
    _, effect = inject(site_of(guests), "load-api", requests="3", in_flight="2", verb="list")
    assert effect == "3 requests of the first second got 2 times 200, 1 times 503"
    sent = [line for line in machine.did if line.startswith("curl")]
    assert len(sent) == 2
    assert all("--parallel-max 2" in line and line.endswith("/api/v1/pods?halab=[1-3]") for line in sent)
    # they took no time, so the rest of the second is waited for
    assert "sleep 1.000" in machine.did


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"requests": "0"}, "requests: should be a number of requests a second, 1 to 500"),
        ({"requests": "501"}, "requests: should be a number of requests a second, 1 to 500"),
        (
            {"requests": "5", "in_flight": "201"},
            "in_flight: should be a number of requests at the same time, 1 to 200",
        ),
        ({"requests": "5", "verb": "delete"}, "verb: should be list, get or create"),
        ({}, "load-api needs the option requests"),
    ],
)
def test_a_load_without_bounds_is_refused(options: dict[str, str], said: str) -> None:
    assert said in "; ".join(FAULTS["load-api"].problems_with(options))
