"""The command line: exit codes, messages, and which output goes to standard output."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from support.fakes import brought_up, lab_of

from halab import __version__, cli
from halab.cli import _COMMANDS, main
from halab.images import bundle, component
from halab.images.image_archive import ImageArchive
from halab.lifecycle import kept_lab
from halab.lifecycle import lab as labs
from halab.machines.host import allocation

ROOT = Path(__file__).parents[3]
Shown = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; signal handlers are restored afterwards."""
    monkeypatch.chdir(tmp_path)
    # no process listens on port 1 of the loopback
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def routes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake `ip` that prints no routes."""
    tools = folder / "bin"
    tools.mkdir()
    (tools / "ip").write_text("#!/bin/sh\necho '[]'\n")
    (tools / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")


def lab_file(folder: Path, text: str = "") -> Path:
    path = folder / "lab.yml"
    path.write_text(text)
    return path


def test_without_arguments_help_is_shown_as_a_usage_error(capsys: Shown) -> None:
    assert main([]) == 2
    assert "First steps:" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["bugs"]])
def test_summaries_of_commands_are_complete_on_a_narrow_terminal(
    words: list[str], capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main([*words, "--help"]) == 0
    assert "..." not in capsys.readouterr().out.split("\nCommands:\n")[1]


def test_the_version_is_that_of_the_package(capsys: Shown) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr() == (f"halab {__version__}\n", "")


@pytest.mark.parametrize("verb", list(_COMMANDS))
def test_every_command_has_help_with_an_example(verb: str, capsys: Shown) -> None:
    command = cli.cli.get_command(click.Context(cli.cli), verb)
    words = [[verb]]
    if isinstance(command, click.Group):
        words = [[verb, name] for name in command.list_commands(click.Context(command))]
    for command_words in words:
        assert main([*command_words, "--help"]) == 0
        shown = capsys.readouterr().out
        assert re.search(r"^ *Example:$", shown, re.MULTILINE), command_words
        assert "halab" in shown.split("Example", 1)[1]


def test_an_unknown_command_is_a_usage_error_and_suggests_the_nearest(capsys: Shown) -> None:
    assert main(["statu"]) == 2
    shown = capsys.readouterr()
    assert "did you mean status?" in shown.err
    assert shown.out == ""
    assert main(["frobnicate"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error(capsys: Shown) -> None:
    assert main(["up", "--fast"]) == 2
    assert "--fast" in capsys.readouterr().err


def test_a_missing_lab_file_is_an_error_with_a_hint(capsys: Shown) -> None:
    assert main(["status"]) == 2
    assert capsys.readouterr() == (
        "",
        "error: no such lab file: lab.yml\n\nhint: write one with `halab init`, or name another file with -f FILE\n",
    )


def test_an_unknown_box_is_refused_before_a_bundle_is_built(
    capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "ensure", lambda *given: pytest.fail("a bundle was built"))
    assert main(["box", "build", "nope"]) == 2
    assert "no such box: nope" in capsys.readouterr().err


def test_a_bad_lab_file_is_shown_line_by_line(folder: Path, capsys: Shown) -> None:
    lab_file(folder, 'control_planes: 9\nname: "a$(id)"\n')
    assert main(["render"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: lab.yml:1: control_planes: should be 5 or less, not 9")
    assert "\nlab.yml:2: name: should be" in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    "verb", [["ssh", "cp1"], ["kubectl", "get", "nodes"], ["kubeconfig"], ["logs", "cp1"], ["stop"]]
)
def test_a_lab_that_is_not_up_is_an_error_with_a_hint(verb: list[str], folder: Path, capsys: Shown) -> None:
    lab_file(folder)
    assert main(verb) == 3
    assert capsys.readouterr().err == "error: the lab ha is not up\n\nhint: run `halab up`\n"


def test_logs_before_the_first_up_are_an_error_with_a_hint(folder: Path, capsys: Shown) -> None:
    lab_file(folder)
    assert main(["logs"]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(r"error: no logs yet: \S*\.halab/logs is empty\n\nhint: run `halab up`\n", shown.err)


def test_a_lab_renamed_while_up_is_an_error_with_a_hint(folder: Path, capsys: Shown) -> None:
    brought_up(folder)
    lab_file(folder, "name: other\n")
    assert main(["kubeconfig"]) == 3
    assert "is up under the name ha, but lab.yml now calls it other" in capsys.readouterr().err


def test_a_network_changed_while_up_is_an_error_with_a_hint(folder: Path, capsys: Shown) -> None:
    brought_up(folder)
    lab_file(folder, "network: 10.213.9.0/24\n")
    assert main(["kubeconfig"]) == 3
    assert "is up on the network 10.213.0.0/24" in capsys.readouterr().err


def test_an_unknown_machine_is_a_usage_error(folder: Path, capsys: Shown) -> None:
    brought_up(folder)
    lab_file(folder)
    assert main(["logs", "cp9"]) == 2
    assert capsys.readouterr().err == (
        "error: no such machine: cp9\n\nhint: the lab ha has lb1, cp1, cp2, cp3\n"
    )


def test_a_machine_is_found_by_its_name_and_by_its_host_name() -> None:
    lab = lab_of(machines={"cp2": {"hostname": "beta"}})
    assert [labs.machine_called(lab, name) for name in ("cp1", "cp2", "beta")] == ["cp1", "cp2", "cp2"]


def test_the_path_of_the_kubeconfig_is_printed_to_standard_output(folder: Path, capsys: Shown) -> None:
    lab_file(folder)
    work = brought_up(folder)
    assert main(["kubeconfig"]) == 3
    assert "has no kubeconfig yet" in capsys.readouterr().err
    work.kubeconfig.touch()
    assert main(["kubeconfig"]) == 0
    assert capsys.readouterr() == (f"{work.kubeconfig}\n", "")


def test_no_engine_is_an_error_with_a_hint(folder: Path, capsys: Shown) -> None:
    lab_file(folder)
    brought_up(folder)
    for verb, hint in (
        (["status"], "start docker"),
        (["down"], "start docker"),
        (["up"], "docker engine: "),
    ):
        assert main(verb) == 3
        shown = capsys.readouterr().err
        assert "no docker engine answers" in shown
        assert f"\n\nhint: {hint}" in shown


def test_up_says_in_one_line_which_bugs_the_versions_of_the_lab_have(folder: Path, capsys: Shown) -> None:
    lab_file(folder, "kubernetes: {version: '1.36', etcd: 3.6.11}\n")
    assert main(["up"]) == 3
    said = "known bugs of etcd 3.6.11: member-update-forgets-learner (`halab bugs show NAME`)"
    assert capsys.readouterr().err.splitlines().count(said) == 1
    lab_file(folder, "kubernetes: {version: '1.36'}\n")
    assert main(["up"]) == 3
    assert "known bugs" not in capsys.readouterr().err


def test_up_ends_early_on_a_host_that_cannot_have_virtual_machines(
    folder: Path, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///no-such-file.xml")
    lab_file(folder, "provider: libvirt\n")
    assert main(["up"]) == 3
    shown = capsys.readouterr().err
    assert "this host cannot run the lab" in shown and "halab doctor" in shown
    assert not (folder / ".halab").exists()


def test_the_error_for_a_lab_in_use_names_the_other_command(folder: Path, capsys: Shown) -> None:
    from halab.lifecycle import lab as labs

    lab_dir = labs.open_file(lab_file(folder))
    brought_up(folder)
    with labs.locked(lab_dir, "up, process 4711"):
        assert main(["stop"]) == 3
    assert "error: the lab ha is in use: up, process 4711" in capsys.readouterr().err
    assert not (folder / ".halab" / "lock.holder").exists()


def test_down_succeeds_if_there_is_nothing_to_remove(folder: Path, capsys: Shown) -> None:
    lab_file(folder)
    assert main(["down"]) == 0
    expected = (
        "docker does not answer: if it has machines of this lab, start it and run the command again\n"
        "nothing to remove\n"
    )
    assert capsys.readouterr() == ("", expected)
    assert not (folder / ".halab").exists()


@pytest.mark.usefixtures("routes")
def test_a_second_render_changes_nothing(folder: Path, capsys: Shown) -> None:
    lab_file(folder)
    assert main(["render", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["work"] == str(folder / ".halab")
    assert first["network"] == "10.213.0.0/24"
    assert "Vagrantfile" in first["changed"]
    assert (folder / ".halab" / "Vagrantfile").is_file()
    assert allocation.held() == []
    assert main(["render", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == []


@pytest.mark.parametrize("verb", ["render", "up", "status", "down", "doctor", "heal"])
def test_no_command_uses_a_work_folder_that_others_may_write_to(
    folder: Path, capsys: Shown, verb: str
) -> None:
    lab_file(folder)
    (folder / ".halab").mkdir()
    (folder / ".halab").chmod(0o777)
    assert main([verb]) == 3
    assert "error: other users may write to the work folder" in capsys.readouterr().err
    assert list((folder / ".halab").iterdir()) == []


@pytest.mark.usefixtures("routes")
def test_render_refuses_a_proxy_that_would_be_two_lines(
    folder: Path, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab_file(folder)
    monkeypatch.setenv("http_proxy", "http://ada:secret@proxy:3128\nEOF\nid")
    assert main(["render"]) == 3
    errors = capsys.readouterr().err
    assert (
        "the variable http_proxy has a character that cannot be passed to the machines of a lab: U+000A"
        in errors
    )
    assert "secret" not in errors
    assert not (folder / ".halab" / "Vagrantfile").exists()


@pytest.mark.usefixtures("routes")
def test_a_folder_may_have_quotes_and_spaces(folder: Path, capsys: Shown) -> None:
    odd = folder / 'it\'s a "lab" $(id)'
    odd.mkdir()
    lab_file(odd)
    assert main(["render", "-f", str(odd / "lab.yml")]) == 0
    text = (odd / ".halab" / "Vagrantfile").read_text()
    key = f"{odd}/.halab/keys/id_ed25519".replace("'", "\\'")
    assert f"override.ssh.private_key_path = '{key}'" in text
    assert "files written" in capsys.readouterr().err


def test_init_names_a_folder_that_does_not_exist(capsys: Shown) -> None:
    assert main(["init", "-f", "gone/lab.yml"]) == 2
    assert capsys.readouterr().err == "error: no such folder: gone\n\nhint: make it with `mkdir -p gone`\n"


def test_init_does_not_overwrite_a_lab_file(folder: Path, capsys: Shown) -> None:
    assert main(["init"]) == 0
    assert capsys.readouterr().out == ""
    before = (folder / "lab.yml").read_text()
    named = re.search(r"\$schema=(\S+)", before)
    assert named
    assert json.loads((folder / named[1]).read_text())
    assert main(["init"]) == 2
    assert "the lab file already exists: lab.yml" in capsys.readouterr().err
    assert (folder / "lab.yml").read_text() == before
    assert main(["init", "--force"]) == 0


@pytest.mark.parametrize("kind", ["lab", "scenario"])
def test_a_schema_is_json(kind: str, capsys: Shown) -> None:
    assert main(["schema", kind]) == 0
    assert "properties" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str, capsys: Shown) -> None:
    assert main(["completion", shell]) == 0
    assert "_HALAB_COMPLETE" in capsys.readouterr().out


def test_lists_can_be_printed_as_json(capsys: Shown) -> None:
    for verb in (["bundle", "list"], ["box", "list"]):
        assert main([*verb, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []


class Failing:
    """A command that raises the given error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, error: BaseException, *options: str) -> int:
        def fail() -> None:
            raise error

        self._monkeypatch.setattr(
            type(cli.cli), "get_command", lambda group, context, name: click.Command(name, callback=fail)
        )
        return main([*options, "up"])


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    return Failing(monkeypatch)


def test_an_interrupt_is_130(failing: Failing, capsys: Shown) -> None:
    assert failing(KeyboardInterrupt()) == 130
    assert failing(cli.Interrupted("SIGTERM")) == 130
    shown = capsys.readouterr().err
    assert "halab: interrupted" in shown
    assert "Traceback" not in shown


def test_an_internal_error_is_reported_without_a_traceback(failing: Failing, capsys: Shown) -> None:
    assert failing(ZeroDivisionError("division by zero")) == 3
    shown = capsys.readouterr().err
    assert shown.startswith("error: internal error: ZeroDivisionError: division by zero\n\nhint: ")
    assert "Traceback" not in shown


def test_debug_shows_a_traceback(failing: Failing, capsys: Shown) -> None:
    assert failing(ZeroDivisionError("x"), "--debug") == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_is_a_plain_error(failing: Failing, capsys: Shown) -> None:
    assert failing(OSError(28, "No space left on device", "/labs/x")) == 3
    assert capsys.readouterr().err == "error: no space left on device: /labs/x\n"


def test_what_root_made_in_the_users_home_can_be_taken_over(
    failing: Failing, capsys: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "my state"
    (state / "halab").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    denied = PermissionError(13, "Permission denied", str(state / "halab/lock"))
    assert failing(denied) == 3
    assert "hint" not in capsys.readouterr().err
    monkeypatch.setattr(os, "geteuid", lambda: state.stat().st_uid + 1)
    assert failing(denied) == 3
    assert f"sudo chown -R \"$(id -un)\" '{state}'\n" in capsys.readouterr().err
    assert failing(PermissionError(13, "Permission denied", "/etc/halab")) == 3
    assert "hint" not in capsys.readouterr().err


def test_under_sudo_the_folders_that_all_commands_share_are_given_back() -> None:
    """A real process: it believes that it is root, and that the test's user called sudo."""
    code = "\n".join(
        [
            "import os, sys",
            "os.geteuid = lambda: 0",
            "from halab import cli, sudo",
            "sudo.give_back = lambda folders: print(*sorted(folder.name for folder in folders))",
            "sys.argv = ['halab', 'completion', 'bash']",
            "cli.main()",
        ]
    )
    under_sudo = {**os.environ, "PYTHONPATH": str(ROOT), "SUDO_UID": "1000", "SUDO_GID": "1000"}
    for env, is_given in ((under_sudo, True), ({**under_sudo, "SUDO_UID": ""}, False)):
        env |= {"HOME": "/nowhere", "HALAB_CACHE": "", "VAGRANT_HOME": ""}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
        )
        assert (".vagrant.d halab halab" in done.stdout) is is_given


def run_halab(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "halab", *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_a_reader_that_closes_the_pipe_is_no_error() -> None:
    child = run_halab("completion", "bash")
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    errors = child.stderr.read()
    child.stderr.close()
    assert (child.wait(60), errors) == (0, "")


def test_the_process_ends_with_the_exit_code() -> None:
    child = run_halab("status")
    output, errors = child.communicate(timeout=60)
    assert (child.returncode, output) == (2, "")
    assert errors.startswith("error: no such lab file: lab.yml\n\nhint: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_halab_and_its_child_processes(
    number: signal.Signals, folder: Path, routes: None
) -> None:
    lab_file(folder)
    (folder / "bin" / "ip").write_text(f"#!/bin/sh\necho $$ >{folder}/pid\nexec sleep 1000\n")
    # below nohup, this process ignores SIGHUP, and a child would inherit that
    inherited = signal.signal(number, signal.SIG_DFL)
    try:
        child = run_halab("render")
    finally:
        signal.signal(number, inherited)
    deadline = time.monotonic() + 60
    while not ((folder / "pid").exists() and (folder / "pid").read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(number)
    output, errors = child.communicate(timeout=60)
    assert (child.returncode, output) == (130, "")
    assert errors.strip() == "halab: interrupted"
    with pytest.raises(ProcessLookupError):
        os.killpg(int((folder / "pid").read_text()), 0)


def test_down_keeps_the_lab_or_removes_its_runs_but_not_both(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    kept: list[str] = []
    monkeypatch.setattr(kept_lab, "keep", lambda lab_dir, progress: kept.append(lab_dir.name))
    lab_file(folder, "name: ha\n")
    assert main(["down", "--keep", "--runs"]) == 2
    assert "--keep and --runs exclude each other" in capsys.readouterr().err
    assert kept == []
    assert main(["down", "--keep"]) == 0
    assert kept == ["ha"]
    assert "`halab up` starts them again" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--kubernetes", "1.36"], ["--source", "modules"]])
def test_a_component_is_of_no_kubernetes_version(words: list[str], capsys: Shown) -> None:
    assert main(["bundle", "build", "--component", "kube-vip", *words]) == 2
    assert "--component takes neither --kubernetes nor --source" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--kubernetes", "1.36"], ["--source", "modules"], ["--component", "kube-vip"]]
)
def test_a_lab_file_says_everything_about_what_to_build(words: list[str], capsys: Shown) -> None:
    assert main(["bundle", "build", "-f", "lab.yml", *words]) == 2
    assert "--file takes neither --kubernetes nor --source nor --component" in capsys.readouterr().err


def test_what_a_lab_file_needs_is_said_and_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    cached = {"coredns"}

    def find(wanted: component.Component) -> ImageArchive | None:
        name = wanted.archive
        return (
            ImageArchive(name, f"/cache/{name}", "0", 1, (wanted.image,)) if wanted.name in cached else None
        )

    def ensure(wanted: component.Component, *_: Any, **options: bool) -> ImageArchive | None:
        cached.add(wanted.name)
        return find(wanted)

    made = SimpleNamespace(path="/cache/bundle")
    monkeypatch.setattr(bundle, "find", lambda *_: made)
    monkeypatch.setattr(bundle, "ensure", lambda *_, **options: made)
    monkeypatch.setattr(component, "find", find)
    monkeypatch.setattr(component, "ensure", ensure)
    file = tmp_path / "lab.yml"
    file.write_text("kubernetes: {version: '1.36', etcd: 3.6.8, coredns: 1.12.1}\n")
    assert main(["bundle", "build", "-f", str(file)]) == 0
    shown = capsys.readouterr()
    for line in (
        "Kubernetes 1.36.5: in the cache",
        "etcd 3.6.8: build it with Go, 1 to 5 min",
        "coredns 1.12.1: in the cache",
    ):
        assert line in shown.err
    paths = ["/cache/bundle", "/cache/etcd-3.6.8.tar", "/cache/coredns-1.12.1.tar"]
    assert shown.out.splitlines() == paths
    assert main(["bundle", "build", "-f", str(file), "--force"]) == 0
    assert "Kubernetes 1.36.5: download it, or build it with Go in 10 to 15 min" in capsys.readouterr().err
