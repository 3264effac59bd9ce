"""Two labs on one host: three control planes behind NGINX, and a small lab whose work folder is moved and removed.

They share a module so that the tests of the work folder need no third lab.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli_driver import UserLab, engine_names, interrupt, lab_in

from halab.config.kubernetes import DEFAULT, BundleSource, resolve
from halab.images import cache, image_tar
from halab.images.bundle import find

NGINX = "e2e-nginx"
# None of these changes what a scenario measures.
OWN = """\
kubeadm:
  cluster:
    apiServer: {extraArgs: {max-requests-inflight: "401"}}
    controllerManager: {extraArgs: [{name: concurrent-gc-syncs, value: "19"}]}
  join: {nodeRegistration: {kubeletExtraArgs: {v: "1"}}}
  kubelet: {maxPods: 60}
  patches: patches
"""
APPLIED = """\
images: [own.tar]
manifests: [web]
setup: {cp: {after: own.sh.j2}, worker: {before: own.sh.j2}}
"""
DISK = "machines: {w1: {disks: [{mount: /srv/data}]}}\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: own, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: own}}
  template:
    metadata: {labels: {app: own}}
    spec: {containers: [{name: own, image: "shop.example/own:1", imagePullPolicy: Never}]}
"""
# A small lab comes up in about a minute on two cores. If `up` waited for machines that it cannot log in to, it would
# wait 300 s for their boot.
_BOOT_SECONDS = 300


@pytest.fixture(scope="module")
def nginx_lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "patches").mkdir()
    (folder / "patches/kube-scheduler0+merge.yaml").write_text("metadata: {labels: {own: yes-it-is}}\n")
    text = f"name: {NGINX}\nload_balancer: {{kind: nginx}}\n{OWN}"
    yield from lab_in(folder, text, create=interrupted_at_a_join)
    assert engine_names("container", NGINX) == ""


def interrupted_at_a_join(lab: UserLab) -> None:
    """An interrupt in the middle of a join leaves most behind: half an etcd member, half a node."""
    interrupt(lab.begin("up"), "… kubeadm join on cp2")
    lab.ok("up")


@pytest.fixture(scope="module")
def small_lab(tmp_path_factory: pytest.TempPathFactory, nginx_lab: UserLab) -> Iterator[UserLab]:
    """A lab with one control plane and one worker, beside the lab behind NGINX."""
    folder = tmp_path_factory.mktemp("small") / "lab"
    write_own_files(folder)
    yield from lab_in(folder, f"name: auto\ncontrol_planes: 1\nworkers: 1\n{APPLIED}{DISK}")


def write_own_files(folder: Path) -> None:
    """An image that no registry has, manifests that use it, and a script for the nodes."""
    folder.mkdir()
    bundle = find(resolve(DEFAULT), BundleSource.AUTO)
    assert bundle is not None
    pause = next(path for path in bundle.images() if path.name.startswith("pause"))
    image_tar.extract(pause, "pause", folder / "pause")
    contents = image_tar.Contents({"/pause": folder / "pause"}, ("/pause",))
    image_tar.write_image(folder / "own.tar", "shop.example/own:1", cache.architecture(), contents)
    (folder / "web").mkdir()
    (folder / "web" / "1.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    (folder / "web" / "2.yaml").write_text(DEPLOYMENT)
    (folder / "own.sh.j2").write_text("echo {{ machine.name }} >>/etc/own\n")


def containers(lab: UserLab) -> set[str]:
    return set(engine_names("container", lab.status()["lab"]).split())


# first, because the small lab is not up yet: a scenario is measured without the load of another lab
def test_a_scenario_passes_behind_nginx(nginx_lab: UserLab) -> None:
    nginx_lab.require_pass("black-hole-backend")


def test_up_applies_a_changed_configuration_and_leaves_the_old_one_if_it_is_wrong(
    nginx_lab: UserLab,
) -> None:
    lab_file, own = nginx_lab.folder / "lab.yml", nginx_lab.folder / "nginx.conf"
    before = lab_file.read_text()
    own.write_text(nginx_lab.ok("ssh", "lb1", "--", "cat", "/etc/nginx/nginx.conf") + "sever {}\n")
    lab_file.write_text(f"name: {NGINX}\nload_balancer: {{kind: nginx, config: ./nginx.conf}}\n{OWN}")
    wrong = nginx_lab.halab("up")
    assert wrong.code == 2, str(wrong)
    line = own.read_text().count("\n")
    assert f'nginx.conf:{line}: unknown directive "sever": sever {{}}' in wrong.errors
    nginx_lab.wait_until_steady()
    own.write_text(own.read_text().replace("sever {}", "# my own"))
    up = nginx_lab.halab("up")
    assert (up.code, "lb1 runs nginx with a new configuration: nginx.conf" in up.errors) == (0, True), str(
        up
    )
    assert "# my own" in nginx_lab.ok("ssh", "lb1", "--", "cat", "/etc/nginx/nginx.conf")
    lab_file.write_text(before)
    assert json.loads(nginx_lab.ok("up", "--json"))["changes"] == 1


def test_settings_for_kubeadm_are_in_force_on_all_control_planes(nginx_lab: UserLab) -> None:
    """Also on the machine whose join was interrupted."""
    look = (
        "pgrep -af '^kube-apiserver|^kube-controller-manager|^/usr/local/bin/kubelet'; "
        "sudo cat /var/lib/kubelet/config.yaml /etc/kubernetes/manifests/kube-scheduler.yaml"
    )
    expected = {"--max-requests-inflight=401", "--concurrent-gc-syncs=19", "maxPods: 60", "own: yes-it-is"}
    for machine in ("cp1", "cp2", "cp3"):
        seen = nginx_lab.ok("ssh", machine, "--", look)
        assert {text for text in expected if text not in seen} == set(), machine
        assert (" --v=1" in seen) == (machine != "cp1"), machine


def test_changed_settings_for_kubeadm_need_a_new_lab(nginx_lab: UserLab) -> None:
    file, patch = nginx_lab.folder / "lab.yml", nginx_lab.folder / "patches/kube-scheduler0+merge.yaml"
    for path, old, new, said in (
        (file, "maxPods: 60", "maxPods: 61", "kubeadm.kubelet.maxPods is 60 in the lab and 61 in the file"),
        (file, "maxPods: 60", "maxPod: 60", "kubeadm.kubelet.maxPod: is not known; did you mean maxPods?"),
        (
            patch,
            "own: yes-it-is",
            "own: other",
            "have changed since the lab was built: kube-scheduler0+merge.yaml",
        ),
    ):
        text = path.read_text()
        path.write_text(text.replace(old, new))
        done = nginx_lab.halab("up")
        path.write_text(text)
        assert (done.code, said in done.errors) == (2 if "known" in said else 3, True), str(done)
    assert json.loads(nginx_lab.ok("up", "--json"))["changes"] == 0


def test_a_lab_of_the_same_name_in_another_folder_is_refused(
    nginx_lab: UserLab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = UserLab(tmp_path_factory.mktemp("other"))
    (other.folder / "lab.yml").write_text(f"name: {NGINX}\n")
    done = other.halab("up")
    assert done.code == 3
    assert str(nginx_lab.folder) in done.errors


def test_two_labs_live_side_by_side(nginx_lab: UserLab, small_lab: UserLab) -> None:
    """Each lab has its own network and its own machines."""
    assert nginx_lab.status()["endpoint"] != small_lab.status()["endpoint"]
    nodes = small_lab.ok("kubectl", "--", "get", "nodes", "--no-headers").splitlines()
    assert [line.split()[:2] for line in nodes] == [["cp1", "Ready"], ["w1", "Ready"]]
    skipped = small_lab.halab("run", "stop-apiserver")
    assert skipped.code == 3
    assert "the lab has 1 control plane, and 3 are needed" in skipped.output


def test_a_disk_is_mounted_on_its_machine_and_on_no_other(small_lab: UserLab) -> None:
    command = "mountpoint --quiet /srv/data && echo mounted || echo absent"
    answers = {machine: small_lab.ok("ssh", machine, "--", command).strip() for machine in ("cp1", "w1")}
    assert answers == {"cp1": "absent", "w1": "mounted"}


def test_up_applies_what_changed_and_nothing_else(small_lab: UserLab) -> None:
    def lines_of(machine: str) -> list[str]:
        return small_lab.ok("ssh", machine, "--", "cat /etc/own").split()

    def ready() -> str:
        path = "jsonpath={.status.readyReplicas}"
        return small_lab.ok("kubectl", "--", "-n", "shop", "get", "deployment", "own", "-o", path)

    assert (ready(), lines_of("cp1"), lines_of("w1")) == ("2", ["cp1"], ["w1"])
    assert json.loads(small_lab.ok("up", "--json"))["changes"] == 0
    manifest = small_lab.folder / "web" / "2.yaml"
    manifest.write_text(DEPLOYMENT.replace("replicas: 2", "replcas: 3"))
    refused = small_lab.halab("up")
    assert (refused.code, "the API refused web/2.yaml:" in refused.errors) == (3, True), str(refused)
    manifest.write_text(DEPLOYMENT.replace("replicas: 2", "replicas: 3"))
    script = small_lab.folder / "own.sh.j2"
    script.write_text(f"{script.read_text()}# changed\n")
    assert json.loads(small_lab.ok("up", "--json"))["changes"] == 3
    assert (ready(), lines_of("cp1"), lines_of("w1")) == ("3", ["cp1"] * 2, ["w1"] * 2)


def test_up_replaces_a_lab_whose_work_folder_was_removed(small_lab: UserLab) -> None:
    before = containers(small_lab)
    shutil.rmtree(small_lab.folder / ".halab")
    status = small_lab.halab("status")
    assert status.code == 3
    assert "not steady: the keys of the lab's machines are missing from" in status.output
    began = time.monotonic()
    up = small_lab.halab("up")
    assert up.code == 0, str(up)
    assert "halab rebuilds the lab" in up.errors
    assert time.monotonic() - began < _BOOT_SECONDS
    assert small_lab.status()["steady"]
    assert before.isdisjoint(containers(small_lab))


def test_commands_in_a_moved_folder_say_where_it_was(small_lab: UserLab) -> None:
    moved = small_lab.folder.with_name("moved")
    small_lab.folder.rename(moved)
    try:
        for verb in ("status", "up"):
            done = UserLab(moved).halab(verb)
            assert done.code == 3
            assert f"`mv {moved} {small_lab.folder}`" in done.errors
    finally:
        moved.rename(small_lab.folder)
    small_lab.wait_until_steady()


def test_a_copy_of_the_folder_is_another_lab(small_lab: UserLab) -> None:
    """`name: auto` gives the copy a name of its own, and it has no machines yet."""
    copy = UserLab(small_lab.folder.with_name("copy"))
    shutil.copytree(small_lab.folder, copy.folder)
    before = containers(small_lab)
    done = copy.halab("status")
    assert (done.code, "is not up" in done.errors) == (3, True), str(done)
    copy.ok("down")
    assert containers(small_lab) == before
    small_lab.wait_until_steady()


def test_down_removes_a_lab_whose_work_folder_was_removed_and_no_other_lab(
    nginx_lab: UserLab, small_lab: UserLab
) -> None:
    name, others = small_lab.status()["lab"], containers(nginx_lab)
    shutil.rmtree(small_lab.folder / ".halab")
    small_lab.ok("down")
    assert [engine_names(kind, name) for kind in ("container", "network", "volume")] == [""] * 3
    assert containers(nginx_lab) == others
    # two labs on few cores: a controller may have lost its lease meanwhile, and restarts
    nginx_lab.wait_until_steady()
