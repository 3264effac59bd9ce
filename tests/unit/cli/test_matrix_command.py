"""`halab matrix`: what is planned and played, and how the same command continues."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock
from support.fake_fleet import FACTS, FakeCluster, FakeHost, arrives_by_verdict
from support.matrix_builder import TWO, write_matrix
from support.stage import Stage, result_of

from halab.campaign import play as playing
from halab.campaign.time_limit import OverLimit
from halab.cli import main
from halab.clock import RealClock
from halab.config.lab import ProviderKind
from halab.errors import HostProblem
from halab.images import box, bundle, component
from halab.lifecycle.lab import LabDir
from halab.machines.host import allocation
from halab.matrix import at_once, hosts, proofs, record, results
from halab.matrix.hosts import agent, dask_cluster, player
from halab.matrix.hosts.place import Place
from halab.matrix.lab_process import EndedLab, EndedRun
from halab.matrix.plan import PlannedProof
from halab.matrix.record import MatrixRecord
from halab.progress import Progress
from halab.scenario.record.folder import RunFolder
from halab.scenario.run import repair

Shown = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_matrix(tmp_path, TWO)
    return tmp_path


@pytest.fixture(autouse=True)
def room_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large host would have several labs at once, each in another process."""
    monkeypatch.setattr(at_once, "fitting", lambda labs, host: 1)


def test_the_host_decides_how_many_labs_are_up_at_once(
    capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_once, "fitting", lambda labs, host: len(labs))
    assert main(["matrix", "plan"]) == 0
    assert "2 labs to build, 2 at once." in capsys.readouterr().out
    assert main(["matrix", "plan", "--at-once", "1"]) == 0
    assert "2 labs to build. " in capsys.readouterr().out
    # how much room another host has is not known
    monkeypatch.setenv("DOCKER_HOST", "ssh://ada@elsewhere")
    assert main(["matrix", "plan"]) == 0
    assert "2 labs to build. " in capsys.readouterr().out


def test_a_plan_shows_the_cells_and_the_time(capsys: Shown, folder: Path) -> None:
    assert main(["matrix", "plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["LAB", "SCENARIO", "RUNS", "DONE", "ONE", "RUN", "TAKES", "FROM"]
    assert lines[1].split()[:5] == ["haproxy", "stop-apiserver", "1", "0", "up"]
    assert lines[-1].startswith("2 labs, 4 cells: 4 of 4 runs to play, 2 labs to build. Time: up to ")
    assert not (folder / "matrix").exists()


def test_a_plan_shows_which_cells_are_skipped(capsys: Shown, folder: Path) -> None:
    write_matrix(folder, "axes: {control_planes: [1, 3]}\nscenarios: [kill-etcd-member]\ntwins: true\n")
    assert main(["matrix", "plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("1 ") and lines[1].endswith("the lab has 1 etcd member, and 3 are needed")
    assert lines[4].startswith("3    kill-etcd-member (its losing twin)  1 ")
    assert lines[-1].startswith("2 labs, 4 cells (2 skipped): 2 of 2 runs to play, 1 lab to build.")
    assert main(["matrix", "plan", "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [(cell["is_twin"], cell["runs"], bool(cell["lacking"])) for cell in cells] == [
        (False, 0, True), (True, 0, True), (False, 1, False), (True, 1, False),
    ]  # fmt: skip


def test_a_plan_can_be_read_by_programs(capsys: Shown) -> None:
    assert main(["matrix", "plan", "matrix.yml", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["axes"] == {"load_balancer.kind": ["haproxy", "nginx"]}
    assert [(cell["lab"], cell["scenario"]) for cell in data["cells"]][1] == ("haproxy", "kill-etcd-member")


def test_a_plan_has_a_job_for_each_scenario_drill_and_bug_on_a_lab_that_can_run_it(
    capsys: Shown, folder: Path
) -> None:
    write_matrix(
        folder,
        "axes: {load_balancer.machines: [1, 2]}\nscenarios: [stop-apiserver]\ntwins: true\ndrills: [two-masters]\n"
        "bugs: [kubelet-not-enabled]\nexclude: [{bug: kubelet-not-enabled, load_balancer.machines: 2}]\n",
    )
    assert main(["matrix", "plan", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [(job["lab"], job["only"]) for job in data["jobs"]] == [
        ("1", "stop-apiserver"), ("2", "stop-apiserver"), ("2", "two-masters"),
        ("kubelet-not-enabled-1", "kubelet-not-enabled"),
    ]  # fmt: skip
    assert [(cell["kind"], cell["lab"]) for cell in data["cells"]][:3] == [
        ("scenario", "1"), ("twin", "1"), ("drill", "1"),
    ]  # fmt: skip
    for job in data["jobs"]:
        assert main(["matrix", "plan", "--lab", job["lab"], "--only", job["only"], "--json"]) == 0
        one = json.loads(capsys.readouterr().out)
        assert one["jobs"] == [job]
        lab, cells = one["labs"][0], one["cells"]
        assert job["seconds"] == pytest.approx(lab["seconds"] + sum(cell["seconds"] for cell in cells))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "--lab", "gone"], "this matrix has no lab gone"),
        (["run", "--only", "gone"], "this matrix has no scenario, drill or bug gone"),
        (["plan", "gone.yml"], "no such file: gone.yml"),
        (["plan", "matrix"], "the name of a matrix file needs an ending, such as matrix.yml"),
    ],
)
def test_a_wrong_name_is_refused(words: list[str], said: str, capsys: Shown) -> None:
    assert main(["matrix", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.fixture
def played(stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stage, on which recorded runs have the verdicts that they were given."""
    monkeypatch.setattr(
        results, "judged", lambda run: result_of(run.path.name, stage.verdicts.get(run.path.name, "pass"))
    )
    return stage


def did(stage: Stage) -> list[str]:
    """What was done since the last look."""
    done = [line for line in stage.did if line not in ("open", "heal")]
    stage.did.clear()
    return done


def report(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "matrix/matrix.json").read_text())
    return data


BOTH = ["play stop-apiserver 7", "play kill-etcd-member 7"]


@pytest.fixture
def with_seed(folder: Path) -> None:
    write_matrix(folder, f"{TWO}seed: 7\n")


@pytest.mark.usefixtures("with_seed")
class TestRun:
    def test_each_lab_is_built_once_and_removed(self, played: Stage, folder: Path, capsys: Shown) -> None:
        assert main(["matrix", "run"]) == 0
        assert did(played) == ["up", *BOTH, "down", "up", *BOTH, "down"]
        assert report(folder)["totals"] == {"pass": 4}
        shown = capsys.readouterr()
        assert "cells: 4 pass" in shown.out
        assert "report: matrix/matrix.html" in shown.err

    def test_the_name_of_the_command_can_be_left_out(self, played: Stage) -> None:
        assert main(["matrix", "matrix.yml"]) == 0
        assert did(played).count("up") == 2

    def test_twins_run_after_their_scenarios_and_skipped_cells_do_not(
        self, played: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = "axes: {control_planes: [1, 3]}\nscenarios: [kill-etcd-member]\ntwins: true\nseed: 7\n"
        write_matrix(folder, text)
        played.verdicts["kill-etcd-member"] = "fail"
        assert main(["matrix", "run"]) == 1
        play = BOTH[1]
        assert did(played) == ["up", play, play.replace(" 7", " twin 7"), "down"]
        assert report(folder)["totals"] == {"fail": 1, "pass": 1, "skip": 2}
        # and both are complete
        assert main(["matrix", "run"]) == 1
        assert did(played) == []

    def test_some_cells_are_played_alone_and_count_for_the_whole(
        self, played: Stage, folder: Path, capsys: Shown
    ) -> None:
        assert main(["matrix", "run", "--lab", "nginx", "--only", "kill-etcd-member"]) == 0
        assert did(played) == ["up", BOTH[1], "down"]
        assert report(folder)["totals"] == {"pass": 1}
        assert main(["matrix", "run"]) == 0
        assert did(played) == ["up", *BOTH, "down", "up", BOTH[0], "down"]
        assert "3 cells (" in capsys.readouterr().err

    def test_drills_are_proved_after_the_scenarios(
        self, played: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
    ) -> None:
        write_matrix(folder, f"{TWO}drills: [find-the-dead-member, two-masters]\nseed: 7\n")
        during: dict[str, BaseException] = {}

        def prove(
            lab_dir: LabDir,
            planned: Sequence[PlannedProof],
            shown: Progress,
            tell: Callable[[EndedRun], None],
            *,
            is_broken: bool,
        ) -> Iterator[str]:
            if is_broken:
                yield "before it: rebuilt the lab"
            for each in planned:
                played.did.append(f"prove {each} {each.seed}")
                if error := during.pop(lab_dir.file.parent.name, None):
                    raise error
                run = RunFolder(lab_dir.work.runs / str(each))
                run.path.mkdir(mode=0o700, parents=True)
                run.proof.touch()
                tell(EndedRun(str(each), each.seed, run, result_of(str(each), "pass")))

        monkeypatch.setattr(proofs, "play", prove)
        monkeypatch.setattr(repair, "damage", lambda folder: "cp2 is off")
        during["nginx"] = KeyboardInterrupt()
        assert main(["matrix", "run"]) == 130
        prove_it = "prove find-the-dead-member 7"
        assert did(played) == ["up", *BOTH, prove_it, "down", "up", *BOTH, prove_it, "down"]
        assert report(folder)["totals"] == {"not run": 1, "pass": 5, "skip": 2}
        assert "haproxy: before it: rebuilt the lab" in (folder / "matrix/record.json").read_text()
        assert report(folder)["name"] == "2 scenarios and 2 drills on 2 labs"
        assert main(["matrix", "run"]) == 0
        # only the proof is left
        assert did(played) == ["up", prove_it, "down"]
        assert report(folder)["totals"] == {"pass": 6, "skip": 2}

    def test_labs_can_be_up_at_the_same_time(
        self, played: Stage, folder: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["matrix", "run", "--at-once", "5"]) == 0
        assert report(folder)["totals"] == {"pass": 4}
        said = capfd.readouterr().err
        # other processes play: the stage in this one knows nothing of it
        assert did(played) == []
        assert "2 labs to build, 2 at once" in said and "4 of 4 runs complete" in said
        assert "haproxy: 1 of 2: scenario stop-apiserver" in said and "nginx: 2 of 2: " in said
        # and the same command continues
        assert main(["matrix", "run"]) == 0
        assert did(played) == []

    def test_the_lab_of_a_process_that_was_killed_is_removed(
        self, played: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(playing, "play", lambda *given, **named: os.kill(os.getpid(), signal.SIGKILL))
        assert main(["matrix", "run", "--at-once", "2"]) == 3
        assert did(played) == ["down", "down"]
        assert report(folder)["totals"] == {"error": 4}
        assert "ended without a result (exit code -9)" in report(folder)["labs"][0]["error"]

    def test_a_complete_matrix_is_not_played_again(self, played: Stage, capsys: Shown) -> None:
        assert main(["matrix", "run"]) == 0
        did(played)
        assert main(["matrix", "run", "--json"]) == 0
        assert did(played) == []
        shown = capsys.readouterr()
        assert json.loads(shown.out[shown.out.index("{") :])["totals"] == {"pass": 4}
        assert "all 4 runs are complete" in shown.err

    def test_an_interrupted_run_is_played_again_and_complete_ones_are_not(
        self, played: Stage, folder: Path, capsys: Shown
    ) -> None:
        played.errors["play kill-etcd-member"] = KeyboardInterrupt()
        assert main(["matrix", "run"]) == 130
        assert did(played) == ["up", *BOTH, "down"]
        assert report(folder)["totals"] == {"not run": 3, "pass": 1}
        assert "the same command continues" in capsys.readouterr().err
        played.errors.clear()
        assert main(["matrix", "run"]) == 0
        assert did(played) == ["up", BOTH[1], "down", "up", *BOTH, "down"]
        assert report(folder)["totals"] == {"pass": 4}

    def test_an_interrupt_while_a_lab_comes_up_removes_it(self, played: Stage, folder: Path) -> None:
        played.errors["up"] = KeyboardInterrupt()
        assert main(["matrix", "run"]) == 130
        assert did(played) == ["up", "down"]
        assert report(folder)["totals"] == {"not run": 4}

    def test_a_lab_that_does_not_come_up_is_an_error_and_is_tried_again(
        self, played: Stage, folder: Path, capsys: Shown
    ) -> None:
        played.errors["up"] = HostProblem("no docker engine answers", hint="start docker")
        assert main(["matrix", "run"]) == 3
        assert did(played) == ["up", "down", "up", "down"]
        assert report(folder)["totals"] == {"error": 4}
        assert report(folder)["labs"][1]["error"] == "no docker engine answers"
        shown = capsys.readouterr()
        assert "why stop-apiserver on nginx: no docker engine answers" in shown.out
        assert "build it with `halab up -f matrix/labs/nginx/lab.yml`" in shown.err
        assert '<error message="no docker engine answers"' in (folder / "matrix/junit.xml").read_text()
        played.errors.clear()
        assert main(["matrix", "run"]) == 0

    def test_a_lab_that_is_not_removed_is_an_error_although_all_runs_passed(
        self, played: Stage, folder: Path, capsys: Shown
    ) -> None:
        played.errors["down"] = HostProblem("no docker engine answers")
        assert main(["matrix", "run"]) == 3
        assert did(played) == ["up", *BOTH, "down"] * 2
        assert report(folder)["totals"] == {"pass": 4}
        assert report(folder)["labs"][0]["error"] == "no docker engine answers"
        assert (
            "was not removed; remove it with `halab down -f matrix/labs/nginx/lab.yml`"
            in capsys.readouterr().err
        )

    @pytest.mark.parametrize(("verdict", "code"), [("fail", 1), ("error", 3), ("skip", 0)])
    def test_the_exit_code_is_that_of_a_run(
        self, verdict: str, code: int, played: Stage, folder: Path
    ) -> None:
        played.verdicts["stop-apiserver"] = verdict
        assert main(["matrix", "run"]) == code
        assert report(folder)["totals"] == {verdict: 2, "pass": 2}

    def test_errors_are_played_again_only_if_asked(self, played: Stage, folder: Path) -> None:
        played.verdicts["stop-apiserver"] = "error"
        assert main(["matrix", "run"]) == 3
        did(played)
        assert main(["matrix", "run"]) == 3
        assert did(played) == []
        played.verdicts.clear()
        assert main(["matrix", "run", "--again"]) == 0
        assert did(played) == ["up", BOTH[0], "down"] * 2
        assert report(folder)["totals"] == {"pass": 4}

    def test_a_run_that_hangs_is_ended_as_an_error_and_the_others_run(
        self, played: Stage, folder: Path, capsys: Shown
    ) -> None:
        played.errors["play stop-apiserver"] = OverLimit("the time limit of 23m")
        played.verdicts["stop-apiserver"] = "error"
        assert main(["matrix", "run"]) == 3
        assert did(played) == ["up", BOTH[0], "rebuild", BOTH[1], "down"] * 2
        assert report(folder)["totals"] == {"error": 2, "pass": 2}
        assert "stop-apiserver was ended: the time limit of 23m" in capsys.readouterr().err
        # it is complete
        assert main(["matrix", "run"]) == 3
        assert did(played) == []

    def test_a_change_of_the_matrix_is_said_and_only_new_cells_are_played(
        self, played: Stage, folder: Path, capsys: Shown
    ) -> None:
        assert main(["matrix", "run"]) == 0
        did(played)
        text = TWO.replace("nginx]", "nginx, kube-vip]").replace(", kill-etcd-member", "")
        write_matrix(folder, f"{text}seed: 7\n")
        assert main(["matrix", "plan"]) == 0
        assert main(["matrix", "run"]) == 0
        assert did(played) == ["up", BOTH[0], "down"]
        said = capsys.readouterr().err
        assert said.count("changed since the last run: 1 cell (stop-apiserver on kube-vip) is new") == 2
        assert "2 cells (kill-etcd-member on haproxy, kill-etcd-member on nginx) are no longer in it" in said
        assert report(folder)["totals"] == {"pass": 3}

    def test_a_run_whose_folder_is_gone_is_played_again(
        self, played: Stage, folder: Path, capsys: Shown
    ) -> None:
        write_matrix(
            folder, "axes: {workers: [0]}\nscenarios: [stop-apiserver, kill-etcd-member]\nseed: 7\n"
        )
        assert main(["matrix", "run"]) == 0
        did(played)
        shutil.rmtree(played.folder / ".halab/runs/stop-apiserver")
        assert main(["matrix", "run"]) == 0
        assert did(played) == ["up", BOTH[0], "down"]
        assert "run 1 of stop-apiserver on 0 does not count: no such folder" in capsys.readouterr().err

    def test_a_lab_that_a_killed_halab_left_is_removed_first(
        self, played: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
    ) -> None:
        left = folder / "matrix/labs/gone"
        left.mkdir(parents=True)
        (left / "lab.yml").write_text("name: auto\n")
        held = SimpleNamespace(work=left.resolve() / ".halab", provider=ProviderKind.DOCKER)
        other = SimpleNamespace(work=folder / ".halab", provider=ProviderKind.DOCKER)
        monkeypatch.setattr(allocation, "held", lambda: [held, other])
        assert main(["matrix", "run"]) == 0
        assert did(played)[:2] == ["down", "up"]
        assert "which is still up: an earlier halab was killed, or you built it" in capsys.readouterr().err

    def test_the_same_matrix_twice_at_the_same_time_is_refused(
        self, played: Stage, folder: Path, capsys: Shown
    ) -> None:
        (folder / "matrix").mkdir()
        with FileLock(folder / "matrix/lock"):
            assert main(["matrix", "run"]) == 3
        assert "another halab process plays the matrix in matrix" in capsys.readouterr().err
        assert did(played) == []

    def test_a_folder_with_other_files_is_refused(self, played: Stage, folder: Path, capsys: Shown) -> None:
        (folder / "matrix").mkdir()
        (folder / "matrix/precious").touch()
        assert main(["matrix", "run"]) == 2
        assert main(["matrix", "run", "--in", "matrix.yml"]) == 2
        said = capsys.readouterr().err
        assert "the folder of the matrix has other files: matrix/precious" in said
        assert "not a folder: matrix.yml" in said
        assert sorted(path.name for path in (folder / "matrix").iterdir()) == ["precious"]

    def test_nothing_is_left_of_a_matrix_whose_labs_are_wrong(self, played: Stage, folder: Path) -> None:
        """The lab file names a file that does not exist: only the whole check of a lab finds that."""
        write_matrix(folder, "axes: {load_balancer.config: [./gone.cfg]}\nscenarios: [stop-apiserver]\n")
        assert main(["matrix", "run"]) == 2
        assert did(played) == [] and not (folder / "matrix").exists()

    def test_two_matrices_are_compared(self, played: Stage, folder: Path, capsys: Shown) -> None:
        assert main(["matrix", "run", "--in", "old"]) == 0
        # the stage has the same folders for the runs of both, and a verdict for each scenario
        assert main(["matrix", "run", "--in", "new"]) == 0
        capsys.readouterr()
        assert main(["matrix", "diff", "old", "new"]) == 0
        assert capsys.readouterr().out == "cells in both: 4, of which 4 are neither worse nor better\n"

    def test_a_cell_that_is_worse_has_exit_code_1(
        self, played: Stage, capsys: Shown, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert main(["matrix", "run", "--in", "old"]) == 0
        assert main(["matrix", "run", "--in", "new"]) == 0
        verdicts = iter(["pass"] * 4 + ["pass", "fail", "pass", "error"])
        monkeypatch.setattr(results, "judged", lambda run: result_of(run.path.name, next(verdicts)))
        assert main(["matrix", "diff", "old", "new", "--json"]) == 1
        shown = capsys.readouterr().out
        cells = json.loads(shown[shown.index("{") :])["cells"]
        assert [cell["new"] for cell in cells] == ["pass", "fail", "pass", "error"]

    def test_another_folder_is_no_matrix(self, folder: Path, capsys: Shown) -> None:
        assert main(["matrix", "diff", str(folder), "new"]) == 2
        assert "not the folder of a matrix" in capsys.readouterr().err

    def test_what_was_measured_is_reported_if_the_disk_is_full(
        self, played: Stage, folder: Path, capsys: Shown, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, writes = record.write, iter(range(100))

        def write(to: Path, written: MatrixRecord) -> None:
            # after both runs of the first lab
            if next(writes) > 2:
                raise HostProblem("cannot write record.json: no space left on device")
            real(to, written)

        monkeypatch.setattr(record, "write", write)
        assert main(["matrix", "run"]) == 3
        assert did(played) == ["up", *BOTH, "down"]
        assert "no space left on device" in capsys.readouterr().err
        assert report(folder)["totals"] == {"not run": 2, "pass": 2}


def test_labs_are_played_on_the_hosts_of_a_scheduler(
    capsys: Shown, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrives_by_verdict(monkeypatch)
    own = agent.describe()
    machines = [FakeHost(name, facts=replace(FACTS, halab=own.halab, code=own.code)) for name in "ab"]
    cluster = FakeCluster(*machines)
    monkeypatch.setattr(dask_cluster, "connected", lambda address, certificates: nullcontext(cluster))
    monkeypatch.setattr(RealClock, "sleep", lambda clock, seconds: cluster.tick())
    assert main(["matrix", "run", "--scheduler", "tcp://10.1.0.5:8786"]) == 0
    shown = capsys.readouterr()
    assert "2 labs to build, 2 at once." in shown.err and "host a plays the lab haproxy" in shown.err
    written = record.read(folder / "matrix")
    assert written is not None and len(written.runs) == 4 and len(written.built) == 2
    assert main(["matrix", "run", "--scheduler", "tcp://10.1.0.5:8786"]) == 0
    assert "all 4 runs are complete" in capsys.readouterr().err


def test_a_host_that_was_set_aside_is_named_in_the_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = agent.describe()
    unfit: dict[str, EndedLab | Exception] = {"haproxy": EndedLab("no engine answers", is_unfit=True)}
    same = replace(FACTS, halab=own.halab, code=own.code)
    cluster = FakeCluster(FakeHost("a", facts=same, ends=unfit), FakeHost("b", facts=same))
    arrives_by_verdict(monkeypatch)
    monkeypatch.setattr(dask_cluster, "connected", lambda address, certificates: nullcontext(cluster))
    monkeypatch.setattr(RealClock, "sleep", lambda clock, seconds: cluster.tick())
    assert main(["matrix", "run", "--scheduler", "tcp://10.1.0.5:8786"]) == 0
    data = json.loads((folder / "matrix/matrix.json").read_text())
    assert data["set_aside"] == {"a": "no engine answers"}
    assert "a: no engine answers" in (folder / "matrix/matrix.html").read_text()
    # a complete matrix says it again, and another session asks the host again: it may have been mended
    assert main(["matrix", "run", "--scheduler", "tcp://10.1.0.5:8786"]) == 0
    assert json.loads((folder / "matrix/matrix.json").read_text())["set_aside"] == data["set_aside"]
    unfit.clear()
    write_matrix(folder, f"{TWO}repeat: 2\n")
    assert main(["matrix", "run", "--scheduler", "tcp://10.1.0.5:8786"]) == 0
    assert json.loads((folder / "matrix/matrix.json").read_text())["set_aside"] == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scheduler", "tcp://10.1.0.5:8786", "--at-once", "2"], "--at-once is about this host"),
        (["--certificates", "tls"], "--certificates needs --scheduler"),
    ],
)
def test_options_of_this_host_and_of_others_do_not_mix(options: list[str], said: str, capsys: Shown) -> None:
    assert main(["matrix", "run", *options]) == 2
    assert said in capsys.readouterr().err


def test_without_dask_the_command_that_installs_it_is_said(
    capsys: Shown, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "halab.matrix.hosts.dask_cluster", None)
    monkeypatch.delattr(hosts, "dask_cluster")
    assert main(["matrix", "run", "--scheduler", "tcp://10.1.0.5:8786"]) == 3
    said = capsys.readouterr().err
    assert "--scheduler needs dask.distributed" in said and "-m pip install 'distributed" in said
    assert not (folder / "matrix").exists()


def test_certificates_are_made_in_a_folder(capsys: Shown, folder: Path) -> None:
    assert main(["matrix", "certificates", "tls"]) == 0
    assert "made in tls: ca.pem, ca-key.pem" in capsys.readouterr().err
    assert (folder / "tls/worker.pem").is_file()


def test_a_lab_that_was_sent_is_played_until_its_end(
    capsys: Shown, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[Path] = []

    def play(place: Place, *args: object) -> EndedLab:
        played.append(place.path)
        return EndedLab("" if len(played) == 1 else "interrupted")

    monkeypatch.setattr(player, "play", play)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: 0))
    assert main(["matrix", "play-lab", "haproxy"]) == 0
    assert main(["matrix", "play-lab", "haproxy"]) == 3
    assert played == [Path("haproxy")] * 2
    assert main(["matrix", "--help"]) == 0
    assert "play-lab" not in capsys.readouterr().out


def test_what_the_labs_need_is_built_once(
    capsys: Shown, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    def note(kind: str, wanted: str) -> SimpleNamespace:
        built.append(f"{kind} {wanted}")
        return SimpleNamespace(path=folder / kind / wanted)

    monkeypatch.setattr(bundle, "ensure", lambda release, source, shown: note("bundle", release.kubernetes))
    monkeypatch.setattr(
        box, "ensure", lambda name, payload, shown, provider: note("box", f"{name} {provider}")
    )
    monkeypatch.setattr(component, "ensure", lambda wanted, shown: note("image", wanted.name))
    write_matrix(
        folder, "axes: {load_balancer.kind: [haproxy, nginx, kube-vip]}\ntags: [first]\n", "box: debian-12\n"
    )
    assert main(["matrix", "build"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [Path(line).parent.name for line in lines] == ["bundle", "box", "image"]
    assert {line.split()[0] for line in built} == {"bundle", "box", "image"}
    built.clear()
    assert main(["matrix", "build", "--lab", "nginx"]) == 0
    assert [line.split()[0] for line in built] == ["bundle", "box"]
