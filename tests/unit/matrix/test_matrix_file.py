"""Matrix files: which cells they make, and what is said about a wrong one."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
from support.drill_room import DRILL
from support.matrix_builder import TWO, plan_of, write_matrix
from support.run_builder import STOP

from halab import data
from halab.bugs import library as bugs
from halab.config.load_balancer import Balancer
from halab.config.loading import listed
from halab.config.twin import Verdict
from halab.errors import BadFile, BadUsage
from halab.matrix import library
from halab.matrix.plan import MatrixPlan


def cells(plan: MatrixPlan) -> list[str]:
    return [str(cell) for cell in plan.cells]


def problems(folder: Path, text: str, lab: str = "") -> list[str]:
    with pytest.raises(BadFile) as raised:
        plan_of(folder, text, lab)
    return [str(problem).removeprefix(f"{folder}/") for problem in raised.value.problems]


def test_every_combination_of_the_values_is_a_lab(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path, 'axes:\n  load_balancer.kind: [haproxy, nginx]\n  kubernetes.version: ["1.36", "1.37"]\n'
    )
    assert [lab.name for lab in plan.labs] == ["haproxy-1.36", "haproxy-1.37", "nginx-1.36", "nginx-1.37"]
    last = plan.labs[-1]
    assert last.settings == "load_balancer.kind=nginx, kubernetes.version=1.37"
    assert (last.written.load_balancer.kind, last.written.kubernetes.version) == ("nginx", "1.37")
    assert {script.scenario.tags.count("first") for script in plan.scripts} == {1}
    assert len(plan.cells) == 4 * len(plan.scripts)


def test_all_other_settings_are_those_of_the_lab_beside_it(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "axes:\n  control_planes: [1, 3]\n", lab="name: mine\nworkers: 2\n")
    assert {lab.written.workers for lab in plan.labs} == {2}
    # labs that exist beside the user's own need other names
    assert {lab.written.name for lab in plan.labs} == {"auto"}


def test_an_empty_file_is_the_lab_beside_it_with_the_scenarios_tagged_first(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "", lab="workers: 1\n")
    (lab,) = plan.labs
    assert (lab.name, lab.settings, lab.written.workers) == ("lab", "as in lab.yml", 1)
    assert plan.is_shuffled and plan.repeat == 1
    assert all("first" in script.scenario.tags for script in plan.scripts)


def test_scenarios_are_chosen_by_name_by_path_by_tag_or_all(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(STOP)
    named = plan_of(tmp_path, "scenarios: [stop-apiserver, ./mine.yml]\n")
    assert [script.name for script in named.scripts] == ["stop-apiserver", "mine"]
    assert not named.is_shuffled
    tagged = plan_of(tmp_path, "tags: [dns]\n")
    assert all("dns" in script.scenario.tags for script in tagged.scripts) and tagged.scripts
    every = plan_of(tmp_path, "all: true\n")
    assert len(every.scripts) > len(tagged.scripts) > 0


def test_the_losing_twins_run_if_the_file_says_so(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"{TWO}twins: true\nexclude: [{{scenario: kill-etcd-member}}]\n")
    assert cells(plan) == [
        f"stop-apiserver{twin} on {lab}"
        for lab in ("haproxy", "nginx")
        for twin in ("", " (its losing twin)")
    ]
    scenario, twin, *_ = plan.cells
    assert (scenario.expected, twin.expected) == ("pass", "fail")
    assert len(set(plan.fingerprints.values())) == 4
    assert list(plan.titles) == [
        "stop-apiserver", "stop-apiserver (its losing twin)",
        "kill-etcd-member", "kill-etcd-member (its losing twin)",
    ]  # fmt: skip


def test_a_twin_runs_right_after_its_scenario_with_the_same_seed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"{TWO}twins: true\nrepeat: 2\n")
    runs = [(run.cell.name, run.cell.twin, run.planned.seed, run.number) for run in plan.runs(7)["nginx"]]
    assert runs[:2] == [
        ("stop-apiserver", False, 7, 1), ("stop-apiserver (its losing twin)", True, 7, 1),
    ]  # fmt: skip
    assert len(runs) == 8 and runs[-1][1:] == (True, 8, 2)


ETCD_BUG = "watched-history-stays-in-memory"


def test_a_bug_runs_in_its_own_lab_with_the_values_of_the_axes(tmp_path: Path) -> None:
    text = TWO.replace(", kill-etcd-member", "") + f"bugs: [{ETCD_BUG}]\ntwins: true\n"
    plan = plan_of(tmp_path, text, lab="workers: 2\n")
    assert cells(plan)[4:] == [f"{ETCD_BUG} on {ETCD_BUG}-haproxy", f"{ETCD_BUG} on {ETCD_BUG}-nginx"]
    of_scenario, of_bug = plan.labs[0], plan.labs[2]
    assert (of_scenario.base, of_bug.base.parent.name) == (tmp_path / "lab.yml", ETCD_BUG)
    assert (of_scenario.written.workers, of_bug.written.workers) == (2, 0)
    assert of_bug.values == {"load_balancer.kind": "haproxy"}
    # the twins are those of the scenarios
    assert list(plan.titles) == ["stop-apiserver", "stop-apiserver (its losing twin)", ETCD_BUG]
    left = plan_of(tmp_path, f"{text}exclude: [{{bug: {ETCD_BUG}, load_balancer.kind: nginx}}]\n")
    assert cells(left)[4:] == [f"{ETCD_BUG} on {ETCD_BUG}-haproxy"]


def test_bugs_alone_are_no_scenarios(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"bugs: [{ETCD_BUG}]\n")
    assert cells(plan) == [f"{ETCD_BUG} on {ETCD_BUG}"]


def test_a_bug_must_not_show_in_a_version_in_which_it_is_fixed(tmp_path: Path) -> None:
    bug = bugs.find(ETCD_BUG)
    (affected,) = [each for each in bug.written.affects if each.component == "etcd" and each.fixed][:1]
    text = f'axes: {{kubernetes.etcd: ["{affected.first_bad}", "{affected.fixed}"]}}\nbugs: [{ETCD_BUG}]\n'
    bad, fixed = plan_of(tmp_path, text).cells
    assert (bad.expected, fixed.expected) == (
        bug.written.shows, {"pass": "fail", "fail": "pass"}[bug.written.shows],
    )  # fmt: skip


def test_a_bug_whose_folder_is_gone_or_wrong_is_reported(tmp_path: Path) -> None:
    assert problems(tmp_path, "bugs: [./gone]\n") == [
        f"matrix.yml:1: bugs[1]: no such folder: {tmp_path}/gone"
    ]
    shutil.copytree(data.bugs() / ETCD_BUG, tmp_path / "mine")
    (tmp_path / "mine/bug.yml").write_text("title: 1\n")
    assert all(problem.startswith("mine/bug.yml:1: ") for problem in problems(tmp_path, "bugs: [./mine]\n"))


def test_a_bug_of_the_user_is_named_by_its_folder(tmp_path: Path) -> None:
    shutil.copytree(data.bugs() / ETCD_BUG, tmp_path / "mine")
    assert cells(plan_of(tmp_path, "bugs: [./mine]\n")) == ["mine on mine"]


def test_a_value_of_an_axis_can_be_a_mapping(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        "axes:\n  load_balancer: [{kind: nginx}, {kind: haproxy, check: tcp}]\nscenarios: [stop-apiserver]\n",
    )
    assert [lab.name for lab in plan.labs] == ["kind-nginx", "kind-haproxy-check-tcp"]


def test_exclusions_leave_out_labs_cells_and_scenarios(tmp_path: Path) -> None:
    everything = cells(plan_of(tmp_path, TWO))
    assert everything == [
        f"{scenario} on {lab}"
        for lab in ("haproxy", "nginx")
        for scenario in ("stop-apiserver", "kill-etcd-member")
    ]
    left = cells(
        plan_of(tmp_path, f"{TWO}exclude:\n  - {{load_balancer.kind: nginx, scenario: stop-apiserver}}\n")
    )
    assert left == [everything[0], everything[1], everything[3]]
    assert cells(plan_of(tmp_path, f"{TWO}exclude: [{{load_balancer.kind: nginx}}]\n")) == everything[:2]
    assert cells(plan_of(tmp_path, f"{TWO}exclude: [{{scenario: [kill-etcd-member]}}]\n")) == everything[::2]


def test_a_lab_that_is_excluded_may_be_impossible(tmp_path: Path) -> None:
    axes = "axes:\n  load_balancer.kind: [haproxy, dns]\n  load_balancer.machines: [1, 2]\n"
    text = f"{axes}scenarios: [stop-apiserver]\n"
    assert any("load_balancer" in problem for problem in problems(tmp_path, text))
    plan = plan_of(tmp_path, f"{text}exclude:\n  - {{load_balancer.kind: dns, load_balancer.machines: 2}}\n")
    assert [lab.name for lab in plan.labs] == ["haproxy-1", "haproxy-2", "dns-1"]


# Text of a matrix file → the problems in it, without the name of the file.
WRONG = {
    "axis: {}": ["1: axis: is not known; did you mean axes?"],
    "axes: {workers: 2}": ["1: axes.workers: should be a list, not 2"],
    "axes: {workers: []}": ["1: axes.workers: should have 1 or more entries, not 0"],
    "axes:\n  workers:\n    - 1\n    - 1": ["4: axes.workers[2]: is already in the list: 1"],
    "axes:\n  worker: [1]": ["2: axes.worker[1]: is not known; did you mean workers?"],
    "axes: {workers..x: [1]}": [
        "1: axes.workers..x: should be the path of a setting, such as load_balancer.kind"
    ],
    "bugs: [unknown-bug]": ["1: bugs[1]: no such bug: unknown-bug (`halab bugs` lists them)"],
    "bugs: [tcp-check-keeps-hung-apiserver, tcp-check-keeps-hung-apiserver]": [
        "1: bugs[2]: there is already a bug of this name: tcp-check-keeps-hung-apiserver"
    ],
    "axes: {workers: [0, -1]}\nbugs: [tcp-check-keeps-hung-apiserver]": [
        "1: axes.workers[2]: in the lab of tcp-check-keeps-hung-apiserver: should be 0 or more, not -1"
    ],
    "axes: {name: [a, b]}": [
        "1: axes.name: cannot be an axis: halab gives each lab of a matrix a name of its own"
    ],
    "axes:\n  load_balancer.kind:\n    - haproxy\n    - nginks\n  control_planes: [3, 9]": [
        "4: axes.load_balancer.kind[2]: "
        f'should be {listed(Balancer)}, not "nginks"',
        "5: axes.control_planes[2]: should be 5 or less, not 9",
    ],
    "axes:\n  load_balancer: [{kind: haproxy}, {knd: nginx}]": [
        "2: axes.load_balancer[2]: knd: is not known; did you mean kind?"
    ],
    "scenarios: [stop-apiservers]": [
        "1: scenarios[1]: no such scenario: stop-apiservers; did you mean stop-apiserver? "
        "(`halab scenarios` lists them)"
    ],
    "scenarios: [stop-apiserver, stop-apiserver]": [
        "1: scenarios[2]: is already in the list: stop-apiserver"
    ],
    "tags: [frist]": ["1: tags[1]: no scenario has the tag frist; did you mean first?"],
    "tags: [dns]\nall: true": ["2: all: select the scenarios with this or with tags, not with both"],
    "repeat: 0": ["1: repeat: should be 1 or more, not 0"],
    "exclude: [{}]": ["1: exclude[1]: excludes everything: name a setting, or one of scenario, twin, drill, bug"],
    f"{TWO}exclude:\n  - {{load_balancer.knd: nginx}}\n  - {{load_balancer.kind: dns}}\n  - {{scenario: stop-api}}": [
        "5: exclude[1].load_balancer.knd: is neither an axis nor one of scenario, twin, drill, bug; "
        "did you mean load_balancer.kind?",
        "6: exclude[2].load_balancer.kind: this matrix has no value of load_balancer.kind dns; "
        "known: haproxy, nginx",
        "7: exclude[3].scenario: this matrix has no scenario stop-api; did you mean stop-apiserver?",
    ],
    f"{TWO}exclude: [{{load_balancer.kind: [haproxy, nginx]}}]": ["4: exclude: leaves nothing to run"],
    f"axes: {{workers: {list(range(60))}, kubeadm.kubelet.maxPods: {list(range(20))}}}": [
        "1: axes: 1200 combinations are more than 1000"
    ],
    "axes:\n  load_balancer: [{kind: haproxy}, {kind: nginx}]\n  load_balancer.kind: [dns]": [
        "1: axes: two of the labs are the same"
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_is_refused_with_its_lines(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, f"{text}\n") == [f"matrix.yml:{said}" for said in WRONG[text]]


def test_a_problem_that_no_single_value_has_names_the_settings_of_the_lab(tmp_path: Path) -> None:
    text = "axes:\n  network: [10.213.7.0/24, 10.213.8.0/24]\nscenarios: [stop-apiserver]\n"
    lab = "network: 10.213.7.0/24\nmachines: {cp1: {address: 10.213.7.42}}\n"
    (problem,) = problems(tmp_path, text, lab)
    assert problem.startswith(
        "matrix.yml:1: axes: with network=10.213.8.0/24, the lab file is wrong: machines.cp1.address"
    )


def test_a_wrong_lab_file_is_reported_as_such(tmp_path: Path) -> None:
    assert problems(tmp_path, TWO, lab="workers: many\n")[0].startswith("lab.yml:1: workers")


def test_a_wrong_scenario_is_reported_with_the_lines_of_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(STOP.replace("hold-static-pod", "hold-static-pods"))
    said = problems(tmp_path, "scenarios: [./mine.yml, stop-apiservers]\n")
    assert said[0].startswith("matrix.yml:1: scenarios[2]: no such scenario: stop-apiservers")
    assert said[1].startswith("mine.yml:") and "hold-static-pods" in said[1]


def test_a_missing_lab_file_is_named(tmp_path: Path) -> None:
    path = write_matrix(tmp_path, TWO)
    (tmp_path / "lab.yml").unlink()
    with pytest.raises(BadUsage, match=r"no such lab file: .*lab\.yml"):
        library.find(path)


def test_ten_thousand_cells_are_planned_in_about_a_second(tmp_path: Path) -> None:
    """Processor time, because other tests may run at the same time. It is several times longer under coverage."""
    scenarios = len(plan_of(tmp_path, "all: true\n").scripts)
    pods = list(range(50, 50 + 10_000 // scenarios + 1))
    path = write_matrix(tmp_path, f"axes:\n  kubeadm.kubelet.maxPods: {pods}\nall: true\n")
    begun = time.process_time()
    plan = library.find(path)
    runs = plan.runs(7)
    taken = time.process_time() - begun
    assert len(plan.cells) > 10_000
    assert 5000 < sum(map(len, runs.values())) == len(plan.playable)
    assert len(plan.fingerprints) == len(plan.cells)
    assert taken < 10, f"{taken:.1f} s"


def test_drills_run_on_the_labs_that_can_run_them(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(DRILL)
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    plan = plan_of(
        tmp_path,
        "axes: {load_balancer.machines: [1, 2]}\nscenarios: [stop-apiserver]\ntwins: true\n"
        "drills: [two-masters, ./mine.yml]\nexclude: [{drill: mine, load_balancer.machines: 1}]\n",
    )
    assert cells(plan) == [
        "stop-apiserver on 1", "stop-apiserver (its losing twin) on 1", "two-masters on 1",
        "stop-apiserver on 2", "stop-apiserver (its losing twin) on 2", "two-masters on 2", "mine on 2",
    ]  # fmt: skip
    assert [str(cell) for cell in plan.cells if cell.lacking] == ["two-masters on 1"]
    assert [str(cell.kind) for cell in plan.cells if cell.lab.name == "2"] == [
        "scenario",
        "twin",
        "drill",
        "drill",
    ]
    assert plan.titles["mine"] == "An API server is gone"
    # after the scenarios, and each has a fingerprint of its own
    assert [str(run.planned) for run in plan.runs(7)["2"]][2:] == ["two-masters", "mine"]
    assert len(set(plan.fingerprints.values())) == 7
    (tmp_path / "test_it.py").write_text("def test_it(): assert True\n")
    changed = library.find(tmp_path / "matrix.yml").fingerprints
    assert [key for key, value in plan.fingerprints.items() if changed[key] != value] == [("2", "mine")]


def test_only_drills_or_bugs_need_no_scenarios(tmp_path: Path) -> None:
    assert {cell.kind for cell in plan_of(tmp_path, "drills: all\n").cells} == {"drill"}
    plan = plan_of(tmp_path, "bugs: all\n")
    assert {cell.lab.name for cell in plan.cells} == set(bugs.names())


def test_a_bug_also_runs_on_the_version_that_is_fixed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"bugs: [{ETCD_BUG}, kubelet-not-enabled]\nfixed: true\n")
    assert cells(plan) == [
        f"{name} on {name}" for name in (ETCD_BUG, "kubelet-not-enabled", f"{ETCD_BUG}-fixed")
    ]
    shown, _, fixed = plan.cells
    assert {shown.expected, fixed.expected} == {Verdict.PASS, Verdict.FAIL}
    assert fixed.lab.written.kubernetes.written_versions["etcd"] == "3.6.9"
    # the name of the bug leaves out both
    left = plan_of(
        tmp_path, f"bugs: [{ETCD_BUG}, kubelet-not-enabled]\nfixed: true\nexclude: [{{bug: {ETCD_BUG}}}]\n"
    )
    assert cells(left) == ["kubelet-not-enabled on kubelet-not-enabled"]


def test_a_bug_that_never_showed_here_must_not_show(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(data.bugs() / "kubelet-not-enabled", folder)
    written = folder / "bug.yml"
    written.write_text(re.sub("shown: [0-9]+", "shown: 0", written.read_text()))
    [cell] = plan_of(tmp_path, "bugs: [./mine]\n").cells
    assert cell.expected is not bugs.find(str(folder)).written.shows


def test_only_the_twin_of_a_scenario_can_be_left_out(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"{TWO}twins: true\nexclude: [{{twin: kill-etcd-member}}]\n")
    assert [str(cell) for cell in plan.cells if cell.lab.name == "nginx"] == [
        "stop-apiserver on nginx", "stop-apiserver (its losing twin) on nginx", "kill-etcd-member on nginx",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drills: [gone]\n", "matrix.yml:1: drills[1]: no such drill: gone"),
        ("drills: [two-masters, two-masters]\n", "there is already a drill of this name: two-masters"),
        ("drills: [two-masters]\nexclude: [{drill: gone}]\n", "this matrix has no drill gone"),
        (f"{TWO}exclude: [{{twin: stop-apiserver}}]\n", "this matrix has no twin stop-apiserver"),
        ("drills: some\n", "should be a list"),
    ],
)
def test_a_wrong_member_is_reported_at_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in problem for problem in problems(tmp_path, text)), problems(tmp_path, text)


def test_a_part_of_a_matrix_has_the_seeds_and_the_order_of_the_whole(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        f"{TWO.replace('scenarios: [stop-apiserver, kill-etcd-member]', 'tags: [first]')}twins: true\n",
    )
    part = plan.only(["nginx"], ["stop-apiserver", "kill-etcd-member"])
    assert {cell.key for cell in part.cells} == {
        key
        for key in plan.fingerprints
        if key[0] == "nginx" and key[1].startswith(("stop-apiserver", "kill-etcd-member"))
    }
    assert part.fingerprints.items() <= plan.fingerprints.items()
    wanted = [run.planned for run in plan.runs(7)["nginx"] if run.cell.key in part.fingerprints]
    assert [run.planned for run in part.runs(7)["nginx"]] == wanted
    assert plan.only([], []) == plan
    for labs, names, said in (
        (["ngin"], [], "no lab ngin"),
        ([], ["gone"], "no scenario, drill or bug gone"),
    ):
        with pytest.raises(BadUsage, match=said):
            plan.only(labs, names)
