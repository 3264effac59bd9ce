"""The files that a lab file names: read when they are needed, and not when a lab is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.errors import BadFile
from halab.lifecycle.lab import open_file

LAB = "name: ha\nload_balancer:\n  config: ./gone.cfg\n"


def test_a_file_that_is_gone_is_named_with_the_line_of_the_lab_file(tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text(LAB)
    with pytest.raises(BadFile) as caught:
        open_file(tmp_path / "lab.yml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.field) == (3, "load_balancer.config")
    assert "no such file" in problem.what


def test_a_lab_whose_file_is_gone_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text(LAB)
    assert open_file(tmp_path / "lab.yml", reads_own_files=False).balancer_file is None
