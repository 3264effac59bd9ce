"""Nothing that stands in a file or comes from a machine steers a terminal, breaks a report, or fills the screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.campaign_builder import campaign_of
from support.hostile_text import HOSTILE, LONG, SHOWN
from support.run_builder import FAILED, STOP, MadeRun, with_values

from halab.config.lab import LabFile
from halab.config.loading import Model, loads
from halab.config.scenario import Scenario
from halab.errors import BadFile
from halab.printable import brief, brief_line, one_line, printable, shortened
from halab.report import junit, page, table
from halab.scenario.record import events
from halab.scenario.record.events import Record
from halab.scenario.record.folder import RunFolder
from halab.scenario.run import library
from halab.scenario.verdict.result import Result
from halab.scenario.verdict.verdict import judge


def test_what_cannot_be_shown_is_an_escape() -> None:
    assert printable(HOSTILE) == SHOWN
    assert printable("Ärger, 日本語, ✓ a\tb\n😀") == "Ärger, 日本語, ✓ a\tb\n😀"
    assert printable("\ud83d") == "\\ud83d"


@given(st.text())
def test_printable_text_is_a_whole_xml_text(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    element = ElementTree.fromstring(ElementTree.tostring(_element(shown)))
    assert (element.text or "") == shown


def _element(text: str) -> ElementTree.Element:
    element = ElementTree.Element("x")
    element.text = text
    return element


def test_a_long_value_is_its_beginning_and_its_length() -> None:
    assert shortened("short") == "short"
    assert shortened(LONG) == f"{'x' * 60}… (100000 characters)"
    assert brief(f"no such file: {LONG}") == f"no such file: {'x' * 60}… (100000 characters)"
    assert len(brief("many words " * 10_000)) < 2100
    assert brief("two\nlines") == "two\nlines"
    assert brief_line("two\nlines\tof a file") == "two\\nlines\\tof a file"


def said(text: str, model: type[Model]) -> list[str]:
    with pytest.raises(BadFile) as caught:
        loads(text, "f.yml", model)
    return caught.value.message.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        f"provider: {LONG}",
        f"name: {LONG}",
        f"? {LONG}\n: 1",
        f"kubernetes: {{version: {LONG}}}",
        f"network: {LONG}",
        f"control_planes: {'9' * 1000}",
        f"patience: {LONG}",
        f"machines: {{cp: {{memory: {LONG}}}}}",
        f"box: {LONG}/{LONG}",
        f'network: "{"word " * 20_000}"',
        f"name: !{LONG} x",
        f"name: *{LONG}",
    ],
)
def test_a_problem_of_a_lab_file_does_not_repeat_a_long_value(text: str) -> None:
    assert all(len(line) < 2200 for line in said(text, LabFile))


@pytest.mark.parametrize("key", ["on", "inject", "name"])
@pytest.mark.parametrize("value", [LONG, HOSTILE])
def test_a_problem_of_a_scenario_shows_a_value_in_one_short_line(
    key: str, value: str, tmp_path: Path
) -> None:
    quoted = value.encode("unicode_escape").decode().replace('"', '\\"')
    text = STOP.replace({"on": "any-cp", "inject": "hold-static-pod", "name": "name: stopped"}[key],
                        f'"{quoted}"' if key != "name" else f'name: "{quoted}"', 1)  # fmt: skip
    (tmp_path / "mine.yml").write_text(text)
    with pytest.raises(BadFile) as caught:
        library.find(str(tmp_path / "mine.yml"))
    lines = caught.value.message.splitlines()
    assert len(lines) == len(caught.value.problems)
    assert all(len(line) < 2200 and printable(line) == line for line in lines)


def test_the_choices_of_a_field_are_named_as_one_writes_them() -> None:
    (problem,) = said(STOP.replace("{control_planes: 3}", "{provider: kvm}"), Scenario)
    assert problem == 'f.yml:4: needs.provider: should be docker or libvirt, not "kvm"'
    (problem,) = said(STOP.replace("{stopped: nothing}", "{stopped: nothing}, verdict: skip"), Scenario)
    assert problem == 'f.yml:16: twin.verdict: should be fail or error, not "skip"'


@pytest.fixture
def hostile() -> tuple[MadeRun, Result]:
    """A run that failed, with such text from everywhere: from the scenario, from checks, from machines."""
    run = MadeRun(
        text=STOP.replace("One API server is stopped", '"a\\e[31mred\\0"').replace(
            "teaches: The others answer for it.", 'teaches: "\\e]0;x\\a"'
        )
        + "checks: [checks/test_etcd.py]\n",
        checks=[replace(FAILED, name=HOSTILE, text=HOSTILE, detail=HOSTILE)],
        change=lambda event: with_values(event, effect=HOSTILE),
        out={"write-via-lb": [(7.0, 13.0)]},
    )
    result = judge(run.evidence())
    reasons = (*result.reasons, HOSTILE)
    return run, replace(result, reasons=reasons, scenario=HOSTILE, lab=HOSTILE, provider=HOSTILE)


def test_junit_is_whole_xml_whatever_a_title_or_a_machine_says(hostile: tuple[MadeRun, Result]) -> None:
    _, result = hostile
    xml = ElementTree.fromstring(junit.text(result))
    suite = xml.find("testsuite")
    assert suite is not None
    assert "\\x1b[31mred" in suite.get("name", "")
    failures = [each.text or "" for each in xml.iter("failure")]
    assert any(SHOWN in text for text in failures)


def test_junit_of_a_campaign_is_whole_xml(hostile: tuple[MadeRun, Result], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.make()
    folder.scenario.write_text(STOP)
    folder.meta.write_text(hostile[0].meta.to_json())
    campaign = campaign_of([(folder, hostile[1])])
    campaign = replace(
        campaign, name=HOSTILE, not_run=[replace(campaign.not_run[0], name=HOSTILE, why=HOSTILE)]
    )
    ElementTree.fromstring(junit.merged(campaign))
    shown = table.overview(campaign)
    assert printable(shown) == shown


def test_page_and_table_hold_nothing_that_cannot_be_shown(hostile: tuple[MadeRun, Result]) -> None:
    run, result = hostile
    for text in (page.html(result, run.evidence(), logs=[f"logs/{HOSTILE}"]), table.text(result)):
        assert printable(text) == text
        assert "\\x1b" in text


MANY_LINES = (
    "on cp2, a command exited with code 1: kubectl get pods\nE1123 retrying\n\n  error: no route to host  \n"
)


def test_a_message_of_many_lines_is_one_line() -> None:
    assert (
        one_line(MANY_LINES)
        == "on cp2, a command exited with code 1: kubectl get pods: error: no route to host"
    )
    assert one_line("plain") == "plain"
    assert one_line("") == ""
    assert one_line("what failed:\nwhy") == "what failed: why"
    assert len(one_line(LONG)) < 450


def test_the_reason_of_a_verdict_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    result = judge(MadeRun(extra=[Record(20.0, events.Error(MANY_LINES))]).evidence())
    assert result.reasons == (f"run: {one_line(MANY_LINES)}",)
    lines = table.text(result).splitlines()
    assert lines[-1] == f"why: {result.reasons[0]}"
