"""Where figures are written into a scenario file."""

from __future__ import annotations

import pytest

from halab.report import scenario_comment
from halab.report.scenario_comment import parted, with_figures

SOURCES = "# yaml-language-server: $schema=scenario.schema.json\n# Sources: kubernetes#1, title: none.\n"
REST = "title: A scenario\n# Measured behind nothing, Kubernetes 1.37.2\nsteps: []\n"
OLD = "# Measured behind haproxy, Kubernetes 1.37.2, 2 cores, 3 runs: p50 (least to most)\n#   recovery: 1.0 s\n"
NGINX = "# Measured behind nginx, Kubernetes 1.37.2, 2 cores, 1 run\n#   step 2: 1.0 s\n#       more of it\n"
NEW = "# Measured behind haproxy on docker, Kubernetes 1.37.2, 12 runs: p50, p95, worst\n#   recovery: 1s, 2s, 3s\n"
KVM = "# Measured behind haproxy on libvirt (kvm), Kubernetes 1.37.2, 1 run\n#   recovery: 9s\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", NEW),
        (OLD, NEW),
        (NEW.replace("12", "11"), NEW),
        # the figures of other places stay
        (NGINX, NEW + NGINX),
        (OLD + NGINX, NEW + NGINX),
        (KVM + OLD, NEW + KVM),
        ("# Bounds: not measured yet. Containers\n# skip it.\n", NEW),
    ],
)
def test_figures_replace_those_of_the_same_place(before: str, after: str) -> None:
    new = NEW.splitlines()
    assert with_figures(SOURCES + before + REST, [new, []]) == SOURCES + after + REST
    # a second time, nothing changes
    assert with_figures(SOURCES + after + REST, [new]) == SOURCES + after + REST


def test_figures_of_more_runs_stay() -> None:
    more = NEW.replace("12 runs", "13 runs")
    assert with_figures(more + REST, [NEW.splitlines(), KVM.splitlines()]) == more + KVM + REST


def test_several_places_are_in_order() -> None:
    blocks = [KVM.splitlines(), NEW.splitlines()]
    assert with_figures(REST, blocks) == NEW + KVM + REST


def test_a_comment_is_parted_into_what_is_before_its_blocks_and_the_scenario() -> None:
    assert parted(SOURCES + NEW + NGINX + REST) == (SOURCES, [NEW, NGINX], REST)
    assert parted(SOURCES + REST) == (SOURCES, [], REST)


@pytest.mark.parametrize(
    ("block", "heading", "figures"),
    [
        (
            "# Measured behind haproxy, 3 runs: p50 (least to most)\n"
            "#   step 2: etcd-term changed within 5s: 1.0 s (0.9 s to 1.3 s)\n"
            "#   step 9: write-via-lb longest outage 6s, failed share 20% during frozen: 1.2 s (1.1 s to 1.6 s), 10%\n"
            "#       (9% to 10%)\n"
            "#   recovery: steady within 5m from the heal: 27.7 s (2.2 s to 122.8 s)\n",
            "Measured behind haproxy, 3 runs: p50 (least to most)",
            {
                "step 2": "1.0 s (0.9 s to 1.3 s)",
                "step 9": "1.2 s (1.1 s to 1.6 s), 10% (9% to 10%)",
                "recovery": "27.7 s (2.2 s to 122.8 s)",
            },
        ),
        (
            "# Measured behind haproxy on docker, Kubernetes 1.37.2, 12 runs: p50, p95, worst\n"
            "#   step 7, write-via-lb longest outage: 0s, 1s, 2s (of 9 runs)\n"
            "#   step 7, write-via-lb failed share: 0%, 1%, 2%\n"
            "#   recovery: 1s, 2s, 3s\n",
            "Measured behind haproxy on docker, Kubernetes 1.37.2, 12 runs: p50, p95, worst",
            {"step 7": "0s, 1s, 2s (of 9 runs); 0%, 1%, 2%", "recovery": "1s, 2s, 3s"},
        ),
        (
            "# Bounds: not measured yet. Containers\n# skip it.\n",
            "Bounds: not measured yet. Containers skip it.",
            {},
        ),
    ],
)
def test_the_figures_of_a_block_by_their_promise(block: str, heading: str, figures: dict[str, str]) -> None:
    assert scenario_comment.figures(block) == (heading, figures)


def test_a_file_without_a_title_at_the_start_of_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="no line begins with `title:`"):
        with_figures("{title: A scenario}\n", [])
