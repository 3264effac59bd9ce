"""A run uses and stores the files as they were read, even if they change meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeGuests, Recorded
from support.site_builder import site_of
from support.stage import TEXT

from halab.config import loading
from halab.config.scenario import Scenario
from halab.config.twin import LabSettings
from halab.faults.capabilities import Capabilities
from halab.lifecycle import machine_info
from halab.lifecycle.lab import open_file
from halab.scenario.record import check_results
from halab.scenario.record.check_results import CheckState
from halab.scenario.record.folder import RunFolder
from halab.scenario.record.host_facts import HostFacts
from halab.scenario.run import checks, library
from halab.scenario.run import session as sessions
from halab.scenario.run.library import Script
from halab.scenario.run.session import Session

HOST = HostFacts("Debian GNU/Linux 12", "6.1.0", "x86_64", 2, 24102, "docker 20.10.24")
READ, EDITED = "One API server is stopped", "Something else"


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """A scenario of the user's own with a check, which uses what lies beside it."""
    (tmp_path / "checks").mkdir()
    (tmp_path / "mine.yml").write_text(f"{TEXT}checks: [checks/test_mine.py]\n")
    (tmp_path / "checks" / "test_mine.py").write_text(
        "import beside\n\ndef test_it(known):\n    assert (known, beside.THAT) == (1, 2)\n"
    )
    (tmp_path / "checks" / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef known():\n    return 1\n"
    )
    (tmp_path / "checks" / "beside.py").write_text("THAT = 2\n")
    return library.find(str(tmp_path / "mine.yml"))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    unused: Any = None
    lab_dir = open_file(tmp_path / "lab.yml")
    return Session(lab_dir, site_of(FakeGuests()), unused, 42, Recorded(), Capabilities(frozenset(), {}))


def edit_all(folder: Path) -> None:
    for path in (*folder.glob("*.yml"), *folder.glob("checks/*.py")):
        path.write_text(path.read_text().replace(READ, EDITED).replace("name: ha", "name: other"))
    (folder / "checks" / "test_mine.py").write_text("def test_other():\n    assert False\n")


def stored(folder: RunFolder) -> dict[str, bytes]:
    return {
        path.relative_to(folder.path).as_posix(): path.read_bytes()
        for path in folder.path.rglob("*")
        if path.is_file() and path != folder.meta
    }


@pytest.mark.parametrize("change", [edit_all, lambda folder: (folder / "mine.yml").unlink()])
def test_every_run_stores_the_files_as_they_were_read(
    change: Callable[[Path], object], tmp_path: Path, session: Session, script: Script
) -> None:
    first = stored(session.prepare(script))
    change(tmp_path)
    second = session.prepare(script)
    assert stored(second) == first
    assert sorted(first) == [
        "checks/beside.py", "checks/conftest.py", "checks/test_mine.py", "lab.yml", "scenario.yml",
    ]  # fmt: skip
    assert loading.load(second.scenario, Scenario) == script.scenario
    assert second.lab.read_text() == "name: ha\n"


def test_the_checks_that_run_are_those_that_were_read(
    tmp_path: Path, session: Session, script: Script
) -> None:
    folder = session.prepare(script)
    edit_all(tmp_path)
    # a project around the lab does not configure the checks
    (tmp_path / "conftest.py").write_text("raise RuntimeError('this is not for checks')\n")
    outcome = checks.run(session.lab_dir.work, script.checks, folder=folder, patience=1.0)
    assert (outcome.passed, outcome.failed, outcome.error) == (1, 0, None)
    assert [(each.name, each.state) for each in check_results.read(folder.checks) or ()] == [
        ("test_it", CheckState.PASSED)
    ]


def test_a_check_of_an_edited_lab_file_sees_the_lab_of_the_run(tmp_path: Path, session: Session) -> None:
    (tmp_path / "mine.yml").write_text(f"{TEXT}checks: [test_place.py]\n")
    (tmp_path / "test_place.py").write_text(
        "def test_it(place):\n"
        f"    assert (place.name, str(place.work.path)) == ('ha', {str(session.lab_dir.work.path)!r})\n"
    )
    script = library.find(str(tmp_path / "mine.yml"))
    (tmp_path / "lab.yml").write_text("name: other\n")
    folder = session.prepare(script)
    outcome = checks.run(session.lab_dir.work, script.checks, folder=folder, patience=1.0)
    assert (outcome.passed, outcome.error) == (1, None)


def test_the_files_of_options_are_stored_as_they_were_read(tmp_path: Path, session: Session) -> None:
    (tmp_path / "mine.yml").write_text(TEXT)
    script = replace(
        library.find(str(tmp_path / "mine.yml")), texts={"./a/break.sh": "one", "../break.sh": "two"}
    )
    content = stored(session.prepare(script))
    assert {name: text for name, text in content.items() if name.startswith("files/")} == {
        "files/a/break.sh": b"one",
        "files/up/break.sh": b"two",
    }


def test_runs_of_the_same_second_have_different_folders(session: Session, script: Script) -> None:
    folders = [session.prepare(script).path for _ in range(3)]
    # on a slow machine, a new second may begin between two of them
    assert len(set(folders)) == 3


# what a scenario is called


def written(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEXT)
    return str(path)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("01-blocked-log-sink/scenario.yml", "01-blocked-log-sink"),
        ("01-blocked-log-sink/scenario.yaml", "01-blocked-log-sink"),
        ("01-blocked-log-sink/mine.yml", "mine"),
        ("my scenario; rm -rf/mine [1].yml", "mine-1"),
        ("\x1b[31mred/scenario.yml", "31mred"),
        ("gefährlich/scenario.yml", "gefährlich"),
    ],
)
def test_a_file_called_scenario_is_named_after_its_folder(file: str, name: str, tmp_path: Path) -> None:
    assert library.find(written(tmp_path / file)).name == name


def test_a_file_called_scenario_is_named_after_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "02-stale-read" / "scenario.yml")
    monkeypatch.chdir(tmp_path / "02-stale-read")
    assert library.find("scenario.yml").name == "02-stale-read"


def test_files_with_the_same_name_are_distinguished_by_their_folders(tmp_path: Path) -> None:
    files = ["a/x/scenario.yml", "b/x/scenario.yml", "a/mine.yml", "b/mine.yml", "c/alone.yml"]
    scripts = library.find_all([written(tmp_path / file) for file in files])
    assert [each.name for each in scripts] == ["a-x", "b-x", "a-mine", "b-mine", "alone"]


def test_a_file_named_like_a_scenario_of_halab_gets_another_name(tmp_path: Path) -> None:
    own = written(tmp_path / "own" / "stop-kubelet.yml")
    assert [each.name for each in library.find_all(["stop-kubelet", own])] == [
        "stop-kubelet", "own-stop-kubelet",
    ]  # fmt: skip


def test_a_file_that_is_named_twice_is_one_scenario(tmp_path: Path) -> None:
    file = written(tmp_path / "mine.yml")
    assert [each.name for each in library.find_all([file, f"{tmp_path}/./mine.yml"])] == ["mine", "mine"]


def test_folders_whose_names_differ_in_a_space_are_distinguished(tmp_path: Path) -> None:
    scripts = library.find_all(
        [written(tmp_path / "a b" / "mine.yml"), written(tmp_path / "a-b" / "mine.yml")]
    )
    assert len({each.name for each in scripts}) == 2


def test_a_long_name_fits_into_the_name_of_a_folder(tmp_path: Path, session: Session) -> None:
    script = library.find(written(tmp_path / f"{'ä' * 100}.yml"))
    assert session.prepare(script).path.is_dir()


def test_the_configuration_of_the_load_balancer_is_stored(tmp_path: Path, script: Script) -> None:
    """Both the file that the lab file names, and what the load balancer runs with."""
    (tmp_path / "lab.yml").write_text("load_balancer: {config: ../own.cfg}\n")
    (tmp_path.parent / "own.cfg").write_text("# {{ lab.name }}\n")
    unused: Any = None
    lab_dir = open_file(tmp_path / "lab.yml")
    site = site_of(
        FakeGuests({"cat /etc/haproxy/haproxy.cfg": "# ha\n"}), load_balancer={"config": "../own.cfg"}
    )
    folder = Session(lab_dir, site, unused, 42, Recorded(), Capabilities(frozenset(), {})).prepare(script)
    assert (folder.configuration / "haproxy.cfg").read_text() == "# ha\n"
    assert (folder.path / "lab" / "up" / "own.cfg").read_text() == "# {{ lab.name }}\n"
    meta = folder.read_meta()
    assert (meta.load_balancer_config, meta.reports_backends) == ("../own.cfg", True)
    # where the checks of the run find it, even if it has changed since
    (tmp_path.parent / "own.cfg").unlink()
    assert open_file(folder.lab, locate=folder.lab_option).balancer_file


def test_the_manifest_of_kube_vip_is_stored_with_the_run(tmp_path: Path, script: Script) -> None:
    (tmp_path / "lab.yml").write_text("load_balancer: {kind: kube-vip}\n")
    unused: Any = None
    manifest = "kind: Pod\n"
    guests = FakeGuests({"^cp1: cat /etc/kubernetes/manifests/kube-vip.yaml": manifest})
    site = site_of(guests, load_balancer={"kind": "kube-vip"})
    session = Session(
        open_file(tmp_path / "lab.yml"), site, unused, 42, Recorded(), Capabilities(frozenset(), {})
    )
    folder = session.prepare(script)
    assert [path.name for path in folder.configuration.iterdir()] == ["kube-vip.yaml"]
    assert (folder.configuration / "kube-vip.yaml").read_text() == manifest
    meta = folder.read_meta()
    assert meta.versions["kube-vip"] == "0.9.1"
    assert (meta.setting.load_balancer, meta.setting.balancers) == ("kube-vip", 0)


def test_a_twin_without_checks_is_judged_without_backends(session: Session, script: Script) -> None:
    settings = LabSettings(load_balancer={"check": "none"})
    twin = script.scenario.twin.model_copy(update={"replace": None, "set": settings})
    script = replace(script, scenario=script.scenario.model_copy(update={"twin": twin}))
    assert session.prepare(script).read_meta().setting.reports_backends
    assert not session.prepare(script, twin=True).read_meta().setting.reports_backends


def test_a_run_stores_the_patches_with_which_the_lab_was_built(session: Session, script: Script) -> None:
    """The user may have changed them since."""
    work = session.lab_dir.work
    work.make()
    work.write(machine_info.record(work, session.lab, {"etcd.yaml": "spec: {}\n"}))
    assert stored(session.prepare(script))["kubeadm-patches/etcd.yaml"] == b"spec: {}\n"


def test_what_up_applied_is_stored_with_the_run(session: Session, script: Script) -> None:
    work = session.lab_dir.work
    work.make()
    work.write({"lab/setup/cp.sh": "true\n", "images.json": "[]\n"})
    (work.path.parent / "setup").mkdir()
    (work.path.parent / "setup" / "cp.sh").write_text("changed since\n")
    folder = session.prepare(script).path
    assert (folder / "lab" / "setup" / "cp.sh").read_text() == "true\n"
    assert (folder / "images.json").read_text() == "[]\n"


def test_the_command_of_the_session_is_recorded(session: Session, script: Script) -> None:
    words = ("halab", "run", "stop-apiserver", "--seed", "42")
    assert replace(session, command=words).prepare(script).read_meta().command == words


def test_a_seed_that_was_drawn_is_in_the_command_of_the_session(
    monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/halab", "run", "stop-apiserver"])
    for name, result in (
        ("labs.existing", session.lab), ("access.kubeconfig", None), ("access.site", session.site),
        ("capabilities.probe", session.capabilities), ("balancer.reports_all", True),
    ):  # fmt: skip
        monkeypatch.setattr(f"halab.scenario.run.session.{name}", lambda *_, result=result: result)
    monkeypatch.setattr("halab.scenario.run.session.access.api", lambda *_: nullcontext(session.api))
    monkeypatch.setattr("halab.scenario.run.session.host.facts", lambda _: HOST)
    with sessions.opened(session.lab_dir, Recorded()) as opened:
        assert opened.command == ("halab", "run", "stop-apiserver", "--seed", str(opened.seed))
    with sessions.opened(session.lab_dir, Recorded(), seed=7) as opened:
        assert (opened.seed, opened.command[-1], opened.host) == (7, "7", HOST)
