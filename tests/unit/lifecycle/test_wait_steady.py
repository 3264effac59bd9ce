"""Waiting until a lab is steady: how long, and that the connection to the API is closed in any case."""

from __future__ import annotations

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
    monkeypatch.setattr(access, "guests", lambda lab_dir: FakeGuests({}))
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
    guests = FakeGuests({"cp3: ": TimedOut("a command did not end within 40 s")})
    monkeypatch.setattr(access, "guests", lambda lab_dir: guests)
    monkeypatch.setattr(leases, "delete_expired", lambda *_: None)
    monkeypatch.setattr(wait_steady, "wait_until_steady", lambda *_, **__: STEADY)
    return guests


def test_after_a_boot_of_all_machines_each_kubelet_restarts_when_its_api_server_is_ready(
    guests: FakeGuests, lab_dir: LabDir
) -> None:
    lab = lab_of(workers=1)
    wait_steady.wait_steady(lab_dir, lab, Recorded())
    assert guests.calls == []
    assert wait_steady.wait_steady(lab_dir, lab, Recorded(), all_booted=True) is STEADY
    assert sorted(call.machine for call in guests.calls) == ["cp1", "cp2", "cp3", "w1"]
    for call in guests.calls:
        assert call.command.index("readyz") < call.command.index("systemctl restart kubelet")


def test_an_emulated_lab_has_no_processor_to_spare_for_restarts_of_kubelets(
    guests: FakeGuests, lab_dir: LabDir
) -> None:
    emulated = lab_of(provider=ProviderKind.LIBVIRT, accel="tcg")
    wait_steady.wait_steady(lab_dir, emulated, Recorded(), all_booted=True)
    assert guests.calls == []
