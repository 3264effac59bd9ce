"""A soak finds a bug that is planted in etcd, and the failed round becomes a scenario of a few steps.

The planted member answers linearizable reads from its own state while it knows no leader. Only a member that is cut off
from the others, and that clients still reach, shows it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import etcd_source
from support.cli_driver import UserLab, keep_evidence

from halab.config import scenario_rules
from halab.faults.catalogue import FAULTS

ETCD = "3.6.8"
PROMISE = "linearizable: reads and writes of etcd's keys are linearizable"
# The first round with this seed: the etcd of a follower is paused, and later the member is cut off from the others.
SEED = "11"

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(etcd_source.GO is None, reason="Go is not installed on this host"),
]


def plant(folder: Path) -> None:
    etcd_source.copy(folder, ETCD)
    server = folder / "etcdserver/v3_server.go"
    before = "\tif !r.Serializable {\n\t\terr = s.linearizableReadNotify(ctx)"
    etcd_source.change(
        server, before, before.replace("r.Serializable {", "r.Serializable && s.Leader() != 0 {")
    )


def test_a_soak_finds_stale_reads_and_shrink_gives_a_scenario_of_four_steps(
    tmp_path: Path, state_home: None
) -> None:
    plant(tmp_path / "etcd")
    lab = UserLab(tmp_path / "lab")
    lab.folder.mkdir()
    (lab.folder / "lab.yml").write_text(
        f"name: e2e-soak\nkubernetes: {{version: '1.36', etcd: {ETCD}}}\nsource: {{etcd: ../etcd}}\n"
    )
    try:
        lab.ok("up")
        words = ["--seed", SEED, "--most-faults", "2", "--fault", "partition", "--fault", "pause-process"]
        done = lab.halab("soak", "--for", "5m", *words, "--json")
        assert done.code == 1, str(done)
        failed = json.loads(done.output)[-1]
        assert any(reason.startswith("linearizable: ") for reason in failed["reasons"]), failed["reasons"]
        run = Path(failed["folder"])
        assert (lab.folder / run / "operations.html").is_file()
        shrunk = json.loads(lab.ok("shrink", str(run), "--in", "small", "--json"))
    finally:
        keep_evidence(lab)
        lab.halab("down")
    assert shrunk["promises"] == [PROMISE]
    assert shrunk["steps"] <= 4 < shrunk["steps_before"]
    small = scenario_rules.read(lab.folder / shrunk["file"], FAULTS).value
    assert [step.fault for step in small.injects] == ["partition"]
