"""Scenario files for tests: the faults that they may name, and the problems that validation finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from halab.config import scenario_rules
from halab.config.lab_traits import Capability
from halab.config.targets import FaultTarget
from halab.errors import BadFile
from halab.faults.fault import Fault, Option, nothing_to_heal
from halab.faults.journal import Entry
from halab.faults.site import Site


def inject(site: Site, entry: Entry) -> str:
    raise AssertionError("no scenario is played here")


def fault(name: str, target: FaultTarget, needs: tuple[Capability, ...] = (), **options: Option) -> Fault:
    return Fault(name, "Break it.", inject, nothing_to_heal, options, target=target, needs=frozenset(needs))


KNOWN = {
    each.name: each
    for each in (
        fault(
            "kill-process",
            FaultTarget.ANY,
            process=Option("a process", r"[a-z-]+"),
            signal=Option("one", default="KILL"),
        ),
        fault("hold-static-pod", FaultTarget.CONTROL_PLANE, pod=Option("a static pod", r"[a-z-]+", "etcd")),
        fault("stop-service", FaultTarget.NODE, service=Option("a service")),
        fault(
            "throttle-disk",
            FaultTarget.CONTROL_PLANE,
            (Capability.DISK_THROTTLE,),
            iops=Option("a number", r"\d+", "20"),
        ),
        fault(
            "partition",
            FaultTarget.ANY,
            # a keyword of Python
            **cast(Any, {"from": Option("machines", default="everyone", is_target=True)}),
        ),
        fault(
            "edit-balancer", FaultTarget.BALANCER, check=Option("readyz or tcp", r"readyz|tcp", default="")
        ),
        fault("leave-cluster", FaultTarget.CONTROL_PLANE),
        fault("lose-machine", FaultTarget.ANY),
        fault("snapshot-etcd", FaultTarget.CONTROL_PLANE),
        fault("nothing", FaultTarget.ANY),
    )
}


def problems(text: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "s.yml"
    path.write_text(text)
    try:
        scenario_rules.read(path, KNOWN)
    except BadFile as error:
        return [str(problem).replace(f"{tmp_path}/", "") for problem in error.problems]
    return []
