"""The folder of a lab on a host: what was sent, the runs that wait to be sent back, and how the lab ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_fleet import PARCEL
from support.fakes import brought_up
from support.recorded_runs import copy_run
from support.stage import result_of

from halab.errors import Corrupted, LabProblem
from halab.matrix.hosts import place as places
from halab.matrix.hosts.place import Place
from halab.matrix.lab_process import EndedLab, EndedRun
from halab.scenario.record.folder import RunFolder

RUN = "stop-apiserver-haproxy"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "matrix" / "haproxy")
    place.accept(PARCEL)
    return place


@pytest.fixture
def run(place: Place) -> RunFolder:
    return copy_run(RUN, place.lab_file.parent / ".halab/runs/one")


def ended(run: RunFolder) -> EndedRun:
    return EndedRun("stop-apiserver", 42, run, result_of("stop-apiserver", "pass"))


def test_what_was_sent_is_there(place: Place) -> None:
    assert place.lab_file.read_text() == "name: auto\n"
    assert (place.lab_file.parent / "scripts/first.sh").read_text() == "true\n"
    assert place.parcel() == PARCEL


def test_a_run_waits_until_it_is_known(place: Place, run: RunFolder) -> None:
    assert place.waiting(()) == []
    place.keep(ended(run), "f1")
    (waiting,) = place.waiting(())
    assert (waiting.name, waiting.cell, waiting.seed, waiting.fingerprint) == (
        "one",
        "stop-apiserver",
        42,
        "f1",
    )
    assert place.waiting({"one"}) == []
    # a lab that is played again has the runs of the last time still
    place.end(EndedLab())
    place.accept(PARCEL)
    assert place.waiting(()) == [waiting] and place.ended() is None


def test_a_run_arrives_as_it_was_and_only_once(place: Place, run: RunFolder, tmp_path: Path) -> None:
    place.keep(ended(run), "f1")
    (waiting,) = place.waiting(())
    content, runs = place.archive_of(waiting), tmp_path / "lab/.halab/runs"
    runs.parent.parent.mkdir()
    folder = places.unpacked(waiting, content, runs)
    assert folder == places.unpacked(waiting, content, runs)
    assert [path.name for path in runs.iterdir()] == [f"one-{waiting.digest[:8]}"]
    assert (folder / "samples.jsonl").read_bytes() == run.samples.read_bytes()
    assert runs.parent.stat().st_mode & 0o777 == 0o700


def test_a_run_that_has_changed_on_its_way_is_refused(place: Place, run: RunFolder, tmp_path: Path) -> None:
    place.keep(ended(run), "f1")
    (waiting,) = place.waiting(())
    with pytest.raises(Corrupted, match="the run one was changed on its way"):
        places.unpacked(waiting, place.archive_of(waiting) + b"!", tmp_path / "runs")
    with pytest.raises(Corrupted):
        places.unpacked(replace(waiting, digest="0"), place.archive_of(waiting), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_how_a_lab_ended_is_known_afterwards(place: Place) -> None:
    assert place.ended() is None
    place.end(EndedLab("interrupted", was_interrupted=True))
    assert place.ended() == EndedLab("interrupted", was_interrupted=True)


def test_what_was_printed_since_is_read(place: Place) -> None:
    assert place.printed(0) == b""
    place.log.write_text("up\ndown\n")
    assert place.printed(3) == b"down\n"


def test_a_process_that_plays_the_lab_is_seen(place: Place) -> None:
    assert not place.is_played
    with place.played():
        assert place.is_played
        with pytest.raises(LabProblem), place.played():
            pass
    assert not place.is_played


def test_machines_that_may_be_there_are_known(place: Place, state_home: None) -> None:
    assert not place.has_lab
    brought_up(place.lab_file.parent)
    assert place.has_lab
    place.remove()
    assert not place.path.parent.exists() and place.waiting(()) == []


def test_a_lab_that_is_forgotten_leaves_the_others(place: Place) -> None:
    other = Place(place.path.parent / "nginx")
    other.accept(PARCEL)
    place.remove()
    assert other.lab_file.exists()
