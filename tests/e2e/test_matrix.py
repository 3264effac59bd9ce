"""`halab matrix`: two load balancers and one scenario, interrupted while the second lab comes up, and continued."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.cli_driver import UserLab, engine_names, interrupt

from halab.lifecycle.lab import open_file

MATRIX = "axes:\n  load_balancer.kind: [haproxy, nginx]\nscenarios: [stop-apiserver]\n"


@pytest.fixture
def lab(tmp_path: Path, state_home: None) -> UserLab:
    (tmp_path / "lab.yml").write_text("")
    (tmp_path / "matrix.yml").write_text(MATRIX)
    return UserLab(tmp_path)


def report(lab: UserLab) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((lab.folder / "matrix/matrix.json").read_text())
    return data


def runs(lab: UserLab) -> dict[str, list[str]]:
    """The folders of the runs of each cell, by its lab."""
    return {cell["lab"]: [run["folder"] for run in cell["runs"]] for cell in report(lab)["cells"]}


def require_no_machine(lab: UserLab) -> None:
    for name in ("haproxy", "nginx"):
        label = open_file(lab.folder / "matrix/labs" / name / "lab.yml").name
        assert engine_names("container", label) + engine_names("network", label) == "", name


@pytest.mark.nightly
def test_a_matrix_is_interrupted_and_continues_where_it_stopped(lab: UserLab) -> None:
    # the first lab plays its run, and the second one has machines
    child = lab.begin("matrix", "run", "--at-once", "1")
    assert child.stdout is not None
    said = ""
    for line in child.stdout:
        said += line
        if "lab 2 of 2" in line:
            break
    assert "1 of 2 runs complete" in said, said
    interrupt(child, "… kubeadm init")
    require_no_machine(lab)
    assert report(lab)["totals"] == {"not run": 1, "pass": 1}
    first = runs(lab)
    assert (len(first["haproxy"]), first["nginx"]) == (1, [])

    plan = json.loads(lab.ok("matrix", "plan", "--json"))
    assert [(cell["done"], cell["source"]) for cell in plan["cells"]] == [
        (1, "measured"), (0, "measured on other labs"),
    ]  # fmt: skip
    assert lab.halab("matrix", "run").code == 0
    require_no_machine(lab)
    assert report(lab)["totals"] == {"pass": 2}
    # the run of the first lab is the same one
    assert runs(lab)["haproxy"] == first["haproxy"]
    page = (lab.folder / "matrix/matrix.html").read_text()
    links = re.findall(r'<td class="cell pass"><a href="([^"]+)"', page)
    assert len(links) == 2
    assert all((lab.folder / "matrix" / link).is_file() for link in links)

    done = lab.halab("matrix", "run")
    assert (done.code, "all 2 runs are complete" in done.errors) == (0, True), str(done)
