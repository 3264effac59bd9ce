"""git finds the commit that brought a bug into etcd, with a lab for each commit that it tries.

The repository is a copy of etcd's server module, as Go's module proxy has it, with a bug planted some commits ago.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from support import etcd_source
from support.cli_driver import HALAB, UserLab, keep_evidence

ETCD = "3.6.8"
COMMITS, FIRST_BAD = 5, 2
SCENARIO = """
title: etcd comes back after it was killed
teaches: A killed etcd is started again by the kubelet, and has its data back within seconds.
steps:
  - inject: kill-process
    name: killed
    on: cp1
    with: {process: etcd, signal: KILL}
  - expect: {fact: etcd-started, on: killed, changed: within 60s}
  - expect: {probe: write-via-lb, ok: within 50s}
  - heal: killed
recover: {steady: within 4m}
twin: {replace: {killed: nothing}, verdict: fail}
"""
# the author and the times decide the hashes of commits: with the same ones, the cache has their builds
WHO = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {"NAME": "Ada", "EMAIL": "ada@example.com", "DATE": "2026-01-01T00:00:00Z"}.items()
}
PLANTED = """package etcdserver

import "time"

// settle makes a restart with data slow.
func settle() { time.Sleep(75 * time.Second) }
"""
BEFORE = 'cfg.Logger.Info("Bootstrapping WAL from snapshot")'

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(etcd_source.GO is None, reason="Go is not installed on this host"),
]


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", folder, *words],
        env={**os.environ, **WHO},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def make_repository(folder: Path) -> list[str]:
    """The module's source in a repository; its commits, oldest first. One of them makes etcd start slowly."""
    etcd_source.copy(folder, ETCD)
    git(folder, "init", "-q", "-b", "main")
    commits = []
    for number in range(COMMITS + 1):
        if number == FIRST_BAD:
            etcd_source.change(folder / "etcdserver/bootstrap.go", BEFORE, f"settle()\n\t\t{BEFORE}")
            (folder / "etcdserver/planted.go").write_text(PLANTED)
        (folder / "NOTES").write_text(f"{number}\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", f"commit {number}")
        commits.append(git(folder, "rev-parse", "HEAD"))
    return commits


def test_git_finds_the_planted_commit(tmp_path: Path, state_home: None) -> None:
    source = tmp_path / "etcd"
    commits = make_repository(source)
    lab = UserLab(tmp_path / "lab")
    lab.folder.mkdir()
    (lab.folder / "restart.yml").write_text(SCENARIO)
    (lab.folder / "lab.yml").write_text(
        f"name: e2e-bisect\ncontrol_planes: 1\nkubernetes: {{version: '1.36', etcd: {ETCD}}}\n"
        "source: {etcd: ../etcd}\n"
    )
    git(source, "bisect", "start", commits[-1], commits[0])
    try:
        step = [HALAB, "bisect-step", lab.folder / "restart.yml", "-f", lab.folder / "lab.yml"]
        said = git(source, "bisect", "run", *map(str, step))
    finally:
        keep_evidence(lab)
        lab.halab("down")
    assert f"{commits[FIRST_BAD]} is the first bad commit" in said
    steps = [json.loads(line) for line in (lab.folder / "bisect-steps.jsonl").read_text().splitlines()]
    for step_done in steps:
        revision = step_done["sources"]["etcd"]["revision"]
        assert step_done["answer"] == ("bad" if commits.index(revision) >= FIRST_BAD else "good")
        [run] = step_done["runs"]
        meta = json.loads((Path(run) / "meta.json").read_text())
        assert meta["sources"]["etcd"]["revision"] == revision
