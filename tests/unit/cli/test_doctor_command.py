"""`halab doctor`: text, JSON and exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from support.fake_host import FakeHost, place_of

from halab import doctor
from halab.cli import main
from halab.cli.doctor import report_lines
from halab.config.lab import ProviderKind
from halab.doctor import boot_hints, examine
from halab.doctor.check import HostCheckResult, HostCheckState
from halab.doctor.real_host import RealHost
from halab.doctor.run_checks import CHECKS
from halab.errors import BootTimedOut, HostProblem
from halab.lifecycle import snapshot as lifecycle_snapshot
from halab.lifecycle import up as lifecycle_up
from halab.machines.work import Work

LONG = "scripts/bare-host run halab up  # in a checkout: starts an engine of its own"


def lines(host: FakeHost, *, width: int = 80) -> Sequence[str]:
    return [click.unstyle(line) for line in report_lines(examine(place_of(), host), width)]


def test_a_passed_check_is_one_line() -> None:
    text = lines(FakeHost())
    assert "✓ python            3.11.2" in text
    assert text[-1] == "this host can run the lab ha"


def test_a_failed_check_shows_its_reason_and_its_fix() -> None:
    host = FakeHost()
    host.tools.remove("ip")
    text = lines(host)
    at = text.index("✗ iproute2          not found: ip")
    assert text[at + 1].startswith("    why: halab reads the host's routes")
    assert "    fix: sudo apt-get install -y --no-install-recommends iproute2" in text[at:]
    assert text[-1] == "this host cannot run the lab ha: 1 problem to fix"


def test_a_second_fix_is_an_alternative() -> None:
    host = FakeHost()
    host.tools.remove("vagrant")
    text = lines(host)
    assert "     or: get it from https://developer.hashicorp.com/vagrant/install" in text


def test_all_lines_but_fixes_fit_the_terminal() -> None:
    host = FakeHost(existing=set(), engine_facts=HostProblem("no docker engine answers: " + "because " * 30))
    text = lines(host, width=60)
    assert [line for line in text if len(line) > 60 and "fix:" not in line and "or:" not in line] == []
    assert f"    fix: {LONG}" in text


def test_checks_that_the_lab_does_not_need_are_listed_separately() -> None:
    text = lines(FakeHost(libvirt_facts=HostProblem("no libvirt answers")))
    apart = text.index("not needed by a lab on docker:")
    assert text.index("✗ libvirt           no libvirt answers") > apart
    assert text[-1] == "this host can run the lab ha"


def test_the_table_names_checks_that_need_root() -> None:
    def table(host: FakeHost) -> list[str]:
        report = examine(place_of(provider="libvirt"), host)
        return [click.unstyle(line) for line in report_lines(report, 80)]

    text = table(FakeHost())
    at = text.index("- firewall          not checked: only root can read it")
    assert text[at + 1].startswith("    why: ")
    assert '    fix: sudo env HOME="$HOME" PATH="$PATH" halab doctor -f /labs/ha/lab.yml' in text[at:]
    assert text[-1] == "this host can run the lab ha; not checked without root: firewall"
    assert table(FakeHost(is_root=True))[-1] == "this host can run the lab ha"
    told = examine(place_of(provider="libvirt"), FakeHost()).as_json()["checks"]
    assert isinstance(told, list)
    assert [each["name"] for each in told if each["needs_root"]] == ["firewall"]


def test_one_check_does_not_tell_whether_the_host_can_run_the_lab() -> None:
    def table(**facts: Any) -> str:
        [check] = [check for check in CHECKS if check.name == "docker access"]
        report = examine(place_of(), FakeHost(**facts), checks=[check])
        return list(report_lines(report, 80, is_complete=False))[-1]

    assert table() == "the check docker access passed; the other checks were not run"
    assert table(machines_up=0, existing=set()) == (
        "the check docker access failed; the other checks were not run"
    )


def test_json_has_the_same_content_as_the_text() -> None:
    told = examine(place_of(), FakeHost(machines_up=0, existing=set())).as_json()
    assert told["could_run"] is False
    checks = told["checks"]
    assert isinstance(checks, list)
    access = next(each for each in checks if each["name"] == "docker access")
    assert (access["state"], access["needed"], access["fixes"]) == ("failed", True, [LONG])


def test_a_missing_lab_file_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "-f", str(tmp_path / "none.yml")]) == 2
    assert "no such lab file" in capsys.readouterr().err


def test_up_prints_warnings_and_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab.yml").write_text("")
    wide = HostCheckResult(
        "network", HostCheckState.WARNING, "a VPN has come", "", ["halab down"], needed=True
    )

    def stop(*_: object, is_temporary: bool) -> None:
        raise HostProblem("up was reached")

    monkeypatch.setattr(doctor, "require", lambda lab_dir: [wide])
    monkeypatch.setattr(lifecycle_up, "up", stop)
    assert main(["up", "-f", str(tmp_path / "lab.yml")]) == 3
    assert capsys.readouterr().err.startswith(
        "warning: network: a VPN has come\n  fix: halab down\nerror: up was reached"
    )


@pytest.mark.parametrize(
    ("words", "module", "verb"),
    [
        (["up"], lifecycle_up, "up"),
        (["start"], lifecycle_up, "start"),
        (["reset"], lifecycle_snapshot, "reset"),
        (["snapshot", "restore", "one"], lifecycle_snapshot, "restore"),
    ],
)
def test_commands_that_boot_machines_explain_missing_answers(
    words: list[str], module: ModuleType, verb: str,
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "lab.yml").write_text("")

    def silent(*_: object, **named: object) -> None:
        raise BootTimedOut("started, but no answer over SSH in time: cp1", code=1, hint="the log")

    monkeypatch.setattr(doctor, "require", lambda lab_dir: [])
    monkeypatch.setattr(
        boot_hints, "possible_reasons", lambda lab_dir, host, names: ["firewall: not checked"]
    )
    monkeypatch.setattr(module, verb, silent)
    assert main([*words, "-f", str(tmp_path / "lab.yml")]) == 3
    assert capsys.readouterr().err == (
        "error: started, but no answer over SSH in time: cp1\n\nhint: the log\nfirewall: not checked\n"
    )


def test_all_questions_to_the_real_host_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The questions work on any host. No guest is booted, and no engine is needed."""
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///default")
    host = RealHost()
    lab_dir = replace(place_of(provider="libvirt"), work=Work(tmp_path))
    assert host.cores >= 1
    assert host.allocation(lab_dir) is None
    assert host.import_problem("halab") is None
    assert "nothing_of_that_name" in (host.import_problem("nothing_of_that_name") or "")
    assert all(isinstance(group, str) for group in host.groups)
    assert host.box_obstacle(ProviderKind.DOCKER) is None
    names = {"storage pool", "libvirt networks", "libvirt", "nested kvm", "processors", "dnsmasq", "clock"}
    report = examine(lab_dir, host, [check for check in CHECKS if check.name in names])
    assert {result.name for result in report.results} == names


def test_one_check_can_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--only", "python", "--json"]) == 0
    assert [check["name"] for check in json.loads(capsys.readouterr().out)["checks"]] == ["python"]


def test_an_unknown_check_is_refused_with_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--only", "kvn"]) == 2
    errors = capsys.readouterr().err
    assert "no such check: kvn" in errors
    assert "kvm" in errors
