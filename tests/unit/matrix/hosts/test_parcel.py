"""What is sent to a host: the lab file with the files that it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.matrix_builder import plan_of

from halab.campaign import lab_folders
from halab.errors import BadUsage
from halab.matrix.hosts import parcel
from halab.matrix.places import LabOrders

LAB = "load_balancer: {config: conf/haproxy.cfg.j2}\nmanifests: [addons]\n"


def orders(folder: Path) -> LabOrders:
    (folder / "conf").mkdir()
    (folder / "conf/haproxy.cfg.j2").write_text("frontend api\n")
    (folder / "conf/other.cfg").write_text("")
    (folder / "addons").mkdir()
    (folder / "addons/one.yml").write_text("kind: Namespace\n")
    plan = plan_of(folder, "scenarios: [stop-apiserver]\n", LAB)
    (file,) = lab_folders.prepare(plan.lab_file, plan.labs, folder / "labs", again=True)
    runs = tuple(run.planned for run in plan.runs(7)["lab"])
    return LabOrders("lab", file, runs, 7, {"stop-apiserver": "f1"})


def test_the_files_of_a_lab_are_sent_with_it(tmp_path: Path) -> None:
    made = orders(tmp_path)
    sent = parcel.of("matrix", made, made.runs)
    assert sorted(sent.files) == ["addons/one.yml", "conf/haproxy.cfg.j2", "lab.yml"]
    assert sent.files["conf/haproxy.cfg.j2"] == b"frontend api\n"
    assert (sent.matrix, sent.lab, sent.runs, sent.seed) == ("matrix", "lab", made.runs, 7)


def test_files_that_are_too_large_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = orders(tmp_path)
    monkeypatch.setattr(parcel, "_MOST_BYTES", 10)
    with pytest.raises(BadUsage, match="the files that the lab lab names are too large"):
        parcel.of("matrix", made, made.runs)
