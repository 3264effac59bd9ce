"""What kubeadm says of the merged documents, at the lines of the lab file. The messages are those of kubeadm 1.37.2."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.config.lab import ProviderKind
from halab.errors import BadFile
from halab.images import bundle as bundles
from halab.lifecycle import kubeadm_check
from halab.lifecycle.lab import LabDir, open_file

LAB = """\
name: ha
kubeadm:
  cluster:
    networking:
      dnsDomain: Lab_Domain
  join:
    nodeRegistration:
      imagePullPolicy: Sometimes
  kubelet:
    crashLoopBackOff:
      maxContainerRestartPeriod: 5
    evictionHard: {}
"""
UNMARSHAL = (
    'error: error unmarshaling configuration schema.GroupVersionKind{{Group:"x", Version:"v1", Kind:"{}"}}: '
)
STACK = "\nTo see the stack trace of this error execute with --v=5 or higher\n"


class FoundBundle:
    """A bundle whose kubeadm is a script."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def binary(self, name: str) -> Path:
        return self._folder / name


@pytest.fixture
def lab_dir(tmp_path: Path) -> LabDir:
    (tmp_path / "lab.yml").write_text(LAB)
    return open_file(tmp_path / "lab.yml")


def kubeadm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let the bundle have a kubeadm that keeps its input in files and runs the script."""
    tool = folder / "kubeadm"
    tool.write_text(f'#!/bin/sh\ncat "$4" >"{folder}/$$.yaml"\necho "$*" >>"{folder}/asked"\n{script}\n')
    tool.chmod(0o755)
    monkeypatch.setattr(bundles, "find", lambda release, source: FoundBundle(folder))


def refusal(lab_dir: LabDir) -> list[str]:
    with pytest.raises(BadFile) as caught:
        kubeadm_check.require(lab_dir)
    return [str(problem).removeprefix(f"{lab_dir.file}:") for problem in caught.value.problems]


def test_kubeadm_checks_complete_documents(
    lab_dir: LabDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeadm(tmp_path, monkeypatch, "exit 0")
    assert kubeadm_check.require(lab_dir)
    init, join = sorted((path.read_text() for path in tmp_path.glob("*.yaml")), key=len, reverse=True)
    assert "dnsDomain: Lab_Domain" in init and "kind: InitConfiguration" in init
    assert "imagePullPolicy: Sometimes" in join and "@" not in join
    assert (tmp_path / "asked").read_text() == "config validate --config /dev/stdin\n" * 2


def test_without_settings_kubeadm_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab.yml").write_text("kubeadm: {patches: own}\n")
    kubeadm(tmp_path, monkeypatch, "exit 1")
    assert kubeadm_check.require(open_file(tmp_path / "lab.yml"))
    assert not (tmp_path / "asked").exists()


def test_without_a_bundle_nothing_is_checked(lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "find", lambda release, source: None)
    assert not kubeadm_check.require(lab_dir)
    assert ProviderKind.AUTO is lab_dir.written.provider


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (
            UNMARSHAL.format("KubeletConfiguration")
            + "json: cannot unmarshal number into Go struct field "
            + "CrashLoopBackOffConfig.crashLoopBackOff.maxContainerRestartPeriod of type string",
            "11: kubeadm.kubelet.crashLoopBackOff.maxContainerRestartPeriod: kubeadm refuses it: cannot unmarshal",
        ),
        (
            UNMARSHAL.format("KubeletConfiguration")
            + 'strict decoding error: unknown field "crashLoopBackOff.foo"',
            '10: kubeadm.kubelet.crashLoopBackOff: kubeadm refuses it: unknown field "crashLoopBackOff.foo"',
        ),
        (
            'error: networking.dnsDomain: Invalid value: "Lab_Domain": a lowercase subdomain',
            '5: kubeadm.cluster.networking.dnsDomain: kubeadm refuses it: Invalid value: "Lab_Domain": a lower',
        ),
        (
            'error: nodeRegistration.imagePullPolicy: Invalid value: "Sometimes": invalid pull policy',
            '8: kubeadm.join.nodeRegistration.imagePullPolicy: kubeadm refuses it: Invalid value: "Sometimes"',
        ),
        (
            "W1128 warning of something\nerror: [a: Required value, evictionHard: Forbidden]",
            "12: kubeadm.kubelet.evictionHard: kubeadm refuses it: [a: Required value, evictionHard: Forbidden]",
        ),
        ("error: out of luck", "3: kubeadm.cluster: kubeadm refuses it: out of luck"),
        ("Segmentation fault", "3: kubeadm.cluster: kubeadm refuses it: Segmentation fault"),
        ("", "3: kubeadm.cluster: kubeadm refuses it: no message"),
    ],
)
def test_a_refusal_names_the_line_that_kubeadm_means(
    lab_dir: LabDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: str, said: str
) -> None:
    (tmp_path / "errors").write_text(errors + STACK)
    kubeadm(tmp_path, monkeypatch, f'cat "{tmp_path}/errors" >&2\nexit 1')
    (problem,) = refusal(lab_dir)
    assert problem.startswith(said)
