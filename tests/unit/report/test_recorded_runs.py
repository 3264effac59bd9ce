"""Which folders are recorded runs, and what becomes of those that cannot be judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.campaign_builder import campaign_of
from support.recorded_runs import copy_run

from halab.errors import BadUsage
from halab.report import overview
from halab.report.recorded_runs import RecordedRuns, find
from halab.report.render import render
from halab.scenario.record.folder import RunFolder

HAPROXY, NGINX = "stop-apiserver-haproxy", "stop-apiserver-nginx"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder of the runs of a lab."""
    folder = tmp_path / "lab/.halab/runs"
    folder.mkdir(parents=True)
    copy_run(HAPROXY, folder / "1-stop-apiserver")
    copy_run(NGINX, folder / "2-stop-apiserver")
    return folder


def added(*folders: Path, names: tuple[str, ...] = ()) -> RecordedRuns:
    recorded = RecordedRuns()
    for path in find(folders):
        recorded.add(path, names)
    return recorded


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_runs_are_found_in_the_folder_of_a_lab_and_below_any_other(runs: Path, tmp_path: Path) -> None:
    expected = [runs / "1-stop-apiserver", runs / "2-stop-apiserver"]
    assert find([runs]) == find([tmp_path / "lab"]) == find([tmp_path]) == expected
    assert find([expected[1]]) == [expected[1]]
    # a folder named twice has its runs once
    assert find([expected[1], runs, tmp_path]) == [expected[1], expected[0]]


def test_a_campaign_has_its_own_runs_only(runs: Path) -> None:
    played = RunFolder(runs / "2-stop-apiserver")
    campaign = runs / "20261129-101500-campaign"
    campaign.mkdir()
    overview.write(campaign, campaign_of([(played, render(played))], is_complete=True))
    assert [path.resolve() for path in find([campaign])] == [played.path]
    assert len(find([runs])) == 2


def test_a_run_that_is_gone_from_its_campaign_is_refused(runs: Path) -> None:
    played = RunFolder(runs / "2-stop-apiserver")
    campaign = runs / "20261129-101500-campaign"
    campaign.mkdir()
    overview.write(campaign, campaign_of([(played, render(played))], is_complete=True))
    played.meta.unlink()
    recorded = added(campaign)
    assert not recorded.runs and "has no meta.json" in recorded.refused[0].why


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="no such folder: .*gone"):
        find([tmp_path / "gone"])
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(BadUsage, match="no recorded runs in"):
        find([tmp_path])


def test_a_folder_that_cannot_be_read_is_an_error(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(PermissionError):
        find([runs])


def test_runs_are_judged_again_and_nothing_is_written(runs: Path) -> None:
    before = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    recorded = added(runs)
    assert [str(run.result.verdict) for run in recorded.runs] == ["pass", "pass"]
    assert recorded.runs[0].scenario.title == recorded.runs[0].result.title
    assert {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()} == before


def test_only_the_named_scenarios_are_judged(runs: Path) -> None:
    assert len(added(runs, names=("stop-apiserver",)).runs) == 2
    other = added(runs, names=("kill-etcd-member",))
    assert not other.runs and not other.left_out and not other.refused


def test_copies_losing_twins_and_game_days_do_not_count(runs: Path) -> None:
    copy_run(HAPROXY, runs / "3-copy")
    for name, field in (("4-twin", "is_twin"), ("5-game-day", "is_game_day")):
        change(copy_run(HAPROXY, runs / name).meta, **{field: True})
    recorded = added(runs)
    assert len(recorded.runs) == 2
    assert recorded.left_out == {"copies": 1, "losing twins": 1, "game days": 1}


@pytest.mark.parametrize("broken", ["1-stop-apiserver", "3-copy"])
def test_of_copies_the_one_with_all_files_counts(broken: str, runs: Path) -> None:
    copy_run(HAPROXY, runs / "3-copy")
    (runs / broken / "samples.jsonl").unlink()
    recorded = added(runs)
    assert [str(run.result.verdict) for run in recorded.runs] == ["pass", "pass"]
    assert recorded.left_out == {"copies": 1}


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("meta.json", "{", "meta.json: invalid json"),
        ("meta.json", None, "has no meta.json"),
        ("timeline.jsonl", None, "has no timeline.jsonl"),
        ("timeline.jsonl", "x\n" * 3, "timeline.jsonl"),
        ("samples.jsonl", "x\n" * 3, "samples.jsonl"),
        ("scenario.yml", "title: An older one\nfault: kill\n", "scenario.yml:2: fault: is not known"),
    ],
)
def test_broken_evidence_is_refused_and_the_other_runs_count(
    file: str, content: str | None, why: str, runs: Path
) -> None:
    path = runs / "1-stop-apiserver" / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    recorded = added(runs)
    assert len(recorded.runs) == 1
    (refused,) = recorded.refused
    assert refused.folder == path.parent and why in refused.why


def test_a_run_of_another_version_is_refused_with_what_to_do(runs: Path) -> None:
    change(runs / "1-stop-apiserver/meta.json", schema=99)
    (refused,) = added(runs).refused
    assert "made by another version of halab" in refused.why
    assert "read it with the version of halab that made it" in refused.why


def test_a_run_that_vanishes_is_refused(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(run: RunFolder) -> None:
        raise FileNotFoundError(2, "No such file or directory", "meta.json")

    monkeypatch.setattr(RunFolder, "read_meta", vanish)
    assert "No such file" in added(runs).refused[0].why
