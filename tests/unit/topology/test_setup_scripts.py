"""The user's own scripts on a machine: run once for each content, with their exit code and their output."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.fakes import lab_of

from halab.config.own_file import OwnFile
from halab.errors import BadFile
from halab.topology import setup_scripts


def rendered(text: str, name: str = "own.sh", balancer: str = "haproxy", **proxies: str) -> str:
    lab = lab_of(setup={"cp": {"before": name}}, control_planes=1, load_balancer={"kind": balancer})
    scripts = setup_scripts.rendered(lab, {name: OwnFile(Path(name), text)}, proxies)
    return scripts["provision/cp1/setup-before.sh"]


def run(machine: Path, text: str, **proxies: str) -> subprocess.CompletedProcess[str]:
    script = rendered(text, **proxies)
    for path in ("/var/lib/halab", "/run/halab", "/etc/kubernetes"):
        (machine / path[1:]).mkdir(parents=True, exist_ok=True)
        script = script.replace(path, f"{machine}{path}")
    environment = {**os.environ, "PATH": f"{machine}/bin:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-s"], input=script, capture_output=True, text=True, timeout=20, env=environment
    )


def test_a_script_runs_once_for_each_content(tmp_path: Path) -> None:
    count = tmp_path / "count"
    for number, text in enumerate(("a", "a", "b", "a")):
        done = run(tmp_path, f"echo run {text}; echo x >>{count}\n")
        assert done.returncode == 0, done.stderr
        assert done.stdout == ("" if number == 1 else f"run {text}\nchanged: ran own.sh\n")
    assert count.read_text() == "x\n" * 3


def test_a_script_that_failed_runs_again(tmp_path: Path) -> None:
    for _ in range(2):
        done = run(tmp_path, "echo reason >&2\nexit 255\n")
        assert (done.returncode, done.stdout, done.stderr) == (
            1,
            "reason\n",
            "error: exit code of own.sh: 255\n",
        )


def test_the_content_that_worked_runs_again_after_another_one_failed(tmp_path: Path) -> None:
    run(tmp_path, "true\n")
    run(tmp_path, "exit 1\n")
    assert run(tmp_path, "true\n").stdout == "changed: ran own.sh\n"


@pytest.mark.parametrize("left", ["kubelet.conf", "manifests/etcd.yaml"])
def test_what_a_script_wrote_is_there_again_after_an_interrupted_kubeadm(tmp_path: Path, left: str) -> None:
    kubernetes = tmp_path / "etc/kubernetes"
    manifests = kubernetes / "manifests"
    kubeadm = tmp_path / "bin/kubeadm"
    kubeadm.parent.mkdir()
    kubeadm.write_text(f"#!/bin/sh\nrm -rf {manifests}/* {kubernetes}/kubelet.conf\n")
    kubeadm.chmod(0o755)
    text = "mkdir -p /etc/kubernetes/manifests; touch /etc/kubernetes/manifests/own.yaml\n"
    assert run(tmp_path, text).stdout == "changed: ran own.sh\n"
    assert run(tmp_path, text).stdout == ""  # its own static pod is none of kubeadm
    (kubernetes / left).touch()
    assert run(tmp_path, text).stdout == (
        "changed: removed what an interrupted kubeadm left behind\nchanged: ran own.sh\n"
    )
    assert [file.name for file in manifests.iterdir()] == ["own.yaml"]
    (kubernetes / "halab-joined").touch()
    (kubernetes / "kubelet.conf").touch()
    assert run(tmp_path, text).stdout == ""


def test_a_program_that_a_script_leaves_running_does_not_hold_it(tmp_path: Path) -> None:
    done = run(tmp_path, f"sleep 300 & echo $! >{tmp_path}/pid\n")
    subprocess.run(["kill", (tmp_path / "pid").read_text().strip()], check=True)
    assert done.stdout == "changed: ran own.sh\n"


def test_a_script_has_no_standard_input_and_the_proxies_of_machines(tmp_path: Path) -> None:
    done = run(tmp_path, 'cat; echo "$https_proxy"\n', https_proxy="http://it's:1")
    assert done.stdout == "http://it's:1\nchanged: ran own.sh\n"


def test_the_first_line_chooses_the_interpreter(tmp_path: Path) -> None:
    assert run(tmp_path, "#!/bin/sed 1d\nhello\n").stdout == "hello\nchanged: ran own.sh\n"


def test_any_line_may_be_in_a_script(tmp_path: Path) -> None:
    text = "cat <<'EOF'\n$HOME `id` \\\nEOF\necho ${#HOME} >/dev/null\ncat <<'EOF-'\n{{ x }}\nEOF-"
    assert run(tmp_path, text).stdout == "$HOME `id` \\\n{{ x }}\nchanged: ran own.sh\n"


def test_a_template_knows_the_lab_and_the_machine() -> None:
    text = '{## a comment ##}echo {{ machine.name }} {{ lab.endpoint }} {{ "a b" | sh }} ${#PATH}'
    assert "\necho cp1 10.213.7.10:6443 'a b' ${#PATH}\n" in rendered(text, "own.sh.j2")


@pytest.mark.parametrize("kind", ["kube-vip", "local"])
def test_a_template_that_needs_a_load_balancer_says_that_there_is_none(kind: str) -> None:
    with pytest.raises(BadFile) as caught:
        rendered("true\necho {{ lab.balancer.address }}\n", "own.sh.j2", balancer=kind)
    what = f"own.sh.j2:2: lab.balancer does not exist: with kind {kind}, no machine is a load balancer"
    assert str(caught.value.problems[0]) == what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("true\necho {{ machin.name }}\n", "own.sh.j2:2: 'machin' is undefined"),
        ("{{ machine.nam }}\n", "own.sh.j2:1: Machine has no attribute 'nam'"),
        ("true\n\n{% if %}\n", "own.sh.j2:3: "),
        ("{% include '/etc/passwd' %}\n", "own.sh.j2:1: "),
        ("{{ lab.__class__.__mro__ }}\n", "own.sh.j2:1: "),
    ],
)
def test_an_error_in_a_template_has_its_line(text: str, what: str) -> None:
    with pytest.raises(BadFile) as caught:
        rendered(text, "own.sh.j2")
    assert str(caught.value.problems[0]).startswith(what)
