"""`halab matrix run --at-once 2`: two small labs side by side, interrupted together, and continued."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli_driver import UserLab, engine_names, interrupt

from halab.lifecycle.lab import open_file

# The second scenario needs three control planes.
MATRIX = "axes:\n  load_balancer.kind: [haproxy, nginx]\nscenarios: [kill-all-etcd, stop-apiserver]\n"
RUN = ("matrix", "run", "--at-once", "2")
LABS = ("haproxy", "nginx")


@pytest.fixture
def lab(tmp_path: Path, state_home: None) -> UserLab:
    (tmp_path / "lab.yml").write_text("control_planes: 1\n")
    (tmp_path / "matrix.yml").write_text(MATRIX)
    return UserLab(tmp_path)


def report(lab: UserLab) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((lab.folder / "matrix/matrix.json").read_text())
    return data


def require_no_machine(lab: UserLab) -> None:
    for name in LABS:
        label = open_file(lab.folder / "matrix/labs" / name / "lab.yml").name
        assert engine_names("container", label) + engine_names("network", label) == "", name


def times_of(lab: UserLab, name: str) -> tuple[datetime, datetime]:
    """When the only run of a lab began, and when it ended."""
    (result,) = (lab.folder / "matrix/labs" / name / ".halab/runs").glob("*/result.json")
    data = json.loads(result.read_text())
    began = datetime.fromisoformat(data["started"])
    return began, began + timedelta(seconds=data["seconds"])


@pytest.mark.nightly
def test_two_labs_are_up_at_once_and_an_interrupt_removes_both(lab: UserLab) -> None:
    child = lab.begin(*RUN)
    assert child.stdout is not None
    said, missing = "", {f"{name}: … kubeadm init" for name in LABS}
    for line in child.stdout:
        said += line
        missing = {start for start in missing if not line.startswith(start)}
        if not missing:
            break
    assert not missing, said
    interrupt(child)
    require_no_machine(lab)
    assert report(lab)["totals"] == {"not run": 2, "skip": 2}

    done = lab.halab(*RUN)
    assert done.code == 0, str(done)
    require_no_machine(lab)
    assert report(lab)["totals"] == {"pass": 2, "skip": 2}
    assert "haproxy: … " in done.errors and "nginx: … " in done.errors
    (began, ended), (other_began, other_ended) = (times_of(lab, name) for name in LABS)
    assert began < other_ended and other_began < ended, "the runs did not take place at the same time"
    page = (lab.folder / "matrix/matrix.html").read_text()
    assert "the lab has 1 control plane, and 3 are needed" in page
