"""A campaign built from runs that have a report."""

from __future__ import annotations

from collections.abc import Sequence

from halab.report.campaign import Campaign, NotRun
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result

LEFT = "freeze-the-machine-of-the-etcd-leader"


def campaign_of(runs: Sequence[tuple[RunFolder, Result]], *, is_complete: bool = False) -> Campaign:
    return Campaign(
        name="halab run --all",
        seed=42,
        order=[*(result.scenario for _, result in runs), LEFT],
        runs=runs,
        started="2026-11-23T10:15:00+01:00",
        seconds=912.5,
        not_run=() if is_complete else (NotRun(LEFT, "interrupted by SIGINT"),),
        repairs=()
        if is_complete
        else ("after 20261123-101500-stop-apiserver: restarted the kubelet on cp2",),
    )
