"""Which cells a matrix skips because the file of the lab says that it cannot run them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.matrix_builder import SEED, plan_of

from halab.matrix.plan import MatrixPlan
from halab.matrix.standing import Standing


def lacking(plan: MatrixPlan) -> dict[str, str]:
    return {str(cell): cell.lacking for cell in plan.cells}


@pytest.mark.parametrize(
    ("lab", "scenario", "why"),
    [
        ("control_planes: 1", "kill-etcd-member", "the lab has 1 etcd member, and 3 are needed"),
        ("control_planes: 3", "kill-etcd-member", ""),
        ("load_balancer: {kind: nginx}", "stop-dns-server", "the load balancer is nginx, not dns"),
        (
            "load_balancer: {kind: kube-vip}",
            "stop-load-balancer",
            "needs a load balancer on a machine of its own",
        ),
        ("", "stop-one-of-two-load-balancers", "the lab has 1 load balancer, and 2 are needed"),
        ("load_balancer: {machines: 2}", "stop-one-of-two-load-balancers", ""),
        (
            "provider: docker",
            "shift-clock-back",
            "the lab lacks the capability own-clock: a container shares",
        ),
        ("provider: libvirt", "shift-clock-back", ""),
        # with `auto`, the host decides
        ("", "shift-clock-back", ""),
        ("provider: libvirt\ndisk_cache: unsafe", "cut-power-of-all", "disk_cache: unsafe"),
    ],
)
def test_a_lab_that_lacks_what_a_scenario_needs_skips_it(
    lab: str, scenario: str, why: str, tmp_path: Path
) -> None:
    ((_, said),) = lacking(plan_of(tmp_path, f"scenarios: [{scenario}]\n", lab)).items()
    assert (why in said) if why else said == ""


def test_cells_that_are_skipped_are_not_played_and_a_lab_without_others_is_not_built(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "axes: {control_planes: [1, 3]}\nscenarios: [kill-etcd-member]\nrepeat: 2\n")
    assert [cell.key for cell in plan.playable] == [("3", "kill-etcd-member")]
    standing = Standing(plan, SEED)
    assert list(standing.pending) == ["3"]
    assert (standing.planned_count, standing.pending_count) == (2, 2)
    assert [(cell.lab, bool(cell.lacking)) for cell in standing.cells] == [("1", True), ("3", False)]
