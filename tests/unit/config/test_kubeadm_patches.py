"""The patch files of kubeadm: names that kubeadm would not use, and contents that it could not apply."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.config import kubeadm_patches
from halab.config.kubernetes import resolve
from halab.errors import BadFile

LAB = b"name: ha\nkubeadm:\n  patches: own\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def read(folder: Path, version: str = "1.37", name: str = "own") -> dict[str, str]:
    return kubeadm_patches.read(folder.parent / "lab.yml", LAB, name, resolve(version))


def problems(folder: Path, version: str = "1.37", name: str = "own") -> list[str]:
    with pytest.raises(BadFile) as caught:
        read(folder, version, name)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_without_a_folder_there_is_no_patch(tmp_path: Path) -> None:
    assert kubeadm_patches.read(tmp_path / "lab.yml", b"", None, resolve("1.37")) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kube-apiserver.yaml", "spec: {}\n"),
        ("kube-apiserver0+strategic.yaml", "metadata: {labels: {a: b}}\n---\nspec:\n  $patch: delete\n"),
        ("kube-controller-manager-own+merge.json", '{"spec": {}}'),
        ("kube-scheduler+json.yaml", "- {op: remove, path: /metadata/labels}\n"),
        ("etcd+json.json", '[{"op": "add", "path": "/spec/priority", "value": 1}]'),
        ("kubeletconfiguration1+merge.yaml", "maxPods: 50\n"),
        ("corednsdeployment.yaml", "spec: {replicas: 3}\n"),
        ("kubeproxydaemonset.yaml", "spec: {}\n"),
    ],
)
def test_kubeadms_own_names_are_accepted(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text)
    assert read(folder) == {name: text}


def test_what_people_and_editors_put_beside_patches_is_left_out(folder: Path) -> None:
    for name in ("README.md", ".etcd.yaml.swp", "etcd.yaml~", "etcd.yaml"):
        (folder / name).write_text("spec: {}\n")
    assert list(read(folder)) == ["etcd.yaml"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("kube-apisrver.yaml", "kubeadm knows no target kube-apisrver; did you mean kube-apiserver?"),
        ("kube-apiserver.yml", "kubeadm does not read this file: its name must end with .yaml or .json"),
        ("kube-apiserver", "kubeadm does not read this file"),
        ("etcd+strategy.yaml", "kubeadm knows no kind of patch strategy; did you mean strategic?"),
        ("etcd+.yaml", "kubeadm would not read this name as you mean it"),
        ("etcd.v1+json.yaml", "kubeadm would not read this name as you mean it"),
    ],
)
def test_a_name_that_kubeadm_reads_in_another_way_is_refused(name: str, said: str, folder: Path) -> None:
    (folder / name).write_text("spec: {}\n")
    (problem,) = problems(folder)
    assert problem.startswith(f"{name}:1: {said}")


def test_a_target_of_a_later_kubernetes_is_refused(folder: Path) -> None:
    (folder / "kubeproxydaemonset.yaml").write_text("spec: {}\n")
    (problem,) = problems(folder, "1.36")
    assert "kubeadm patches kubeproxydaemonset since Kubernetes 1.37, and this is 1.36." in problem


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("etcd.yaml", "", "1: empty: kubeadm would ignore it"),
        ("etcd.yaml", "# nothing\n", "1: empty: kubeadm would ignore it"),
        ("etcd.yaml", "spec: {}\n---\n- a\n", "3: should be a mapping; for a list of operations"),
        ("etcd.yaml", "spec:\n  a: [\n", "3: malformed YAML"),
        ("etcd.yaml", "\n\nspce: {}\n", "3: spce: is not known; did you mean spec?"),
        ("kubeletconfiguration.yaml", "maxPod: 1\n", "1: maxPod: is not known; did you mean maxPods?"),
        ("etcd+json.yaml", "spec: {}\n", "1: should be a list of operations"),
        ("etcd+json.yaml", "- spec\n", "1: [1]: should be an operation"),
        ("etcd+json.yaml", "- op: put\n", "1: [1].op: should be one of add, remove"),
        ("etcd+json.yaml", "- op: add\n  path: spec\n", "2: [1].path: should be a path such as"),
    ],
)
def test_what_kubeadm_could_not_apply_is_refused_with_its_line(
    name: str, text: str, said: str, folder: Path
) -> None:
    (folder / name).write_text(text)
    (problem,) = problems(folder)
    assert problem.startswith(f"{name}:{said}")


def test_only_plain_files_are_read(folder: Path) -> None:
    (folder / "etcd0.yaml").write_bytes(b"spec: \xff\n")
    (folder / "etcd1.yaml").symlink_to("/etc/shadow")
    (folder / "etcd2.yaml").mkdir()
    (folder / "etcd3.yaml").write_text("spec: {}\n" + "#" * 100_000)
    assert problems(folder) == [
        "etcd0.yaml:1: not UTF-8 text",
        "etcd1.yaml:1: a symbolic link: copy the file into the folder",
        "etcd2.yaml:1: a folder: put its files beside it",
        f"etcd3.yaml:1: larger than 100 kB: {folder}/etcd3.yaml",
    ]


def test_a_folder_without_patches_is_a_problem_of_the_lab_file(folder: Path) -> None:
    at = f"{folder.parent}/lab.yml:3: kubeadm.patches:"
    assert problems(folder) == [f"{at} no patch in the folder {folder}"]
    assert problems(folder, name="none") == [f"{at} no such folder: {folder.parent}/none"]
    (folder.parent / "link").symlink_to("own")
    assert problems(folder, name="link") == [f"{at} a symbolic link, not a folder: {folder.parent}/link"]
    assert problems(folder, name="lab.yml")[0].startswith(f"{at} no such folder: ")
    for number in range(51):
        (folder / f"etcd{number}.yaml").write_text("spec: {}\n")
    assert problems(folder) == [f"{at} more than 50 files in the folder {folder}"]
