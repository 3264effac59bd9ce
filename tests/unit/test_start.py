"""Starting a lab again: what is gone cannot be started, and nothing is begun then."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import Recorded, lab_of

from halab.errors import LabProblem
from halab.lifecycle import lab as labs
from halab.lifecycle import makers, up
from halab.lifecycle.lab import open_file
from halab.machines.power import State
from halab.topology.lab import Lab, Machine


class EngineWithout:
    """An engine that has lost some machines of a lab."""

    def __init__(self, *gone: str) -> None:
        self._gone = gone

    def state(self, lab: Lab, machine: Machine, work: Path) -> State:
        return State.GONE if machine.name in self._gone else State.OFF


def test_what_is_gone_is_named_and_no_machine_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    monkeypatch.setattr(labs, "existing", lambda place: lab_of(name="ha"))
    monkeypatch.setattr(makers, "maker", lambda provider: EngineWithout("cp2", "lb1"))
    progress = Recorded()

    with pytest.raises(LabProblem) as raised:
        up.start(open_file(tmp_path / "lab.yml"), progress)

    assert raised.value.message == "nothing is left to start of lb1, cp2"
    assert raised.value.hint is not None
    assert "`halab up` makes them anew" in raised.value.hint
    assert progress.lines == []
