"""A lab gets another version of Kubernetes: the order of the steps, what they leave behind, and how they continue."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.fake_host import bundle_of
from support.fakes import Call, FakeClock, FakeGuests, Recorded, brought_up

from halab.cluster.steady import Observation
from halab.config import kubernetes
from halab.errors import BadUsage, CommandFailed, HalabError, LabProblem, TimedOut, Unable, Unreachable
from halab.faults.journal import Entry, Journal
from halab.images.bundle import Bundle
from halab.lifecycle import (
    access,
    kubeadm_check,
    machine_info,
    providers,
    snapshot,
    upgrade,
    upgrade_checks,
    upgrader,
    version_change,
    versions,
    workfiles,
)
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir, open_file
from halab.lifecycle.upgrader import MachineUpgrade
from halab.machines.host import allocation
from halab.process import Completed
from halab.topology import files
from halab.topology.files import HostValues
from halab.topology.lab import Lab

OLD, NEW = "1.36.5", "1.37.2"
_ACTS = {
    "kubeadm upgrade apply phase preflight": "preflight",
    "kubeadm upgrade apply --yes": "apply",
    "kubeadm upgrade node": "node",
    "kubectl --kubeconfig.* drain": "drain",
    "kubectl --kubeconfig.* uncordon": "uncordon",
    "systemctl restart kubelet": "kubelet",
    "images import": "import",
    "rm -rf /var/lib/halab/programs; echo": "mark",
}


@dataclass
class World:
    """A lab of version OLD, and what was done to it, in order. `fails_at` is an act such as `node on cp2`."""

    lab_dir: LabDir
    bundle: Bundle
    guests: FakeGuests = field(default_factory=FakeGuests)
    did: list[str] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    kubelets: dict[str, str] = field(default_factory=dict)
    etcd: str = "3.6.16"
    missing: tuple[str, ...] = ()
    fails_at: str = ""
    fails_with: BaseException | None = None
    saves: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.guests.answers = {"": self._answer}

    @property
    def release(self) -> kubernetes.Release:
        return kubernetes.resolve(NEW)

    def _answer(self, call: Call) -> str | Completed:
        text = f"{call.command}\n{call.input or ''}"
        for pattern, what in _ACTS.items():
            # comments of the scripts name these commands too
            if re.search(rf"^(?!#).*{pattern}", text, re.MULTILINE):
                act = f"{what} on {call.machine}"
                self.did.append(act)
                if act == self.fails_at:
                    raise self.fails_with or CommandFailed("no", code=1, output="no budget")
                self._do(what, call.machine)
        if "cat /var/lib/halab/bundle" in text:
            return self.marks.get(call.machine, "")
        if "endpoint status" in text:
            return json.dumps([{"Status": self._status(call.machine)}])
        if "get configmap kubeadm-config" in text:
            document = json.dumps({"etcd": {"local": {}}, "dns": {}})
            return json.dumps({"data": {"ClusterConfiguration": document}})
        if asked := re.search("get node ([a-z0-9]+) -o jsonpath", text):
            return self.kubelets.get(asked[1], f"v{OLD}")
        return ""

    def _do(self, what: str, machine: str) -> None:
        if what == "kubelet":
            self.kubelets[machine] = f"v{NEW}"
        if what == "mark":
            self.marks[machine] = self.bundle.key

    def _status(self, name: str) -> dict[str, Any]:
        header = {"member_id": int(name[-1]), "revision": 5}
        return {"header": header, "leader": 1, "raftTerm": 2, "raftIndex": 9, "version": self.etcd}

    def upgrade(self, progress: Recorded | None = None) -> upgrade.UpgradeResult:
        return upgrade.upgrade(self.lab_dir, self.release, progress or Recorded())

    def only(self, *words: str) -> list[str]:
        return [line for line in self.did if line.startswith(words)]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(text: str = "", **options: Any) -> World:
        (tmp_path / "lab.yml").write_text(
            f"name: ha\nprovider: docker\nkubernetes: {{version: '{OLD}'}}\n{text}"
        )
        brought_up(tmp_path)
        lab_dir = open_file(tmp_path / "lab.yml")
        lab_dir.work.write(machine_info.record(lab_dir.work, labs.allocated(lab_dir)))
        lab_dir.work.kubeconfig.write_text("x")
        world = World(lab_dir, bundle_of(kubernetes.resolve(NEW), tmp_path / "bundle"), **options)
        machines = SimpleNamespace(power=lambda: None)
        monkeypatch.setattr(access, "guests", lambda here: world.guests)
        monkeypatch.setattr(access, "api", lambda here, lab: _Api())
        monkeypatch.setattr("halab.images.bundle.find", lambda release, source: world.bundle)
        monkeypatch.setattr(upgrader, "RealClock", FakeClock)
        monkeypatch.setattr(upgrader, "wait_until_steady", _steady(world))
        monkeypatch.setattr(upgrade_checks, "observe", lambda guests, api, lab: Observation(world.missing))
        monkeypatch.setattr(upgrade, "wait_steady", lambda here, lab, progress, **options: Observation())
        monkeypatch.setattr(providers, "machines", lambda here, lab: machines)
        monkeypatch.setattr(
            snapshot, "save_after_up", lambda here, of, progress, changed: world.saves.append(changed)
        )
        monkeypatch.setattr(workfiles, "rendered", _rendered)
        monkeypatch.setattr(
            version_change, "boot", lambda here, machines, progress: world.did.append("boot")
        )
        return world

    return made


class _Api:
    def __enter__(self) -> _Api:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _steady(world: World) -> Any:
    def wait_until_steady(guests: Any, api: Any, lab: Lab, deadline: Any, **options: Any) -> Observation:
        assert options["hold_seconds"] > 0
        world.did.append("steady")
        if world.fails_at == "steady":
            raise TimedOut("never steady")
        return Observation()

    return wait_until_steady


def _rendered(lab_dir: LabDir, lab: Lab, patches: Any, own: Any, *, base: str) -> dict[str, str]:
    values = HostValues(str(lab_dir.work.path), "here", base, "key", "pub", {})
    return files.work_files(lab, values)


def test_one_machine_after_another_gets_the_new_version(make: Any) -> None:
    world = make()
    done = world.upgrade()
    assert world.only("preflight", "apply", "node", "kubelet", "mark", "steady") == [
        "preflight on cp1",
        *("apply on cp1", "kubelet on cp1", "steady", "mark on cp1"),
        *("node on cp2", "kubelet on cp2", "steady", "mark on cp2"),
        *("node on cp3", "kubelet on cp3", "steady", "mark on cp3"),
    ]
    # all machines have the images before the first one changes
    assert world.did.index("import on cp3") < world.did.index("preflight on cp1")
    assert world.only("drain", "uncordon") == []
    assert [machine.name for machine in done.change.machines] == ["cp1", "cp2", "cp3"]
    assert (done.change.before, done.change.lab.release.kubernetes) == (OLD, NEW)
    assert labs.existing(world.lab_dir).release.kubernetes == NEW
    assert versions.target(allocation.of(world.lab_dir.work.path)) is None
    assert world.saves == [True]
    # the scripts that a machine gets later are those of the new version; those of the upgrade are gone
    folder = world.lab_dir.work.path / "provision/cp1"
    assert f"kubernetesVersion: v{NEW}" in (folder / "join-material.sh").read_text()
    assert not (folder / "upgrade-kubeadm.sh").exists()


def test_the_versions_of_etcd_and_dns_are_changed_before_kubeadm_runs(make: Any) -> None:
    world = make("control_planes: 1\n")
    world.upgrade()
    asked = [call.command for call in world.guests.calls]
    replaced = next(i for i, command in enumerate(asked) if "replace -f -" in command)
    (applied,) = [
        i for i, call in enumerate(world.guests.calls) if "upgrade apply --yes" in (call.input or "")
    ]
    assert replaced < applied


def test_with_workers_each_machine_is_drained_before_its_kubelet(make: Any) -> None:
    world = make("control_planes: 1\nworkers: 1\n")
    world.upgrade()
    assert world.only("apply", "node", "drain", "kubelet", "uncordon") == [
        *("apply on cp1", "drain on cp1", "kubelet on cp1", "uncordon on cp1"),
        *("node on w1", "drain on cp1", "kubelet on w1", "uncordon on cp1"),
    ]
    drained = [call.command for call in world.guests.calls if " drain " in call.command]
    assert "drain cp1" in drained[0] and "drain w1" in drained[1]


def test_pods_that_cannot_be_evicted_stop_the_upgrade(make: Any) -> None:
    world = make("control_planes: 1\nworkers: 1\n", fails_at="drain on cp1")
    with pytest.raises(LabProblem, match="the pods on cp1 cannot be evicted: no budget") as caught:
        world.upgrade()
    assert "get pdb" in (caught.value.hint or "") and "was interrupted at cp1" in (caught.value.hint or "")


def test_an_upgrade_that_failed_says_where_and_the_next_call_continues(make: Any) -> None:
    world = make(fails_at="node on cp2")
    with pytest.raises(HalabError, match=r"upgrade-kubeadm\.sh failed on cp2") as caught:
        world.upgrade()
    assert "was interrupted at cp2" in (caught.value.hint or "")
    assert "continue with `halab upgrade`" in (caught.value.hint or "")
    assert labs.existing(world.lab_dir).release.kubernetes == OLD
    with pytest.raises(LabProblem, match="was interrupted at cp2"), labs.locked(world.lab_dir, "up"):
        pass
    world.fails_at, world.did = "", []
    # the state between is not steady
    world.missing = ("cp2 is not there",)
    release = version_change.wanted(world.lab_dir, None)
    assert release == world.release == version_change.wanted(world.lab_dir, "1.37")
    # the host may have been restarted: the API answers a moment later
    answers: list[Any] = [
        Unreachable("away"),
        '{"data": {"ClusterConfiguration": "{etcd: {local: {}}, dns: {}}"}}',
    ]
    world.guests.answers = {"get configmap kubeadm-config": answers, **world.guests.answers}
    done = world.upgrade()
    assert world.did[0] == "boot" and len(answers) == 1
    assert world.only("preflight", "apply", "node") == ["node on cp2", "node on cp3"]
    assert world.only("import") == ["import on cp2", "import on cp3"]
    assert [machine.name for machine in done.change.machines] == ["cp2", "cp3"]
    assert labs.existing(world.lab_dir).release.kubernetes == NEW


def test_ctrl_c_says_where_it_stands(make: Any) -> None:
    world, progress = make(fails_at="node on cp3", fails_with=KeyboardInterrupt()), Recorded()
    with pytest.raises(KeyboardInterrupt):
        world.upgrade(progress)
    assert any("was interrupted at cp3: continue with `halab upgrade`" in line for line in progress.lines)


def test_ctrl_c_before_the_start_says_nothing(make: Any) -> None:
    world, progress = make(fails_at="preflight on cp1", fails_with=KeyboardInterrupt()), Recorded()
    with pytest.raises(KeyboardInterrupt):
        world.upgrade(progress)
    assert not any("interrupted" in line for line in progress.lines)
    with labs.locked(world.lab_dir, "up"):
        pass


def test_an_upgrade_that_ended_before_it_was_recorded_is_complete_at_the_next_call(make: Any) -> None:
    world = make()
    versions.begin(world.lab_dir.work, world.lab_dir.written, OLD, NEW)
    world.marks = dict.fromkeys(("cp1", "cp2", "cp3"), world.bundle.key)
    done = world.upgrade()
    assert done.change.machines == () and world.did == ["boot"]
    assert labs.existing(world.lab_dir).release.kubernetes == NEW


def test_an_upgrade_that_was_killed_just_before_its_end_knows_the_version_before(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(work: Any, version: str) -> str:
        raise KeyboardInterrupt

    world = make()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(versions, "complete", killed)
        world.upgrade()
    assert machine_info.version(world.lab_dir.work) == NEW
    done = world.upgrade()
    assert (done.change.before, done.change.machines) == (OLD, ())


def test_another_version_has_to_wait_for_the_interrupted_one(make: Any) -> None:
    world = make()
    versions.begin(world.lab_dir.work, world.lab_dir.written, OLD, NEW)
    with pytest.raises(BadUsage, match=rf"to Kubernetes {NEW} was interrupted") as caught:
        version_change.wanted(world.lab_dir, "1.37.1")
    assert "complete it first" in (caught.value.hint or "")


def test_kubeadm_itself_may_refuse_and_nothing_has_changed(make: Any) -> None:
    world = make(fails_at="preflight on cp1")
    world.lab_dir.work.write({"provision/cp1/node.sh": "for the old version"})
    with pytest.raises(LabProblem, match="kubeadm refuses the upgrade:\nno budget"):
        world.upgrade()
    # a machine that is created again needs it
    assert (world.lab_dir.work.path / "provision/cp1/node.sh").read_text() == "for the old version"
    assert world.only("apply", "node", "kubelet") == []
    assert "rm -rf /var/lib/halab/programs" in world.guests.commands("cp3")
    held = allocation.of(world.lab_dir.work.path)
    assert held and held.upgraded is None
    with labs.locked(world.lab_dir, "up"):
        pass


def test_the_kubelet_must_report_the_new_version(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make()
    monkeypatch.setattr(World, "_do", lambda self, what, machine: None)
    with pytest.raises(TimedOut, match=rf"the new kubelet of cp1; last seen: the API has v{OLD}"):
        world.upgrade()


def test_an_api_that_is_away_for_a_moment_is_asked_again(make: Any) -> None:
    world = make("control_planes: 1\n")
    answers: list[Any] = [Unreachable("away"), f"v{NEW}"]
    world.guests.answers = {"get node cp1": answers, **world.guests.answers}
    world.upgrade()
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("version", "what", "hint"),
    [
        (OLD, "already has Kubernetes", "halab status"),
        ("1.35", "cannot go back", "snapshot"),
        (None, f"no version was given, and no upgrade was interrupted: the lab has Kubernetes {OLD}", "upgrade 1.37`"),
        ("1.99", "unknown Kubernetes version", "halab knows"),
    ],
)  # fmt: skip
def test_a_wrong_version_is_refused(make: Any, version: str | None, what: str, hint: str) -> None:
    world = make()
    with pytest.raises(BadUsage, match=what) as caught:
        version_change.wanted(world.lab_dir, version)
    assert hint in (caught.value.hint or "")


def test_the_file_may_have_the_new_version_before_the_upgrade(make: Any) -> None:
    world = make()
    world.lab_dir.file.write_text(f"name: ha\nprovider: docker\nkubernetes: {{version: '{NEW}'}}\n")
    world.lab_dir = open_file(world.lab_dir.file)
    assert version_change.wanted(world.lab_dir, NEW) == world.release
    assert world.upgrade().change.before == OLD
    assert labs.existing(world.lab_dir).release.kubernetes == NEW
    # machines still start from the box of the old version
    assert labs.base_release(world.lab_dir).kubernetes == OLD


def test_a_lab_can_be_upgraded_again_with_a_file_of_a_third_version(make: Any) -> None:
    world = make()
    versions.begin(world.lab_dir.work, world.lab_dir.written, "1.35.8", OLD)
    versions.complete(world.lab_dir.work, OLD)
    world.lab_dir.file.write_text(f"name: ha\nprovider: docker\nkubernetes: {{version: '{NEW}'}}\n")
    world.lab_dir = open_file(world.lab_dir.file)
    with pytest.raises(LabProblem, match=rf"now says Kubernetes {re.escape(NEW)}") as caught:
        labs.existing(world.lab_dir)
    assert f"`halab upgrade {NEW}`" in (caught.value.hint or "")
    world.upgrade()
    assert labs.existing(world.lab_dir).release.kubernetes == NEW
    assert labs.base_release(world.lab_dir).kubernetes == "1.35.8"


def test_a_version_without_a_bundle_says_how_to_build_it(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make()
    monkeypatch.setattr("halab.images.bundle.find", lambda release, source: None)
    with pytest.raises(LabProblem, match="is not in the cache") as caught:
        world.upgrade()
    assert caught.value.hint == f"build it with `halab bundle build --kubernetes {NEW}`"
    of_modules = world.lab_dir.written.kubernetes.model_copy(
        update={"source": kubernetes.BundleSource.MODULES}
    )
    world.lab_dir = replace(
        world.lab_dir, written=world.lab_dir.written.model_copy(update={"kubernetes": of_modules})
    )
    with pytest.raises(LabProblem) as caught:
        world.upgrade()
    assert (caught.value.hint or "").endswith("--source modules`")


def refused(world: World, error: type[HalabError], what: str) -> None:
    with pytest.raises(error, match=what):
        world.upgrade()
    assert world.did == []
    held = allocation.of(world.lab_dir.work.path)
    assert held and held.upgraded is None


def test_a_lab_that_is_not_steady_is_left_alone(make: Any) -> None:
    refused(make(missing=("cp2 does not run",)), LabProblem, "the lab is not steady: cp2 does not run")


def test_members_of_etcd_that_are_too_old_are_left_alone(make: Any) -> None:
    refused(make(etcd="3.6.8"), LabProblem, "every member needs etcd 3.6.11 or later")


def test_etcd_on_machines_of_its_own_is_left_alone(make: Any) -> None:
    world = make("etcd: {topology: external}\n")
    refused(world, Unable, r"etcd has machines of its own \(etcd1, etcd2, etcd3\)")


def test_a_kept_lab_must_be_up_first(make: Any) -> None:
    world = make()
    world.lab_dir.work.kept.write_text("x")
    refused(world, LabProblem, "the lab ha is down and was kept")


def test_an_open_fault_must_be_healed_first(make: Any) -> None:
    world = make()
    Journal(world.lab_dir.work.journal).opened(Entry("1", "stop-service", "cp1", {}))
    refused(world, LabProblem, "a fault is open")


def test_changed_patches_are_refused(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make()
    monkeypatch.setattr(labs, "patches", lambda here: {"etcd.yaml": "x"})
    refused(world, LabProblem, "these patches for kubeadm have changed")


def test_the_new_kubeadm_checks_the_users_settings(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world, asked = make(), []
    monkeypatch.setattr(kubeadm_check, "require", lambda here: asked.append(labs.version_of(here)))
    world.upgrade()
    assert asked == [NEW]


def test_a_lab_that_is_not_steady_afterwards_has_its_new_version(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, hint: str) -> None:
        raise TimedOut("never steady", hint=hint)

    world = make()
    monkeypatch.setattr(upgrade, "wait_steady", never)
    with pytest.raises(TimedOut, match="never steady") as caught:
        world.upgrade()
    assert "the lab has its new version" in (caught.value.hint or "")
    assert labs.existing(world.lab_dir).release.kubernetes == NEW and world.saves == []


def test_a_scenario_upgrades_the_lab_and_completes_what_was_interrupted(make: Any) -> None:
    world = make(fails_at="node on cp2")
    site = access.site(world.lab_dir, labs.existing(world.lab_dir))
    # nothing was interrupted
    assert site.upgrade(None) == f"the lab has Kubernetes {OLD}" and world.did == []
    with pytest.raises(HalabError, match="failed on cp2"):
        site.upgrade("1.37")
    world.fails_at = ""
    assert re.fullmatch(
        rf"Kubernetes {OLD} became {NEW}; cp2: kubeadm .*s, steady \d+m?s; cp3: kubeadm .*s",
        site.upgrade(None),
    )
    assert world.saves == []
    # the fault may be on several machines: there is nothing left to do for the next one
    world.did.clear()
    assert site.upgrade("1.37") == f"the lab has Kubernetes {NEW}" and world.did == []


def test_a_machine_says_how_long_each_part_took() -> None:
    done = MachineUpgrade("cp1", {"kubeadm": 41.4, "kubelet": 3.2})
    assert str(done) == "kubeadm 41s, kubelet 3s"
    assert done.total_seconds == pytest.approx(44.6)
