"""Runs that were recorded on real labs (tests/support/runs), judged again."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.campaign_builder import campaign_of
from support.run_builder import CONTROL_PLANES, META, MadeRun, leaders, waiting

from halab import report
from halab.cli import main
from halab.config.twin import Verdict
from halab.errors import HalabError
from halab.report import overview
from halab.report.recorded_campaign import render_campaign
from halab.scenario.record import events
from halab.scenario.record.events import Record
from halab.scenario.record.folder import Evidence, RunFolder
from halab.scenario.verdict.result import PromiseStatus, Result
from halab.scenario.verdict.verdict import judge

RUNS = Path(__file__).parents[3] / "support/runs"
NAMES = sorted(path.name for path in RUNS.iterdir() if path.is_dir())


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[str], RunFolder]:
    """A recorded run where it may be changed."""

    def copy(name: str) -> RunFolder:
        folder = RunFolder(tmp_path / name)
        shutil.copytree(RUNS / name, folder.path)
        packed = folder.path / "samples.jsonl.gz"
        folder.samples.write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
        return folder

    return copy


def measured(result: Result, step: int) -> float | None:
    (outcome,) = [each for each in result.outcomes if each.step == step - 1]
    return outcome.measured


@pytest.mark.parametrize("name", ["stop-apiserver-haproxy", "stop-apiserver-nginx"])
def test_a_run_that_passed_passes_again(name: str, copy_of: Callable[[str], RunFolder]) -> None:
    result = report.render(copy_of(name))
    assert result.verdict is Verdict.PASS, result.reasons


def test_a_run_that_passed_although_its_fault_was_too_short_is_an_error_now(
    copy_of: Callable[[str], RunFolder],
) -> None:
    """Its first fault was healed after 1.5 s, and its bound is 5 s."""
    result = report.render(copy_of("kill-etcd-member-nginx"))
    assert result.verdict is Verdict.ERROR
    assert result.reasons == (
        "step 4: the fault `killed` lasted only 1.5s, too short for an outage of 5s"
        ": make it longer with a `wait` before its heal, or lower the bound",
    )


def test_an_outage_that_the_heal_of_a_short_fault_did_not_end_breaks_its_bound(
    copy_of: Callable[[str], RunFolder],
) -> None:
    folder = copy_of("kill-etcd-member-nginx")
    samples = [json.loads(line) for line in folder.samples.read_text().splitlines()]
    for sample in samples:
        if sample["probe"] == "write-via-lb" and 3.1 <= sample["t"] < 13:
            sample.update(ok=False, detail="connection refused")
    folder.samples.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    result = report.render(folder)
    assert result.verdict is Verdict.FAIL
    assert measured(result, 4) == pytest.approx(9.9, abs=0.2)


def test_the_figures_of_an_etcd_member_that_was_held_down_behind_nginx(
    copy_of: Callable[[str], RunFolder],
) -> None:
    result = report.render(copy_of("kill-etcd-member-nginx"))
    assert measured(result, 2) == pytest.approx(0.722, abs=0.001)
    assert measured(result, 12) == pytest.approx(2.216, abs=0.01)
    assert result.recovery_seconds == pytest.approx(129.0, abs=0.01)
    (left_out,) = result.of(PromiseStatus.LEFT_OUT)
    assert left_out.step == 10
    lanes = {str(lane.name): lane for lane in result.lanes}
    assert (lanes["read-via-lb"].failed, lanes["read-via-lb"].outages) == (240, 36)
    assert lanes["ready-direct@cp3"].longest_outage_seconds == pytest.approx(142.8, abs=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_a_promise_that_the_samples_break_is_broken(name: str, copy_of: Callable[[str], RunFolder]) -> None:
    folder = copy_of(name)
    text = folder.scenario.read_text()
    fault = "held-down" if "held-down" in text else "stopped"
    words = f"probe: ready-direct, on: {fault}, longest_outage: 1s, during: {fault}"
    broken = f"\n  - expect: {{{words}}}\n  - heal: {fault}"
    folder.scenario.write_text(text.replace(f"\n  - heal: {fault}", broken))
    steps = text[: text.index(f"\n  - heal: {fault}")].count("\n  - ")
    records = [json.loads(line) for line in folder.timeline.read_text().splitlines()]
    for record in records:
        if record.get("index", -1) >= steps:
            record["index"] += 1
    at = next(each["t"] for each in records if each.get("index") == steps + 1)
    records.append({"t": at, "event": "expectation-started", "index": steps})
    records.append({"t": at, "event": "expectation-ended", "index": steps})
    records.sort(key=lambda record: record["t"])
    folder.timeline.write_text("".join(json.dumps(record) + "\n" for record in records))
    result = report.render(folder)
    assert result.verdict is Verdict.FAIL
    assert [reason.partition(":")[0] for reason in result.reasons] == [f"step {steps + 1}"]


def written(evidence: Evidence, folder: RunFolder, text: str) -> RunFolder:
    """A made-up run as files, as the runner and the sampler leave them."""
    folder.make()
    folder.scenario.write_text(text)
    folder.meta.write_text(evidence.meta.to_json())
    lanes = [evidence.samples.of(name) for name in evidence.samples.lanes]
    readings = [evidence.states.of(name) for name in evidence.states.lanes]
    for path, lines in (
        (folder.timeline, evidence.records),
        (folder.samples, sorted((sample for lane in lanes for sample in lane), key=lambda each: each.end)),
        (folder.states, [reading for lane in readings for reading in lane]),
    ):
        path.write_text("".join(f"{line.to_json()}\n" for line in lines))
    return folder


LED = waiting("fact: etcd-leader, changed: within 5s")


@pytest.mark.parametrize("twin", [False, True])
def test_evidence_in_memory_and_in_files_is_judged_alike(twin: bool, tmp_path: Path) -> None:
    text = LED.replace(
        "{replace: {stopped: nothing}}", "{add: [{inject: freeze, name: frozen, on: cp1}], verdict: fail}"
    )
    members = events.Members(
        9, dict.fromkeys(CONTROL_PLANES, 1), dict.fromkeys(CONTROL_PLANES, 5), {"cp2": (3,)}
    )
    run = MadeRun(
        text=text,
        meta=replace(META, is_twin=twin),
        states=leaders(),
        extra=[Record(40.0, members), Record(41.0, events.Audit(("a file on cp1",)))],
    )
    result = judge(run.evidence())
    again = report.render(written(run.evidence(), RunFolder(tmp_path / "run"), text))
    assert result.reasons == ("members: cp2 lacks 1 of the acknowledged writes: 3",)
    assert again.to_json() == result.to_json()


def test_a_run_without_a_file_of_states_is_judged_without_them(tmp_path: Path) -> None:
    run = MadeRun(text=LED, states=leaders())
    folder = written(run.evidence(), RunFolder(tmp_path / "run"), LED)
    assert report.render(folder).verdict is Verdict.PASS
    folder.states.unlink()
    result = report.render(folder)
    assert result.verdict is Verdict.ERROR
    assert result.reasons == ("step 2: there is no reading of etcd-leader before the fault",)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_states_that_were_cut_off_never_make_a_failure(share: float, tmp_path: Path) -> None:
    folder = written(MadeRun(text=LED, states=leaders()).evidence(), RunFolder(tmp_path / "run"), LED)
    content = folder.states.read_bytes()
    folder.states.write_bytes(content[: int(len(content) * share)])
    assert report.render(folder).verdict in (Verdict.PASS, Verdict.ERROR)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("name", NAMES)
def test_a_record_that_was_cut_off_never_passes(
    name: str, share: float, copy_of: Callable[[str], RunFolder]
) -> None:
    for file in ("timeline", "samples"):
        folder = copy_of(name)
        path: Path = getattr(folder, file)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        assert report.render(folder).verdict is Verdict.ERROR
        shutil.rmtree(folder.path)


# several of them


def test_a_campaign_is_judged_again_and_says_the_same(
    tmp_path: Path, copy_of: Callable[[str], RunFolder]
) -> None:
    runs = [(folder, report.render(folder)) for folder in map(copy_of, NAMES)]
    folder = tmp_path / "20261123-101500-campaign"
    overview.write(folder, campaign_of(runs))
    before = {name: (folder / name).read_text() for name in (overview.JSON, overview.JUNIT, overview.PAGE)}
    for name in before:
        if name != overview.JSON:
            (folder / name).unlink()
    campaign = render_campaign(folder)
    assert {name: (folder / name).read_text() for name in before} == before
    assert (campaign.seed, campaign.verdict) == (42, Verdict.ERROR)


def test_a_run_with_another_verdict_changes_that_of_its_campaign(
    tmp_path: Path, copy_of: Callable[[str], RunFolder]
) -> None:
    run = copy_of("stop-apiserver-haproxy")
    folder = tmp_path / "20261123-101500-campaign"
    overview.write(folder, campaign_of([(run, report.render(run))], is_complete=True))
    text = run.scenario.read_text()
    assert "fails: within 10s" in text
    run.scenario.write_text(text.replace("fails: within 10s", "fails: within 1ms"))
    assert render_campaign(folder).verdict is Verdict.FAIL


def failing_run(folder: RunFolder) -> RunFolder:
    """The run with one limit so short that the lab cannot keep it."""
    text = folder.scenario.read_text()
    assert "fails: within 10s" in text
    folder.scenario.write_text(text.replace("fails: within 10s", "fails: within 1ms"))
    return folder


def unknown_run(folder: RunFolder) -> RunFolder:
    """The run without its end: what came of it is not known."""
    lines = folder.timeline.read_text().splitlines(keepends=True)
    folder.timeline.write_text("".join(lines[: len(lines) // 2]))
    return folder


@pytest.mark.parametrize(
    ("fails", "is_cut", "code"), [(False, False, 0), (True, False, 1), (False, True, 3), (True, True, 3)]
)
def test_the_report_of_a_campaign_ends_as_the_campaign_did(
    fails: bool, is_cut: bool, code: int, tmp_path: Path, copy_of: Callable[[str], RunFolder]
) -> None:
    first, second = copy_of("stop-apiserver-haproxy"), copy_of("stop-apiserver-nginx")
    runs = [failing_run(first) if fails else first, unknown_run(second) if is_cut else second]
    campaign = campaign_of([(run, report.render(run)) for run in runs], is_complete=True)
    overview.write(tmp_path / "campaign", campaign)
    assert main(["report", str(tmp_path / "campaign")]) == code


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text[:40], "cannot read .*campaign.json: "),
        (lambda text: text.replace('"seed": 42', '"seed": "x"'), "campaign.json: seed: "),
        (lambda text: text.replace('"schema": 1', '"schema": 99'), "made by another version of halab"),
        (
            lambda text: text.replace("stop-apiserver-haproxy", "gone"),
            "no such folder: .*gone",
        ),
    ],
)
def test_a_campaign_that_cannot_be_read_says_what_is_wrong(
    change: Callable[[str], str], why: str, tmp_path: Path, copy_of: Callable[[str], RunFolder]
) -> None:
    run = copy_of("stop-apiserver-haproxy")
    folder = tmp_path / "20261123-101500-campaign"
    overview.write(folder, campaign_of([(run, report.render(run))]))
    written = folder / overview.JSON
    written.write_text(change(written.read_text()))
    with pytest.raises(HalabError, match=why):
        render_campaign(folder)
