"""scripts/nightly: which matrices it gives to `halab matrix`, and what it makes of the exit codes. No lab is built."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In the place of scripts/lib.sh: nothing is installed, and commands run here.
LIB = """source {lib}
root={root}
need_packages() {{ :; }}
use_environment() {{ :; }}
use_bare_host() {{ started=; }}
with_engine() {{ "$@"; }}
as_root_with_cache() {{ "$@"; }}
"""
HALAB = """#!/usr/bin/env bash
echo "$*" >>"$CALLS"
case "$1 $2 $3" in "matrix run "*"/$FAILS.yml") exit "$CODE" ;; esac
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the script with a halab that only notes its calls."""
    shutil.copytree(ROOT / "nightly", tmp_path / "nightly")
    for name, text in {
        "scripts/lib.sh": LIB.format(lib=ROOT / "scripts/lib.sh", root=tmp_path),
        "scripts/nightly": (ROOT / "scripts/nightly").read_text(),
        "bin/halab": HALAB,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def nightly(tree: Path, *words: str, fails: str = "", code: int = 0) -> tuple[int, list[str], str]:
    """Its exit code, the calls of halab without folders, and what it printed."""
    calls = tree / "calls"
    calls.unlink(missing_ok=True)
    env = {**os.environ, "PATH": f"{tree / 'bin'}:{os.environ['PATH']}", "CALLS": str(calls)}
    env |= {"FAILS": fails or "none", "CODE": str(code), "HALAB_CACHE": str(tree / "cache")}
    done = subprocess.run(
        [tree / "scripts/nightly", *words], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    called = calls.read_text().replace(f"{tree}/", "").splitlines() if calls.exists() else []
    return done.returncode, called, done.stdout + done.stderr


def test_a_part_is_built_and_run_with_the_options_of_the_user(tree: Path) -> None:
    words = ("--in", str(tree / "kept"), "dns", "drills", "--only", "one", "--again")
    code, called, said = nightly(tree, *words)
    assert (code, called) == (
        0,
        [
            "matrix build nightly/dns.yml --only one",
            "matrix run nightly/dns.yml --in kept/dns --only one --again",
            "matrix build nightly/drills.yml --only one",
            "matrix run nightly/drills.yml --in kept/drills --only one --again",
        ],
    )
    assert said.count(" s, ok, ") == 2


def test_a_result_that_is_not_good_is_named_and_replaced_by_the_next_one(tree: Path) -> None:
    words = ("--in", str(tree / "kept"), "dns", "pair")
    code, called, said = nightly(tree, *words, fails="dns", code=1)
    assert code == 1 and "matrix run nightly/pair.yml --in kept/pair" in called
    assert (said.count("NOT-AS-IT-MUST-BE"), said.count(" s, ok, ")) == (1, 1)
    code, _, said = nightly(tree, *words)
    assert (code, said.count("NOT-AS-IT-MUST-BE"), said.count(" s, ok, ")) == (0, 0, 2)


def test_after_an_interrupt_no_other_part_begins(tree: Path) -> None:
    code, called, _ = nightly(tree, "--in", str(tree / "kept"), "dns", "pair", fails="dns", code=130)
    assert (code, len(called)) == (130, 2)


def test_the_plan_builds_nothing(tree: Path) -> None:
    code, called, _ = nightly(tree, "--plan", "dns", "judge", "--only=one")
    assert (code, called) == (0, ["matrix plan nightly/dns.yml --only=one"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone"], "no such part of the nightly: gone"),
        (["--only", "one"], "options need the name of a part"),
    ],
)
def test_wrong_words_are_refused(tree: Path, words: list[str], said: str) -> None:
    code, called, printed = nightly(tree, *words)
    assert (code, called) == (3, [])
    assert said in printed
