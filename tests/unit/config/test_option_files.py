"""Options with structured values, with files beside the scenario, and with placeholders."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.run_builder import STOP
from support.scenario_files import KNOWN, fault, problems

from halab.config import scenario_rules
from halab.config.targets import FaultTarget
from halab.errors import BadFile
from halab.faults.catalogue import FAULTS
from halab.faults.fault import Option


def _numbers(text: str) -> list[int]:
    value = json.loads(text)
    if not isinstance(value, list):
        raise ValueError("should be a list of numbers")
    return value


SECOND = """
  - inject: run
    name: second
    on: cp1
    with:
      numbers: [1, 2]
      script: |
        echo {stopped} {cp2.name}
        {LINE}
"""


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    run = fault(
        "run", FaultTarget.ANY,
        script=Option("a script", is_text=True), numbers=Option("numbers", default="", reads=_numbers),
    )  # fmt: skip
    monkeypatch.setitem(KNOWN, "run", run)


def wrong(second: str, folder: Path) -> list[str]:
    return problems(STOP.replace("  - wait: 10s\n", f"{second.strip(chr(10))}\n  - wait: 10s\n"), folder)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("true", None),
        ("echo ${undefined} {{ .x }} \\\\{print}", None),
        ("echo {self} {lb} {etcd-leader.name}", None),
        (
            "awk {print}",
            "steps[3].with.script: {print} is neither a machine nor an earlier fault; ",
        ),
        ("echo {stoped}", "did you mean stopped? (write \\{stoped} if it is not a placeholder)"),
        (
            "echo {cp5}",
            "with.script: not every lab has this machine; write `needs: {control_planes: 5}`: cp5",
        ),
        ("echo {second}", "{second} is neither a machine nor an earlier fault"),
    ],
)
def test_a_placeholder_names_a_machine_or_an_earlier_fault(
    line: str, said: str | None, tmp_path: Path
) -> None:
    found = wrong(SECOND.replace("{LINE}", line), tmp_path)
    if said is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith("s.yml:16: steps[3].with.script: ")
        assert said in found[0]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("numbers: {a: 1}", "s.yml:15: steps[3].with.numbers: should be a list of numbers"),
        ('numbers: {"{none}": 1}', "s.yml:15: steps[3].with.numbers: should be a list of numbers"),
        ("numbers: nine", "s.yml:15: steps[3].with.numbers: Expecting value"),
        (
            "nmubers: [1]",
            "s.yml:14: steps[3].with: run has no option nmubers; it takes numbers, script",
        ),
    ],
)
def test_a_structured_option_is_read_when_the_file_is_read(written: str, said: str, tmp_path: Path) -> None:
    found = wrong(SECOND.replace("numbers: [1, 2]", written).replace("{LINE}", "true"), tmp_path)
    assert len(found) == 1
    assert found[0].startswith(said)


ON_FILE = """
  - inject: run
    on: cp1
    with: {script: ./break.sh}
"""


def test_the_text_of_a_file_is_checked_as_if_it_were_written_in_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "break.sh").write_text("echo {cp9}\n")
    (problem,) = wrong(ON_FILE, tmp_path)
    assert problem.startswith("s.yml:13: steps[3].with.script: no lab has more than 5 control planes: cp9")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("./none.sh", "no such file: none.sh"),
        ("./", "a folder, not a file"),
        ('"./a\\0b"', "no such file"),
        ("./latin.sh", "not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_has_the_line_of_its_option(path: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "latin.sh").write_bytes(b"echo \xe9\n")
    (problem,) = wrong(ON_FILE.replace("./break.sh", path), tmp_path)
    assert problem.startswith("s.yml:13: steps[3].with.script: ")
    assert said in problem


@pytest.mark.parametrize("name", ["break.sh", "parts/break.sh"])
def test_the_name_of_a_file_without_a_dot_is_not_taken_for_a_script(tmp_path: Path, name: str) -> None:
    written = ON_FILE.replace("./break.sh", name)
    assert wrong(written, tmp_path) == []
    (tmp_path / "parts").mkdir()
    (tmp_path / name).write_text("true\n")
    assert wrong(written, tmp_path) == [
        f"s.yml:13: steps[3].with.script: is the name of a file beside the scenario: write ./{name}"
    ]


def test_a_text_of_several_lines_is_never_a_path(tmp_path: Path) -> None:
    assert (
        wrong(SECOND.replace("echo {stopped} {cp2.name}", "./x").replace("{LINE}", "true"), tmp_path) == []
    )


def test_files_of_the_twin_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "one.sh").write_text("one")
    (tmp_path / "two.sh").write_text("two")
    twin = "twin: {add: [{inject: run, name: more, on: cp2, with: {script: ../FOLDER/two.sh}}]}"
    second = ON_FILE.strip("\n").replace("break", "one")
    text = STOP.replace("  - wait: 10s\n", f"{second}\n  - wait: 10s\n")
    begin = text.index("twin:")
    path = tmp_path / "s.yml"
    path.write_text(text[:begin] + twin.replace("FOLDER", tmp_path.name) + "\n")
    _, texts = scenario_rules.read_with_texts(path, KNOWN)
    assert texts == {"./one.sh": "one", f"../{tmp_path.name}/two.sh": "two"}
    replaced = "twin: {replace: {stopped: {fault: run, with: {script: ./none.sh}}}}"
    path.write_text(text[:begin] + replaced + "\n")
    (problem,) = problems(path.read_text(), tmp_path)
    assert "twin.replace.stopped.with.script: no such file" in problem


def test_the_setting_of_a_twin_may_be_a_file(tmp_path: Path) -> None:
    """It is read by the fault edit-balancer of the catalogue."""
    text = re.sub(r"twin: .*", "twin: {set: {load_balancer: {config: ./own.cfg}}}", STOP)
    path = tmp_path / "s.yml"
    path.write_text(text)
    with pytest.raises(BadFile, match=r"s.yml:\d+: twin.set.load_balancer.config: no such file: .*own.cfg"):
        scenario_rules.read_with_texts(path, FAULTS)
    (tmp_path / "own.cfg").write_text("global\n")
    _, texts = scenario_rules.read_with_texts(path, FAULTS)
    assert texts == {"./own.cfg": "global\n"}
