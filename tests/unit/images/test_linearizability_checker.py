"""The program that checks reads and writes: built once, from the files of halab, and only if Go is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import go_toolchain

from halab.errors import CommandFailed, HostProblem
from halab.images import cache
from halab.images.go import Go
from halab.images.linearizability_checker import obstacle, program
from halab.progress import Quiet

TOOLCHAIN = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/calls"
case "$1 $2" in
  "env GOVERSION") echo go1.26.8; echo local ;;
  build*)
    ls > "$here/folder"
    while [ "$1" != -o ]; do shift; done
    echo "program" > "$2" ;;
esac
"""


def test_it_is_built_once(tmp_path: Path) -> None:
    toolchain = go_toolchain.write(tmp_path / "toolchain", TOOLCHAIN)
    go = Go(toolchain / "go")
    assert obstacle(go) is None
    path = program(Quiet(), go)
    assert path.read_text() == "program\n"
    assert path.is_relative_to(cache.folder() / "programs")
    assert (toolchain / "folder").read_text().split() == ["go.mod", "go.sum", "main.go"]
    assert program(Quiet(), go) == path
    assert (toolchain / "calls").read_text().count("build ") == 1
    # nothing is needed any more
    assert obstacle(Go(tmp_path / "none")) is None


def test_a_host_with_an_old_go_is_told_what_to_install(tmp_path: Path) -> None:
    old = TOOLCHAIN.replace("go1.26.8", "go1.19")
    go = Go(go_toolchain.write(tmp_path / "toolchain", old) / "go")
    assert "too old" in str(obstacle(go))
    with pytest.raises(HostProblem, match="too old"):
        program(Quiet(), go)


def test_a_build_that_fails_says_what_it_needs_and_leaves_nothing(tmp_path: Path) -> None:
    broken = TOOLCHAIN.replace("ls >", "echo 'dial tcp: no such host' >&2; exit 1; ls >")
    with pytest.raises(CommandFailed, match="checks reads and writes:\ndial tcp: no such host") as raised:
        program(Quiet(), Go(go_toolchain.write(tmp_path / "toolchain", broken) / "go"))
    assert "module proxy" in str(raised.value.hint)
    assert not list((cache.folder() / "programs").glob("linearizability-*"))
