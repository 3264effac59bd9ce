"""`halab faults`, `inject` and `heal`: faults by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from halab.cli import main
from halab.cli.fault import fault_lines
from halab.config.lab_traits import Capability
from halab.config.targets import FaultTarget
from halab.errors import CommandFailed, HalabError, LabProblem
from halab.faults.catalogue import FAULTS
from halab.faults.fault import Fault, Option, nothing_to_heal
from halab.faults.journal import Entry, Journal
from halab.lifecycle import lab as labs
from halab.scenario.run import by_hand

Shown = pytest.CaptureFixture[str]
SEEN = "etcd has no process on cp2"


class Board:
    """A lab without machines that records injected and healed faults."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "lab.yml").write_text("name: ha\n")
        monkeypatch.chdir(folder)
        monkeypatch.setattr(by_hand, "inject", self._inject)
        monkeypatch.setattr(by_hand, "heal", self._heal)
        self.journal = Journal(folder / ".halab" / "journal.jsonl")
        self.asked: list[Any] = []
        self.error: BaseException | None = None
        self.failed: list[tuple[Entry, HalabError]] = []

    def _inject(
        self, lab_dir: labs.LabDir, progress: object, fault: str, targets: Sequence[str], options: Mapping[str, str],
        *, seed: int | None = None,
    ) -> list[tuple[Entry, str]]:  # fmt: skip
        self.asked.append((fault, list(targets), dict(options), seed))
        entry = Entry("3fa4b5c6d7e8", fault, "cp2", dict(options))
        if self.error:
            Journal(lab_dir.work.journal).opened(entry)
            raise self.error
        return [(entry, SEEN)]

    def _heal(
        self, lab_dir: labs.LabDir, progress: object, names: Sequence[str]
    ) -> list[tuple[Entry, HalabError]]:
        self.asked.append(list(names))
        return self.failed


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    return Board(tmp_path, monkeypatch)


def test_inject_prints_the_fault_its_effect_and_how_to_undo_it(board: Board, capsys: Shown) -> None:
    assert (
        main(["inject", "hold-static-pod", "--on", "etcd-leader", "--with", "pod=etcd", "--seed", "3"]) == 0
    )
    assert board.asked == [("hold-static-pod", ["etcd-leader"], {"pod": "etcd"}, 3)]
    shown = capsys.readouterr()
    assert shown.out == f"hold-static-pod on cp2 pod=etcd: {SEEN}\n"
    assert shown.err == "heal it with `halab heal hold-static-pod`\n"


def test_several_targets_and_options_may_be_given(board: Board) -> None:
    words = ["--on", "cp1", "--on", "cp2", "--with", "process=etcd", "--with", "signal=TERM"]
    assert main(["inject", "kill-process", *words]) == 0
    assert board.asked == [("kill-process", ["cp1", "cp2"], {"process": "etcd", "signal": "TERM"}, None)]


def test_a_fault_that_is_over_at_once_has_nothing_to_undo(board: Board, capsys: Shown) -> None:
    assert not FAULTS["kill-process"].facts.is_lasting
    assert main(["inject", "kill-process", "--on", "cp2", "--with", "process=etcd"]) == 0
    assert capsys.readouterr().err == "the fault is already over; there is nothing to heal\n"


def test_injected_faults_can_be_printed_as_json(board: Board, capsys: Shown) -> None:
    assert main(["inject", "hold-static-pod", "--on", "cp2", "--with", "pod=etcd", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"id": "3fa4b5c6d7e8", "fault": "hold-static-pod", "machine": "cp2", "options": {"pod": "etcd"},
         "seen": SEEN, "is_open": True}
    ]  # fmt: skip


def test_an_unknown_fault_is_a_usage_error_and_suggests_the_nearest(board: Board, capsys: Shown) -> None:
    for verb in (["inject", "kill-proces", "--on", "cp2"], ["faults", "kill-proces"]):
        assert main(verb) == 2
        shown = capsys.readouterr().err
        assert "no such fault: kill-proces" in shown
        assert "kill-process" in shown
        assert "`halab faults` lists them" in shown
    assert board.asked == []


def test_an_option_without_a_value_and_a_fault_without_a_target_are_usage_errors(
    board: Board, capsys: Shown
) -> None:
    assert main(["inject", "kill-process", "--on", "cp2", "--with", "etcd"]) == 2
    assert "--with expects NAME=VALUE, such as process=etcd: etcd" in capsys.readouterr().err
    assert main(["inject", "kill-process", "--with", "process=etcd"]) == 2
    assert "--on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(CommandFailed("no way in", code=255), 3), (KeyboardInterrupt(), 130)]
)
def test_a_failed_injection_prints_the_open_fault(
    error: BaseException, code: int, board: Board, capsys: Shown
) -> None:
    board.error = error
    assert main(["inject", "hold-static-pod", "--on", "cp2", "--with", "pod=etcd"]) == code
    message = "a fault is open: hold-static-pod on cp2 pod=etcd (heal it with `halab heal`)"
    assert message in capsys.readouterr().err


def test_heal_passes_names_on_and_prints_faults_that_stay_open(board: Board, capsys: Shown) -> None:
    assert main(["heal"]) == 0
    assert main(["heal", "freeze", "3fa4"]) == 0
    assert board.asked == [[], ["freeze", "3fa4"]]
    board.failed = [(Entry("1", "freeze", "cp2"), LabProblem("no engine"))]
    assert main(["heal"]) == 3
    assert capsys.readouterr().err == "not healed: freeze on cp2: no engine\n"


def test_the_catalogue_shows_every_fault_with_its_options(capsys: Shown) -> None:
    assert main(["faults"]) == 0
    shown = capsys.readouterr().out
    for name, fault in FAULTS.items():
        assert f"\n{name}  (on {fault.place}" in f"\n{shown}"
        assert all(f" {option}=" in shown for option in fault.options)
    assert max(map(len, shown.splitlines())) <= 110


def test_the_catalogue_can_be_limited_to_names(capsys: Shown) -> None:
    assert main(["faults", "kill-process"]) == 0
    assert len(re_names(capsys.readouterr().out)) == 1


def re_names(shown: str) -> list[str]:
    return [line for line in shown.splitlines() if line and not line.startswith(" ")]


def test_the_catalogue_can_be_printed_as_json(capsys: Shown) -> None:
    assert main(["faults", "--json"]) == 0
    faults = {fault["name"]: fault for fault in json.loads(capsys.readouterr().out)}
    assert faults.keys() == FAULTS.keys()
    assert faults["kill-process"]["options"]["signal"]["default"] == "KILL"
    assert faults["kill-process"]["is_lasting"] is False


def test_a_fault_is_shown_with_its_needs_and_its_options() -> None:
    fault = Fault(
        "delay-packets", "Hold packets back.", lambda site, entry: "", nothing_to_heal,
        {"by": Option("a time", example="100ms"), "port": Option("a port", default="")},
        FaultTarget.ANY, needs=frozenset({Capability.NETEM}),
    )  # fmt: skip
    assert list(fault_lines(fault)) == [
        "delay-packets  (on any machine, needs netem)",
        "    Hold packets back.",
        "        by=    a time, such as 100ms (required)",
        "        port=  a port",
    ]
