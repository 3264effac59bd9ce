from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.run_builder import FAILED, META, PASSED, STOP, MadeRun
from support.states_builder import QUIET_PROBES, QUIET_STATES, power_cut

from halab import report
from halab.config.component_settings import SourceState
from halab.config.lab import Acceleration, ProviderKind
from halab.config.load_balancer import Balancer
from halab.config.twin import Verdict
from halab.errors import BadUsage, Corrupted
from halab.report import junit, page, table
from halab.scenario.record import events
from halab.scenario.record.events import Record
from halab.scenario.record.folder import MachineNote, RunFolder
from halab.scenario.record.host_facts import HostFacts
from halab.scenario.verdict.verdict import judge

CHECKED = STOP + "checks: [checks/test_etcd.py]\n"
CHECKS_XML = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="2.5">
<testcase classname="test_etcd" name="test_members_are_healthy" time="0.5"/>
<testcase classname="test_etcd" name="test_hashes_agree" time="0.7"><failure message="assert 1 == 2&#10;more">
def test_hashes_agree(): E assert 1 == 2</failure></testcase>
<testcase classname="test_etcd" name="test_lb" time="0.1"><error message="failed on setup">E ssh</error></testcase>
<testcase classname="test_etcd" name="test_clock" time="0.0"><skipped message="no own clock">y</skipped></testcase>
</testsuite></testsuites>
"""


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[MadeRun], RunFolder]:
    """Writes a run as the runner would."""

    def write(run: MadeRun) -> RunFolder:
        folder = RunFolder(tmp_path / "run")
        folder.make()
        evidence = run.evidence()
        taken = [sample for name in evidence.samples.lanes for sample in evidence.samples.of(name)]
        folder.scenario.write_text(run.text)
        folder.lab.write_text("")
        folder.meta.write_text(run.meta.to_json())
        folder.timeline.write_text("".join(record.to_json() + "\n" for record in evidence.records))
        by_end = sorted(taken, key=lambda sample: sample.end)
        folder.samples.write_text("".join(sample.to_json() + "\n" for sample in by_end))
        (folder.logs / "cp1.log").write_text("started\n")
        return folder

    return write


@pytest.mark.parametrize("acceleration", [Acceleration.KVM, Acceleration.TCG])
def test_every_report_names_the_provider_and_the_acceleration(
    recorded: Callable[[MadeRun], RunFolder], acceleration: Acceleration
) -> None:
    """A time under tcg is not one under kvm; a container has the processors of its host."""
    virtual = replace(META, provider=ProviderKind.LIBVIRT, acceleration=acceleration)
    folder = recorded(MadeRun(meta=virtual))
    result = report.render(folder)
    named = f"libvirt ({acceleration})"
    assert json.loads(folder.result.read_text())["provider"] == named
    assert f"<td>{named}</td>" in folder.page.read_text()
    assert f'<property name="provider" value="{named}"' in folder.junit.read_text()
    assert f"on {named}" in " ".join(table.text(result).split())
    assert judge(MadeRun().evidence()).provider == "docker"


def test_the_report_says_that_there_are_two_load_balancers(recorded: Callable[[MadeRun], RunFolder]) -> None:
    second = MachineNote("lb2", "lb", "10.213.7.9")
    folder = recorded(MadeRun(meta=replace(META, machines=(*META.machines, second))))
    report.render(folder)
    words = "on two machines, which checks every backend (readyz)"
    assert f"haproxy {words}" in folder.page.read_text()
    report.render(recorded(MadeRun()))
    assert words not in folder.page.read_text()


def test_the_report_says_that_kube_vip_is_on_the_control_planes(
    recorded: Callable[[MadeRun], RunFolder],
) -> None:
    nodes = tuple(machine for machine in META.machines if machine.role != "lb")
    folder = recorded(MadeRun(meta=replace(META, machines=nodes, load_balancer=Balancer.KUBE_VIP)))
    report.render(folder)
    assert (
        "kube-vip on every control plane, which gives the address to one of them" in folder.page.read_text()
    )


def test_the_report_names_the_source_code_and_the_host(recorded: Callable[[MadeRun], RunFolder]) -> None:
    state = SourceState("./etcd", "1a2b3c4d5e6f7a", is_dirty=True, digest="0123456789abcdef")
    host = HostFacts("Debian GNU/Linux 12", "6.1.0", "x86_64", 2, 24102, "docker 20.10.24")
    folder = recorded(MadeRun(meta=replace(META, sources={"etcd": state}, host=host)))
    assert folder.read_meta().sources == {"etcd": state}
    report.render(folder)
    page = folder.page.read_text()
    said = "3.7.0 from ./etcd at 1a2b3c4d5e6f, with changes that are not committed (content 0123456789ab)"
    assert said in page
    assert "Debian GNU/Linux 12, kernel 6.1.0, x86_64, 2 cores, 24102 MiB, docker 20.10.24" in page


@pytest.mark.parametrize(
    ("run", "busy", "is_noted"),
    [
        (MadeRun(), 0.99, False),
        (MadeRun(checks=[FAILED]), 0.97, True),
        (MadeRun(checks=[FAILED]), 0.94, False),
        (MadeRun(drop=lambda event: isinstance(event, events.RunEnded)), 0.95, True),
    ],
    ids=["pass", "fail", "fail on a host with processor to spare", "error"],
)
def test_a_verdict_from_a_host_without_processor_to_spare_has_a_note_if_it_is_no_pass(
    run: MadeRun, busy: float, is_noted: bool
) -> None:
    evidence = run.evidence()
    records = [
        replace(each, what=replace(each.what, host_busy=busy))
        if isinstance(each.what, events.SamplerStopped)
        else each
        for each in evidence.records
    ]
    evidence = replace(evidence, records=records)
    result = judge(evidence)
    note = f"the processors of the host were in use for {busy:.0%} of the run"
    assert (note in " ".join(table.text(result).split())) is is_noted
    shown = page.html(result, evidence, logs=[])
    assert (note in shown) is is_noted
    assert f"{busy:.0%} of the host’s" in shown


def test_the_report_says_which_machines_have_a_member_of_etcd(
    recorded: Callable[[MadeRun], RunFolder],
) -> None:
    apart = tuple(MachineNote(f"etcd{number}", "etcd", f"10.213.7.4{number}") for number in (1, 2, 3))
    meta = replace(META, machines=(*META.machines, *apart))
    assert meta.members == ("etcd1", "etcd2", "etcd3")
    assert (meta.setting.etcd, META.setting.etcd) == ("external", "stacked")
    assert META.members == META.control_planes
    folder = recorded(MadeRun(meta=meta))
    report.render(folder)
    assert "<td>etcd2</td><td>etcd member</td>" in folder.page.read_text()


def test_a_run_recorded_without_acceleration_is_read(recorded: Callable[[MadeRun], RunFolder]) -> None:
    folder = recorded(MadeRun())
    meta = json.loads(folder.meta.read_text())
    del meta["acceleration"]
    folder.meta.write_text(json.dumps(meta))
    assert report.render(folder).provider == "docker"


def test_a_folder_gets_the_verdict_of_its_run(recorded: Callable[[MadeRun], RunFolder]) -> None:
    run = MadeRun(out={"write-via-lb": [(7, 13)]})
    assert report.render(recorded(run)) == judge(run.evidence())


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("run a --seed 42", "To do the same again on a lab that is up:"),
        ("compare --set name=a,b a --seed 42", "To do the same again, with another folder (--in):"),
        ("replay a.tar.gz --again", "To do the same again, with another folder (--in):"),
        ("bugs reproduce a --seed 42", "To do the same again; halab builds the lab:"),
    ],
)
def test_the_report_says_how_to_do_the_same_again(
    recorded: Callable[[MadeRun], RunFolder], command: str, sentence: str
) -> None:
    folder = recorded(MadeRun(meta=replace(META, command=("halab", *command.split()))))
    report.render(folder)
    shown = folder.page.read_text()
    assert f"<p>{sentence}</p>" in shown
    assert f"<pre>halab {command}</pre>" in shown


def test_the_result_is_also_written_as_json(recorded: Callable[[MadeRun], RunFolder]) -> None:
    folder = recorded(MadeRun())
    report.render(folder)
    written = json.loads(folder.result.read_text())
    assert (written["schema"], written["verdict"], written["patience"]) == (1, "pass", 1.0)
    assert written["outcomes"][1]["promised"] == "ready-direct on stopped fails within 10s"


def test_rendering_twice_gives_the_same_files(recorded: Callable[[MadeRun], RunFolder]) -> None:
    folder = recorded(MadeRun())
    files = (folder.result, folder.junit, folder.page)
    report.render(folder)
    first = [path.read_text() for path in files]
    report.render(folder)
    assert [path.read_text() for path in files] == first


def test_a_twin_is_judged_as_a_twin(recorded: Callable[[MadeRun], RunFolder]) -> None:
    result = report.render(recorded(MadeRun(meta=replace(META, is_twin=True), expect_seconds=11)))
    assert result.is_twin


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match=r"has no meta\.json"):
        RunFolder.existing(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"schema": 1}', "nonsense"])
def test_a_damaged_meta_file_is_an_error(content: str, recorded: Callable[[MadeRun], RunFolder]) -> None:
    folder = recorded(MadeRun())
    folder.meta.write_text(content)
    with pytest.raises(Corrupted, match=r"cannot read .*meta\.json"):
        report.render(folder)


def test_a_folder_of_another_version_is_refused(recorded: Callable[[MadeRun], RunFolder]) -> None:
    folder = recorded(MadeRun(meta=replace(META, schema=2)))
    with pytest.raises(Corrupted, match="another version"):
        report.render(folder)


def test_a_killed_run_has_a_report(recorded: Callable[[MadeRun], RunFolder]) -> None:
    folder = recorded(MadeRun())
    for path, share in ((folder.timeline, 0.5), (folder.samples, 0.6)):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
    result = report.render(folder)
    assert result.verdict is Verdict.ERROR
    assert folder.page.stat().st_size > 5000


def test_a_skipped_run_has_a_report(recorded: Callable[[MadeRun], RunFolder]) -> None:
    folder = recorded(MadeRun())
    folder.timeline.write_text(
        Record(0.1, events.Skipped("the lab has 1 control plane, and 3 are needed")).to_json() + "\n"
    )
    folder.samples.unlink()
    result = report.render(folder)
    assert result.verdict is Verdict.SKIP
    assert "the lab has 1 control plane, and 3 are needed" in folder.page.read_text()
    assert "SKIP" in table.text(result)
    (case,) = ElementTree.parse(folder.junit).iter("testcase")
    assert case.find("skipped") is not None


# checks and JUnit


def test_checks_are_merged_with_the_output_of_pytest(recorded: Callable[[MadeRun], RunFolder]) -> None:
    folder = recorded(MadeRun(text=CHECKED, checks=[PASSED, FAILED]))
    folder.checks.write_text(CHECKS_XML)
    result = report.render(folder)
    assert result.verdict is Verdict.FAIL
    assert "test_etcd: test hashes agree: assert 1 == 2" in result.reasons
    suite = ElementTree.parse(folder.junit).find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("1", "1", "1")
    failure = next(suite.iter("failure"))
    assert "def test_hashes_agree()" in (failure.text or "")
    assert "def test_hashes_agree()" in folder.page.read_text()


def test_a_damaged_file_of_checks_is_an_error(recorded: Callable[[MadeRun], RunFolder]) -> None:
    folder = recorded(MadeRun(text=CHECKED))
    folder.checks.write_text(CHECKS_XML[:200])
    with pytest.raises(Corrupted, match=r"cannot read .*checks\.xml"):
        report.render(folder)


def test_junit_has_a_case_per_promise_with_the_full_reason() -> None:
    result = judge(MadeRun(out={"write-via-lb": [(7, 13)]}).evidence())
    suite = ElementTree.fromstring(junit.text(result)).find("testsuite")
    assert suite is not None
    assert len(list(suite.iter("testcase"))) == len(result.outcomes)
    failure = next(suite.iter("failure"))
    assert (failure.text or "").splitlines() == [
        "promised: write-via-lb longest outage at most 5s during stopped",
        "seen: write-via-lb was out for 6s, from 7.0s (connection refused)",
        "when: 7.00s after the start of the run",
        "samples: 30 of write-via-lb from 7.00s to 12.80s",
    ]


def test_junit_shows_both_limits_if_patience_stretched_one() -> None:
    run = MadeRun(out={"ready-direct@cp2": []}, expect_seconds=22, meta=replace(META, patience=2.0))
    assert "limit: 10s, 20s with the lab's patience" in junit.text(judge(run.evidence()))


# the page


class Page(HTMLParser):
    """Checks that every element is closed, and collects what a page would load."""

    VOID = frozenset({"meta", "rect", "line", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("rect", "line"), tag

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def html_of(run: MadeRun) -> str:
    evidence = run.evidence()
    return page.html(judge(evidence), evidence, logs=["logs/cp1.log"])


def test_the_page_has_links_to_the_reads_and_writes_of_a_run(
    recorded: Callable[[MadeRun], RunFolder],
) -> None:
    folder = recorded(MadeRun())
    for path in (folder.operations, folder.operations_page):
        path.touch()
    report.render(folder)
    parsed = Page()
    parsed.feed(folder.page.read_text())
    assert {"operations.jsonl", "operations.html"} <= set(parsed.links)


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    text = html_of(MadeRun(out={"write-via-lb": [(7, 13)]}))
    parsed = Page()
    parsed.feed(text)
    assert parsed.open == []
    assert "<script" not in text
    assert not [link for link in parsed.links if ":" in link]
    assert "logs/cp1.log" in parsed.links
    assert not re.search(r"url\((?!#)", text)


def test_the_page_has_the_important_facts() -> None:
    text = html_of(MadeRun(out={"write-via-lb": [(7, 13)]}, meta=replace(META, patience=2.0)))
    for words in (
        "One API server is stopped",
        "The others answer for it.",
        "write-via-lb was out for 6s, from 7.0s",
        "evidence: 30 samples of write-via-lb, 7.0 to 12.8s",
        "steady again",
        "90s (with patience 3m)",
        "halab run made-up --seed 42",
        "10.213.7.11",
        "3.7.0",
    ):
        assert words in text, words


def test_text_of_scenarios_and_logs_is_escaped() -> None:
    text = html_of(
        MadeRun(
            text=STOP.replace("One API server is stopped", "'<script>alert(1)</script>'"),
            checks=[replace(FAILED, text="<img src=x>", detail="</pre><script>")],
        )
    )
    assert "<script" not in text
    assert "<img" not in text


def test_thousands_of_samples_give_a_small_page() -> None:
    flapping = [(t, t + 0.2) for t in range(0, 4000, 2)]
    run = MadeRun(text=STOP.replace("wait: 10s", "wait: 1h"), out={"write-via-lb": flapping})
    assert len(html_of(run)) < 250_000


def test_the_page_shows_when_a_new_leader_was_there_and_links_the_states() -> None:
    evidence = power_cut()
    text = page.html(judge(evidence), evidence, logs=[])
    assert "new etcd leader after</span><b>1.3s</b>" in text
    assert "cp3, 1.3s after the fault" in text
    assert 'href="states.jsonl"' in text
    assert 'href="states.jsonl"' not in html_of(MadeRun())


def test_the_page_of_a_busy_run_is_well_formed_and_folds_quiet_lanes() -> None:
    evidence = power_cut()
    text = page.html(judge(evidence), evidence, logs=[])
    parsed = Page()
    parsed.feed(text)
    assert parsed.open == []
    quiet = QUIET_PROBES + QUIET_STATES
    assert f"<summary>{quiet} more lanes without failures: backend, node: cp1, cp3, cp4, cp5; " in text
    assert f"<summary>{QUIET_PROBES} probes without a failed sample</summary>" in text


def test_the_page_of_a_twin_shows_the_expected_verdict() -> None:
    assert "Its verdict must be fail." in html_of(
        MadeRun(meta=replace(META, is_twin=True), expect_seconds=11)
    )


# the table


def test_the_table_is_readable_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    run = MadeRun(text=CHECKED, checks=[PASSED, FAILED], out={"write-via-lb": [(7, 13)]})
    text = table.text(judge(run.evidence()))
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0].startswith("FAIL made-up: One API server is stopped")
    (line,) = [line for line in lines if "step 5" in line and "broken" in line]
    assert line.startswith("✗ broken")
    assert "checks: 1 of 2 passed" in lines
    assert "why: step 5: write-via-lb was out for 6s, from 7.0s (connection refused)" in lines


def test_the_table_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    text = table.text(judge(MadeRun().evidence()))
    assert max(map(len, text.splitlines())) <= 60


def test_the_report_says_that_every_node_has_a_load_balancer(
    recorded: Callable[[MadeRun], RunFolder],
) -> None:
    nodes = tuple(machine for machine in META.machines if machine.role != "lb")
    folder = recorded(MadeRun(meta=replace(META, machines=nodes, load_balancer=Balancer.LOCAL)))
    report.render(folder)
    assert "haproxy on every node, which checks every backend (readyz)" in folder.page.read_text()


def test_the_report_says_that_nginx_on_every_node_has_no_checks(
    recorded: Callable[[MadeRun], RunFolder],
) -> None:
    folder = recorded(MadeRun(meta=replace(META, load_balancer=Balancer.LOCAL_NGINX)))
    report.render(folder)
    assert "nginx on every node, which notices a bad backend only when" in folder.page.read_text()


def test_the_report_says_that_the_load_balancer_checks_nothing(
    recorded: Callable[[MadeRun], RunFolder],
) -> None:
    folder = recorded(MadeRun(meta=replace(META, load_balancer=Balancer.LOCAL, load_balancer_check="none")))
    report.render(folder)
    assert "haproxy on every node, which does not check its backends" in folder.page.read_text()


def test_the_report_says_that_the_endpoint_is_a_name(recorded: Callable[[MadeRun], RunFolder]) -> None:
    folder = recorded(MadeRun(meta=replace(META, load_balancer=Balancer.DNS)))
    report.render(folder)
    assert (
        "dns, a name with the addresses of all API servers, and no load balancer" in folder.page.read_text()
    )
