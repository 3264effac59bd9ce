"""A sampler in the background lives as long as its permit."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path

import pytest
from support.fakes import lab_of

from halab import process
from halab.clock import Deadline, NotYet, RealClock, wait_for
from halab.cluster.api import Credentials
from halab.permit import Permit
from halab.scenario.sampler import launcher
from halab.scenario.sampler.launcher import SamplerConfig


def test_one_process_holds_a_permit_and_it_ends_with_the_file(tmp_path: Path) -> None:
    permit = Permit(tmp_path / "permit")
    assert not (permit.is_valid or permit.is_held or permit.take())
    permit.grant()
    assert permit.is_valid
    assert not permit.is_held
    with (tmp_path / "permit").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert permit.is_held
        assert not permit.take()
    assert permit.take()
    assert permit.is_held
    permit.end()
    permit.end()
    assert not permit.is_valid


def test_a_permit_that_is_made_held_is_held_until_its_end(tmp_path: Path) -> None:
    permit = Permit(tmp_path / "permit")
    permit.hold()
    assert permit.is_held
    assert not Permit(tmp_path / "permit").take()
    permit.end()
    assert not permit.is_valid
    permit.hold()
    assert permit.is_held
    permit.end()


def test_somebody_who_asks_at_the_same_moment_is_no_holder(tmp_path: Path) -> None:
    permit = Permit(tmp_path / "permit")
    permit.grant()
    with (tmp_path / "permit").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not permit.is_held


def config_in(folder: Path, permit: Path) -> SamplerConfig:
    config = launcher.sampler_config(
        lab_of(), Credentials.in_folder(folder), origin=0.0, samples=folder / "samples.jsonl",
        states=folder / "states.jsonl", namespace="space", ssh_config=folder / "ssh_config",
    )  # fmt: skip
    return replace(config, probes=[], reads_states=False, permit=str(permit))


def test_the_sampler_is_started_detached_with_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[list[str], str]] = []
    monkeypatch.setattr(process, "find", lambda tool, hint: f"/usr/bin/{tool}")
    monkeypatch.setattr(process, "run", lambda argv, *, input, **given: started.append((argv, input)))
    config = config_in(tmp_path, tmp_path / "permit")
    launcher.start_in_background(config, tmp_path / "log")
    [(argv, text)] = started
    assert argv[:2] == ["/usr/bin/setsid", "--fork"]
    assert SamplerConfig.from_json(text) == config


def test_a_sampler_outlives_its_parent_and_ends_when_its_permit_is_gone(tmp_path: Path, keys: Path) -> None:
    permit, clock = Permit(tmp_path / "permit"), RealClock()
    permit.grant()
    launcher.start_in_background(config_in(keys, tmp_path / "permit"), tmp_path / "log")

    def holds() -> None:
        if not permit.is_held:
            raise NotYet((tmp_path / "log").read_text())

    wait_for("the sampler", holds, Deadline.after(clock, 60), every_seconds=0.05)
    with (tmp_path / "permit").open() as held:
        permit.end()

        def ended() -> None:
            try:
                # the lock goes with the process
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise NotYet("it runs") from error

        wait_for("the end of the sampler", ended, Deadline.after(clock, 60), every_seconds=0.05)
    assert (tmp_path / "log").read_text() == ""
