"""scripts/lib.sh: two scripts at once have their own folders and names, or one waits for the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LIB = Path(__file__).parents[2] / "scripts" / "lib.sh"
# As `python -m venv FOLDER` and its pip: both fail if another one works in the same folder.
PYTHON = """#!/bin/sh
[ "$1" = -m ] || exit 0
mkdir "$3.busy" || exit 1
mkdir -p "$3/bin"
printf '#!/bin/sh\\nsleep 0.2\\n' >"$3/bin/pip"
chmod +x "$3/bin/pip"
sleep 0.3
rmdir "$3.busy"
echo made >>"$3/../made"
"""


class Shell:
    """A script that runs until its standard input ends."""

    def __init__(self, cache: Path, text: str) -> None:
        self._child = subprocess.Popen(
            ["bash", "-euc", f"source {LIB}\n{text}"], env={**os.environ, "HALAB_CACHE": str(cache)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().rstrip("\n")

    def error_line(self) -> str:
        """The first line of the standard error that is not empty."""
        assert self._child.stderr is not None
        return next(line.strip() for line in self._child.stderr if line.strip())

    def terminate(self) -> None:
        self._child.terminate()

    def end(self) -> tuple[int, str]:
        errors = self._child.communicate(timeout=30)[1]
        return self._child.returncode, errors


TAKE = 'take_folder "$cache"/demo{,-2}; echo "$taken"; read -r || true'


ALONE = "nproc() { echo CORES; }; one_at_a_time bash -c 'echo begun; read -r'"


def test_on_a_small_host_one_lab_waits_for_the_other(tmp_path: Path) -> None:
    first = Shell(tmp_path, ALONE.replace("CORES", "2"))
    assert first.line() == "begun"
    second = Shell(tmp_path, ALONE.replace("CORES", "2"))
    assert "wait for another lab" in second.error_line()
    beside = Shell(tmp_path, ALONE.replace("CORES", "8"))
    assert beside.line() == "begun"
    assert first.end()[0] != 0  # the end of its input: the status of its command
    assert second.line() == "begun"
    assert (second.end()[0], beside.end()[0]) != (0, 0)


def test_a_script_that_waits_for_another_lab_can_be_ended(tmp_path: Path) -> None:
    first = Shell(tmp_path, ALONE.replace("CORES", "2"))
    assert first.line() == "begun"
    second = Shell(tmp_path, f"trap 'exit 143' TERM; {ALONE.replace('CORES', '2')}")
    assert "wait for another lab" in second.error_line()
    second.terminate()
    assert second.end()[0] == 143
    first.end()


def test_each_demo_has_a_folder_of_its_own(tmp_path: Path) -> None:
    first = Shell(tmp_path, TAKE)
    assert first.line() == f"{tmp_path}/demo"
    second = Shell(tmp_path, TAKE)
    assert second.line() == f"{tmp_path}/demo-2"
    code, errors = Shell(tmp_path, TAKE).end()
    assert code == 3
    assert f"in use by other scripts: {tmp_path}/demo {tmp_path}/demo-2" in errors
    assert first.end()[0] == 0
    third = Shell(tmp_path, TAKE)
    assert third.line() == f"{tmp_path}/demo"
    assert (second.end()[0], third.end()[0]) == (0, 0)


def test_a_folder_whose_lab_was_to_stay_is_left_alone_until_that_is_down(tmp_path: Path) -> None:
    keys = tmp_path / "demo/.halab/keys"
    keys.mkdir(parents=True)
    (tmp_path / "demo/.kept").touch()
    beside = Shell(tmp_path, TAKE)
    assert beside.line() == f"{tmp_path}/demo-2"
    keys.rmdir()
    after = Shell(tmp_path, TAKE)
    assert after.line() == f"{tmp_path}/demo"
    assert (beside.end()[0], after.end()[0]) == (0, 0)


def test_the_name_of_a_folder_is_one_for_a_lab_and_for_an_engine(tmp_path: Path) -> None:
    folders = [tmp_path / "demo", tmp_path / "demo-2"]
    for folder in folders:
        folder.mkdir()
    names = [Shell(tmp_path, f"name_for test {each}") for each in (*folders, folders[0])]
    first, second, again = (each.line() for each in names)
    assert first == again != second
    # with the suffix for the remote host of tests
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,19}", f"{first}-far")
    assert [each.end()[0] for each in names] == [0, 0, 0]


@pytest.mark.parametrize(("named", "is_there", "name", "stops"), [
    ("", False, "demo-1", True),
    ("mine", False, "mine", True),
    ("mine", True, "mine", False),
])  # fmt: skip
def test_a_script_stops_the_bare_host_that_it_has_started(
    tmp_path: Path, named: str, is_there: bool, name: str, stops: bool
) -> None:
    (tmp_path / "scripts").mkdir()
    stop = tmp_path / "scripts/bare-host"
    stop.write_text('#!/bin/sh\necho "$1 $HALAB_BARE_HOST"\n')
    stop.chmod(0o755)
    shell = Shell(
        tmp_path,
        f"root={tmp_path} HALAB_BARE_HOST={named}\n"
        f"is_bare_host() {{ {'true' if is_there else 'false'}; }}\n"
        "use_bare_host demo-1\n"
        'echo "$HALAB_BARE_HOST"\n'
        "is_bare_host() { true; }\n"
        "leave_bare_host\n",
    )
    assert shell.line() == name
    assert shell.line() == (f"stop {name}" if stops else "")
    assert shell.end()[0] == 0


def test_a_bare_host_that_others_use_goes_on_and_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    refuse = tmp_path / "scripts/bare-host"
    refuse.write_text("#!/bin/sh\nexit 3\n")
    refuse.chmod(0o755)
    shell = Shell(
        tmp_path,
        f"root={tmp_path}; unset HALAB_BARE_HOST\nuse_bare_host demo-1\nis_bare_host() {{ true; }}\nleave_bare_host",
    )
    code, errors = shell.end()
    assert (code, "the bare host demo-1 keeps running" in errors) == (0, True)


def test_two_scripts_at_once_make_one_environment(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    text = f"find_python() {{ echo {python}; }}\nuse_environment run\n"
    both = [Shell(tmp_path, text) for _ in range(2)]
    assert [each.end()[0] for each in both] == [0, 0]
    assert (tmp_path / "environments/made").read_text() == "made\n"


# Every sudo has its own PATH, and loses HOME and the variables of halab: sudoers(5), `env_reset` and `secure_path`.
# That of Red Hat (`always_set_home`) and sudo-rs also do so with --preserve-env=HOME or -E.
SUDO = """#!/bin/bash
case $1 in -*) echo "sudo got an option: $1" >&2; exit 1 ;; esac
exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin SUDO_UID=1000 "$@"
"""
ID = """#!/bin/sh
if [ "$1" = -un ]; then echo ada; elif [ -n "$SUDO_UID" ]; then echo 0; else echo 1000; fi
"""


def test_a_bare_host_as_root_has_the_users_files_with_every_sudo(tmp_path: Path) -> None:
    seen = "$HOME, $HALAB_CACHE, $HALAB_BARE_HOST_KVM, $HALAB_BARE_HOST_CALLER"
    docker = f'#!/bin/sh\necho "{seen}" >>{tmp_path}/seen\nexit 1\n'
    for name, text in (("sudo", SUDO), ("id", ID), ("docker", docker)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": "/home/ada l", "HALAB_CACHE": "/big disk",
        "HALAB_BARE_HOST": "unit-test", "HALAB_BARE_HOST_KVM": "yes",
    }  # fmt: skip
    done = subprocess.run(
        [LIB.parent / "bare-host", "status"],
        env=env,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "unit-test: no engine runs\n", done.stderr
    assert (tmp_path / "seen").read_text() == "/home/ada l, /big disk, yes, ada\n"


ACCOUNTS = {
    "id": '#!/bin/sh\ncase "$*" in "-G ada") echo 1000 27 ;; "-g ada") echo 1000 ;; esac\n',
    # the exit code says that one of the groups is missing
    "getent": "#!/bin/sh\necho libvirt:x:107:\nexit 2\n",
    "setpriv": '#!/bin/sh\necho "$1 $2 $3 $4 $5 $6"\nshift 6\nexec "$@"\n',
}


def test_a_command_of_a_bare_host_runs_as_the_user_who_needed_sudo(tmp_path: Path) -> None:
    for name, text in ACCOUNTS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    shell = Shell(
        tmp_path,
        f"PATH={tmp_path}:$PATH; export SUDO_UID=1000 SUDO_USER=ada USER=root\n"
        "mapfile -t as < <(words_to_become ada)\n"
        """"${as[@]}" sh -c 'echo "$USER, $LOGNAME, ${SUDO_UID-unset}, ${SUDO_USER-unset}"'""",
    )
    assert shell.line() == "--reuid ada --regid 1000 --groups 1000,27,107"
    assert shell.line() == "ada, ada, unset, unset"
    assert shell.end() == (0, "")


def test_a_user_who_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """Otherwise the command would run as root."""
    shell = Shell(tmp_path, "words=$(words_to_become no-such-user 2>/dev/null) || echo refused")
    assert shell.line() == "refused"
    assert shell.end() == (0, "")


def test_a_process_that_nobody_waits_for_ends_too(tmp_path: Path) -> None:
    """The first process of a container may be such a parent: a daemon that ended stays there as a zombie."""
    pid_file = tmp_path / "child"
    parent = (
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"pathlib.Path('{pid_file}').write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent]) as running:
        try:
            wait = f"until [ -s {pid_file} ]; do :; done"
            shell = Shell(tmp_path, f"{wait}\nend $(cat {pid_file})\necho ended")
            assert shell.line() == "ended"
            status = Path(f"/proc/{pid_file.read_text()}/status").read_text()
            assert "State:\tZ" in status
            assert shell.end() == (0, "")
        finally:
            running.kill()


def test_a_bare_host_takes_only_yes_or_no_for_kvm() -> None:
    env = {**os.environ, "HALAB_BARE_HOST_KVM": "1"}
    command = [str(LIB.parent / "bare-host"), "status"]
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 3
    assert "error: HALAB_BARE_HOST_KVM is neither yes nor no: 1" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "open needs a port"),
        (["0"], "not a port: 0"),
        (["65536"], "not a port: 65536"),
        (["8765,fork"], "not a port: 8765,fork"),
        (["8765"], "the bare host unit-test is not running"),
    ],
)
def test_a_bare_host_opens_only_a_port_and_only_while_it_runs(
    arguments: list[str], error: str, tmp_path: Path
) -> None:
    for name, text in (("id", "#!/bin/sh\necho 0\n"), ("socat", "#!/bin/sh\necho opened\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    env = {**os.environ, "HALAB_BARE_HOST": "unit-test", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [str(LIB.parent / "bare-host"), "open", *arguments]
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"error: {error}\n" in done.stderr


@pytest.mark.parametrize(("state", "expected"), [("ok", "yes"), ("failed", "no"), ("skipped", "no")])
def test_libvirt_of_a_bare_host_gets_kvm_only_if_a_guest_boots(
    state: str, expected: str, tmp_path: Path
) -> None:
    answer = f'{{"checks": [{{"name": "kvm", "state": "{state}"}}]}}'
    halab = tmp_path / "halab"
    halab.write_text(
        f"#!/bin/sh\necho \"$LIBVIRT_DEFAULT_URI: $*\" >{tmp_path}/asked\necho '{answer}'\nexit 3\n"
    )
    halab.chmod(0o755)
    shell = Shell(
        tmp_path, f"PATH={tmp_path}:$PATH; kvm_boots {tmp_path} test:///new && echo yes || echo no"
    )
    assert shell.line() == expected
    assert (
        tmp_path / "asked"
    ).read_text() == f"test:///new: doctor -f {tmp_path}/kvm.yml --only kvm --json\n"
    assert (tmp_path / "kvm.yml").read_text() == "provider: libvirt\n"
    shell.end()
