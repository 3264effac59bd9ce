"""Waiting until a lab is steady: how long, and that the connection to the API is closed in any case."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeApi, FakeClock, FakeGuests, Recorded, lab_of

from halab.cluster import leases
from halab.cluster.steady import Observation
from halab.config.lab import ProviderKind
from halab.errors import TimedOut, Unreachable
from halab.lifecycle import access, wait_steady
from halab.lifecycle.lab import LabDir, open_file

STEADY = Observation()
BOOT = 1764500000


class ClosableApi(FakeApi):
    is_closed = False

    def __enter__(self) -> ClosableApi:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ClosableApi:
    api = ClosableApi({})
    monkeypatch.setattr(access, "api", lambda lab_dir, lab: api)
    monkeypatch.setattr(access, "guests", lambda lab_dir: FakeGuests({"/proc/stat": str(BOOT)}))
    monkeypatch.setattr(wait_steady, "RealClock", FakeClock)
    return api


@pytest.fixture
def lab_dir(tmp_path: Path) -> LabDir:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    return open_file(tmp_path / "lab.yml")


def test_after_a_timeout_the_api_is_closed_and_the_caller_says_what_to_do(
    api: ClosableApi, lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def time_out(*_: Any, **__: Any) -> Observation:
        raise TimedOut("waited 240 s for the lab ha to be steady")

    monkeypatch.setattr(wait_steady, "wait_until_steady", time_out)
    with pytest.raises(TimedOut) as caught:
        wait_steady.wait_steady(lab_dir, lab_of(), Recorded(), hint="the snapshot up is restored")
    assert caught.value.hint == "the snapshot up is restored"
    assert api.is_closed


def test_the_lab_must_stay_steady_and_the_api_is_closed_afterwards(
    api: ClosableApi, lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def wait(*_: Any, hold_seconds: float, **__: Any) -> Observation:
        asked.append(hold_seconds)
        return STEADY

    monkeypatch.setattr(wait_steady, "wait_until_steady", wait)
    assert wait_steady.wait_steady(lab_dir, lab_of(), Recorded(), hold_seconds=5) is STEADY
    assert asked == [5] and api.is_closed


def test_after_a_boot_of_all_machines_the_leases_of_earlier_leaders_are_deleted_as_soon_as_the_api_answers(
    api: ClosableApi, lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def delete(*_: Any) -> None:
        tries.append("asked")
        if len(tries) < 3:
            raise Unreachable("no answer")

    monkeypatch.setattr(leases, "delete_expired", delete)
    monkeypatch.setattr(wait_steady, "wait_until_steady", lambda *_, **__: STEADY)
    wait_steady.wait_steady(lab_dir, lab_of(), Recorded())
    assert tries == []
    wait_steady.wait_steady(lab_dir, lab_of(), Recorded(), all_booted=True)
    assert len(tries) == 3


@pytest.fixture
def guests(api: ClosableApi, monkeypatch: pytest.MonkeyPatch) -> FakeGuests:
    """The API server that cp3's kubelet uses does not become ready in time."""
    guests = FakeGuests(
        {
            "cp3: .*\n.*readyz": TimedOut("a command did not end within 40 s"),
            "cp2: .*\n.*/proc/stat": Unreachable("cp2 does not answer over SSH"),
            "/proc/stat": str(BOOT),
        }
    )
    monkeypatch.setattr(access, "guests", lambda lab_dir: guests)
    monkeypatch.setattr(leases, "delete_expired", lambda *_: None)
    monkeypatch.setattr(wait_steady, "wait_until_steady", lambda *_, **__: STEADY)
    return guests


def restarts(guests: FakeGuests) -> list[str]:
    """The machines whose kubelet was restarted, after their API server was ready."""
    commands = [call for call in guests.calls if "systemctl restart kubelet" in call.command]
    for call in commands:
        assert call.command.index("readyz") < call.command.index("systemctl restart kubelet")
    return sorted(call.machine for call in commands)


def test_after_a_boot_of_all_machines_each_kubelet_restarts_when_its_api_server_is_ready(
    guests: FakeGuests, lab_dir: LabDir
) -> None:
    lab = lab_of(workers=1)
    wait_steady.wait_steady(lab_dir, lab, Recorded())
    assert guests.calls == []
    assert wait_steady.wait_steady(lab_dir, lab, Recorded(), all_booted=True) is STEADY
    assert restarts(guests) == ["cp1", "cp2", "cp3", "w1"]


def test_an_emulated_lab_has_no_processor_to_spare_for_restarts_of_kubelets(
    guests: FakeGuests, lab_dir: LabDir
) -> None:
    emulated = lab_of(provider=ProviderKind.LIBVIRT, accel="tcg")
    wait_steady.wait_steady(lab_dir, emulated, Recorded(), all_booted=True)
    assert restarts(guests) == []


@pytest.mark.parametrize("provider", [{}, {"provider": ProviderKind.LIBVIRT, "accel": "tcg"}])
def test_after_a_boot_of_all_machines_only_what_kubelets_reported_since_then_counts(
    guests: FakeGuests, lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch, provider: dict[str, Any]
) -> None:
    given: list[dict[str, datetime]] = []

    def wait(*_: Any, booted: dict[str, datetime], **__: Any) -> Observation:
        given.append(booted)
        return STEADY

    monkeypatch.setattr(wait_steady, "wait_until_steady", wait)
    wait_steady.wait_steady(lab_dir, lab_of(**provider), Recorded())
    wait_steady.wait_steady(lab_dir, lab_of(workers=1, **provider), Recorded(), all_booted=True)
    boot = datetime.fromtimestamp(BOOT, UTC)
    # cp2 does not answer: the caller reports it
    assert given == [{}, {"cp1": boot, "cp3": boot, "w1": boot}]
