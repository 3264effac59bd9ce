"""The run of an archive is run again: with the same scenario, files and lab settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.fakes import Recorded
from support.recorded_runs import copy_run
from support.run_builder import META
from support.stage import result_of

from halab.archive import replay
from halab.config import loading
from halab.config.component_settings import SourceState
from halab.config.lab import LabFile
from halab.errors import BadUsage
from halab.lifecycle.lab import LabDir
from halab.lifecycle.temporary_lab import LabDeps
from halab.progress import Progress
from halab.scenario.record.folder import RunFolder

LAB = "name: mine\nprovider: docker\nload_balancer: {config: conf/haproxy.cfg}\nmanifests: [apps]\n"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = copy_run("stop-apiserver-haproxy", tmp_path / "stopped")
    folder.lab.write_text(LAB)
    for name in ("test_control_plane.py", "conftest.py"):
        write(folder.check_files / name, f"# {name}\n")
    for name in ("conf/haproxy.cfg", "apps/one.yml", "apps/two.yml"):
        write(folder.lab_option(name), f"# {name}\n")
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_scenario_is_that_of_the_run(run: RunFolder) -> None:
    script = replay.script_of(run)
    assert script.name == "stop-apiserver"
    assert script.content == run.scenario.read_bytes()
    assert script.checks == ("test_control_plane.py",)
    assert script.check_files == {
        "test_control_plane.py": b"# test_control_plane.py\n", "conftest.py": b"# conftest.py\n",
    }  # fmt: skip


def test_a_game_day_is_refused_with_the_command_that_plays_it(run: RunFolder) -> None:
    meta = json.loads(run.meta.read_text())
    run.meta.write_text(json.dumps({**meta, "is_game_day": True, "seed": 7}))
    with pytest.raises(BadUsage, match="is a game day") as refused:
        replay.script_of(run)
    assert (refused.value.hint or "").endswith("game-day.yml --seed 7`")


def test_files_of_options_are_those_of_the_run(run: RunFolder) -> None:
    text = run.scenario.read_text().replace(
        "  - inject: hold-static-pod\n    name: stopped\n    on: any-cp\n    with: {pod: kube-apiserver}\n",
        "  - inject: run-script\n    name: stopped\n    on: any-cp\n"
        "    with: {script: ../a/break.sh, undo: ./undo.sh}\n",
    )
    run.scenario.write_text(text)
    write(run.option_file("../a/break.sh"), "exit 0\n")
    write(run.option_file("./undo.sh"), "exit 1\n")
    assert replay.script_of(run).texts == {"../a/break.sh": "exit 0\n", "./undo.sh": "exit 1\n"}


def test_a_run_without_its_check_file_is_refused(run: RunFolder) -> None:
    (run.check_files / "test_control_plane.py").unlink()
    with pytest.raises(BadUsage, match="no copy of the check file checks/test_control_plane.py"):
        replay.script_of(run)


def test_the_lab_gets_a_name_of_its_own_and_its_files(run: RunFolder) -> None:
    path = replay.write_lab(run)
    lab = loading.load(path, LabFile)
    assert lab.name == "auto"
    assert lab.load_balancer.config == "conf/haproxy.cfg"
    files = sorted(
        file.relative_to(path.parent).as_posix() for file in path.parent.rglob("*") if file.is_file()
    )
    assert files == ["apps/one.yml", "apps/two.yml", "conf/haproxy.cfg", "lab.yml"]


def test_the_lab_gets_the_version_of_the_run_also_if_it_was_upgraded(run: RunFolder) -> None:
    meta = json.loads(run.meta.read_text())
    run.meta.write_text(json.dumps({**meta, "kubernetes": "1.36.4"}))
    run.lab.write_text("kubernetes: {version: '1.35', source: modules}\n")
    settings = loading.load(replay.write_lab(run), LabFile).kubernetes
    assert (settings.version, settings.source) == ("1.36.4", "modules")


def test_components_get_the_versions_of_the_run(run: RunFolder) -> None:
    meta = json.loads(run.meta.read_text())
    versions = {"kubernetes": "1.36.5", "etcd": "3.6.8", "kube-scheduler": "1.35.8"}
    run.meta.write_text(json.dumps({**meta, "kubernetes": "1.36.5", "versions": versions}))
    chosen = "etcd: 3.6.8, coredns: 1.14.2, components: {kube-scheduler: 1.35.8}"
    run.lab.write_text(f"kubernetes: {{version: '1.36', {chosen}}}\n")
    settings = loading.load(replay.write_lab(run), LabFile).kubernetes
    assert settings.written_versions == {"etcd": "3.6.8", "coredns": "1.14.2", "kube-scheduler": "1.35.8"}
    # after an upgrade, the lab had other versions than its file says
    after = {"kubernetes": "1.37.2", "etcd": "3.7.3"}
    run.meta.write_text(json.dumps({**meta, "kubernetes": "1.37.2", "versions": after}))
    settings = loading.load(replay.write_lab(run), LabFile).kubernetes
    assert settings.written_versions == {"etcd": "3.7.3", "coredns": "1.14.6", "kube-scheduler": "1.37.2"}


def test_patches_for_kubeadm_come_with_the_lab(run: RunFolder) -> None:
    run.lab.write_text("kubeadm: {patches: my/patches}\n")
    write(run.kubeadm_patches / "etcd.yaml", "{}")
    folder = replay.write_lab(run).parent
    assert (folder / "my/patches/etcd.yaml").read_text() == "{}"


def test_images_are_asked_for(run: RunFolder) -> None:
    run.lab.write_text("images: [app.tar]\n")
    with pytest.raises(BadUsage, match=r"imports app\.tar") as error:
        replay.write_lab(run)
    assert "copy the files into" in str(error.value.hint)
    write(run.path / "again/app.tar", "")
    assert replay.write_lab(run).exists()


def test_source_code_is_asked_for(run: RunFolder) -> None:
    meta = json.loads(run.meta.read_text())
    state = {"path": "/src/etcd", "revision": "1a2b3c4d5e6f", "is_dirty": False, "digest": "0"}
    run.meta.write_text(json.dumps({**meta, "sources": {"etcd": state}}))
    run.lab.write_text("source: {etcd: /src/etcd}\n")
    with pytest.raises(
        BadUsage, match="builds etcd from /src/etcd at 1a2b3c4d5e6f, and an archive"
    ) as caught:
        replay.write_lab(run)
    copied = f"copy the same source code to {run.path}/again/etcd"
    assert caught.value.hint == f"{copied}, and run the command again"
    patch = run.source_patch("etcd")
    write(patch, "diff")
    with pytest.raises(BadUsage) as caught:
        replay.write_lab(run)
    assert caught.value.hint == f"{copied}, apply {patch} there, and run the command again"
    (run.path / "again/etcd").mkdir()
    # the path on the other host may be anything on this one
    assert loading.load(replay.write_lab(run), LabFile).source.by_name == {"etcd": "./etcd"}


def test_other_source_code_than_in_the_archive_is_told() -> None:
    before = SourceState("/src/etcd", "1a2b", is_dirty=False, digest="0")
    now = SourceState("./etcd", "3c4d", is_dirty=False, digest="1")
    recorded = replace(META, sources={"etcd": before})
    assert (
        replay.other_sources(recorded, replace(META, sources={"etcd": replace(before, path="./etcd")})) == []
    )
    assert replay.other_sources(META, replace(META, sources={"etcd": now})) == []
    assert replay.other_sources(recorded, replace(META, sources={"etcd": now})) == [
        "etcd is built from ./etcd at 3c4d; in the archive it was /src/etcd at 1a2b"
    ]


def test_a_file_outside_of_the_folder_is_refused(run: RunFolder) -> None:
    run.lab.write_text("load_balancer: {config: ../haproxy.cfg}\n")
    write(run.lab_option("../haproxy.cfg"), "")
    with pytest.raises(BadUsage, match=r"outside of its folder: \.\./haproxy\.cfg"):
        replay.write_lab(run)
    assert not (run.path / "again").exists()


def test_the_lab_is_removed_afterwards(run: RunFolder) -> None:
    did: list[str] = []

    def up(lab_dir: LabDir, progress: Progress) -> None:
        did.append(f"up {lab_dir.file.relative_to(run.path)}")

    def down(lab_dir: LabDir, progress: Progress) -> None:
        did.append("down")

    run.lab.write_text("name: mine\n")
    with pytest.raises(KeyboardInterrupt), replay.lab_of(run, Recorded(), LabDeps(up, down), keep=False):
        raise KeyboardInterrupt
    assert did == ["up again/lab.yml", "down"]


def test_only_promises_that_came_out_otherwise_are_told() -> None:
    failed, passed = result_of("x", "fail"), result_of("x", "pass")
    assert replay.differences(failed, failed) == replay.differences(failed, passed) == []
    kept = type(failed.outcomes[0])(
        **{**vars(failed.outcomes[0]), "standing": "kept", "seen": "failed after 1s"}
    )
    again = type(passed)(**{**vars(passed), "outcomes": (kept,)})
    assert replay.differences(failed, again) == [
        "ready-direct on stopped, ready-direct on stopped fails within 10s: broken in the archive (it answered), "
        "kept now (failed after 1s)"
    ]
