"""Vagrant, replaced by a script of the same name: its output goes to the log, and its failures are shown."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from halab import packages
from halab.config.lab import ProviderKind
from halab.errors import BootTimedOut, CommandFailed, HostProblem
from halab.machines import vagrant
from halab.machines.vagrant import Vagrant

# The real Vagrant runs four times, one after another: 12 s on an idle machine.
_VAGRANT_SECONDS = 600
VAGRANT = r"""#!/bin/bash
echo "$PWD: $* ($VAGRANT_CHECKPOINT_DISABLE, $SECRET)" >>{record}
case "$*" in
  *status*) printf '1,cp1,state,running\n1,lb1,state,not_created\n' ;;
  'box list'*) [ ! -e {record}.boxes ] || cat {record}.boxes ;;
  *no/such*) echo 'Call to virDomainLookupByUUID failed: socket closed' >&2
    echo "/gems/vagrant/action/warden.rb:67:in \`call'" >&2; exit 1 ;;
  halt*) echo 'the engine is gone' >&2; exit 3 ;;
  *) echo 'Bringing machines up' ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "vagrant").write_text(VAGRANT.format(record=tmp_path / "record"))
    (tools / "vagrant").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("SECRET", "leaked")
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant home"))
    return tmp_path


def test_machines_come_up_unprovisioned_with_the_labs_provider(folder: Path) -> None:
    Vagrant(folder, ProviderKind.DOCKER, folder / "log").up()
    said = (folder / "record").read_text().splitlines()[-1]
    assert said.startswith(f"{folder}: up ")
    assert "--no-provision" in said
    assert "--provider=docker" in said
    assert said.endswith("(1, )")
    assert (folder / "log").read_text() == "Bringing machines up\n"


def test_a_failure_shows_the_end_of_the_log(folder: Path) -> None:
    with pytest.raises(CommandFailed) as caught:
        Vagrant(folder, ProviderKind.DOCKER, folder / "log").halt()
    assert caught.value.message == "vagrant halt exited with code 3:\nthe engine is gone"
    assert (caught.value.code, caught.value.hint) == (3, f"all of Vagrant's output: {folder / 'log'}")


TIMED_OUT = """Timed out while waiting for the machine to boot. This means that
Vagrant was unable to communicate with the guest machine within
the configured ("config.vm.boot_timeout" value) time period.

If you look above, you should be able to see the error(s) that
Vagrant had when attempting to connect to the machine. These errors
are usually good hints as to what may be wrong.

If you're using a custom box, make sure that networking is properly
working and you're able to connect to the machine. It is a common
problem that networking isn't setup properly in these boxes.
Verify that authentication configurations are also setup properly,
as well.

If the box appears to be booting properly, you may want to increase
the timeout ("config.vm.boot_timeout") value."""
NO_ADDRESS = """The specified wait_for timeout (2 seconds) was exceeded

/gems/fog-core/wait_for.rb:9:in `block in wait_for'"""


def failed(machine: str, why: str, how: str = "An error occurred while") -> str:
    head = (
        f"{how} executing the action on the '{machine}'\nmachine. Please handle this error then try again:"
    )
    return f"{head}\n\n{why}\n\n"


def up(folder: Path, said: str, machine: str | None = None) -> CommandFailed:
    """The error of an `up` that prints this, with a log that already has an `up` that ended well."""
    (folder / "log").write_text(TIMED_OUT)
    (folder / "said").write_text(said)
    (folder / "bin/vagrant").write_text(f"#!/bin/sh\ncat {folder}/said >&2\nexit 1\n")
    with pytest.raises(CommandFailed) as caught:
        Vagrant(folder, ProviderKind.LIBVIRT, folder / "log").up(machine)
    return caught.value


def test_machines_that_do_not_answer_are_named_in_our_own_words(folder: Path) -> None:
    warnings = "    cp1: Warning: Connection refused. Retrying...\n    cp1: Warning: Host unreachable. Retrying...\n"
    several = (
        warnings + failed("cp1", TIMED_OUT) + failed("w1", NO_ADDRESS, "An unexpected error occurred when")
    )
    error = up(folder, several)
    assert isinstance(error, BootTimedOut)
    assert error.message == "started, but no answer over SSH in time: cp1 (host unreachable), w1"
    assert error.hint == f"all of Vagrant's output: {folder / 'log'}"
    assert up(folder, TIMED_OUT, "cp2").message == "started, but no answer over SSH in time: cp2"


def test_another_failure_of_a_machine_is_reported_in_vagrants_words(folder: Path) -> None:
    error = up(folder, failed("cp1", TIMED_OUT) + failed("cp2", "the box is broken"))
    assert not isinstance(error, BootTimedOut)
    assert (
        error.message.startswith("vagrant up exited with code 1:") and "the box is broken" in error.message
    )
    assert not isinstance(up(folder, "the engine is gone"), BootTimedOut)


def test_an_unexpected_problem_of_vagrant_is_shown_without_its_stack_trace(folder: Path) -> None:
    with pytest.raises(CommandFailed) as caught:
        Vagrant(folder, ProviderKind.LIBVIRT, folder / "log").fetch_box("no/such")
    assert (
        caught.value.message
        == "vagrant box add exited with code 1:\nCall to virDomainLookupByUUID failed: socket closed"
    )


def test_a_stock_box_is_downloaded_for_the_labs_provider(folder: Path) -> None:
    Vagrant(folder, ProviderKind.LIBVIRT, folder / "log").fetch_box("bento/ubuntu-24.04")
    said = (folder / "record").read_text()
    assert ": box add bento/ubuntu-24.04 bento/ubuntu-24.04 --provider libvirt (" in said


# As Vagrant does: it removes what exists, and takes a while.
ADDING = r"""
case "$*" in
  'box add'*) mkdir {record}.adding || {{ echo 'two at once' >&2; exit 1; }}
    sleep 0.3; printf '1,,box-name,%s\n1,,box-provider,docker\n' "$3" >>{record}.boxes; rmdir {record}.adding ;;
esac
"""


def test_labs_that_start_together_add_a_box_once(folder: Path) -> None:
    with (folder / "bin" / "vagrant").open("a") as stand_in:
        stand_in.write(ADDING.format(record=folder / "record"))

    def add(number: int) -> None:
        Vagrant(folder, ProviderKind.DOCKER, folder / f"log{number}").add_box(
            "halab-debian-12", folder / "box"
        )

    with ThreadPoolExecutor() as labs:
        list(labs.map(add, range(3)))
    assert (folder / "record").read_text().count(": box add ") == 1


def test_two_boxes_do_not_wait_for_each_other(folder: Path) -> None:
    with vagrant.adding("bento/ubuntu-24.04"):
        Vagrant(folder, ProviderKind.DOCKER, folder / "log").add_box("halab-debian-12", folder / "box")


def test_a_wait_for_a_box_that_takes_too_long_names_the_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vagrant, "_ADDING_SECONDS", 0)
    with (
        vagrant.adding("a/box"),
        pytest.raises(HostProblem, match="another halab process has been adding the box a/box"),
    ):
        Vagrant(folder, ProviderKind.LIBVIRT, folder / "log").fetch_box("a/box")


@pytest.mark.skipif(not shutil.which("vagrant"), reason="not found: vagrant")
def test_two_halabs_add_a_complete_box_by_the_real_vagrant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a lock, the second removes what the first has just added, and both may fail."""
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    (tmp_path / "metadata.json").write_text('{"provider": "libvirt", "format": "qcow2", "virtual_size": 1}')
    (tmp_path / "box.img").write_bytes(os.urandom(1 << 20))
    subprocess.run(["tar", "-czf", "box", "metadata.json", "box.img"], cwd=tmp_path, check=True)
    code = "\n".join(
        [
            "import sys",
            "from pathlib import Path",
            "from halab.config.lab import ProviderKind",
            "from halab.machines.vagrant import Vagrant",
            "folder = Path(sys.argv[1])",
            "Vagrant(folder, ProviderKind.LIBVIRT, folder / sys.argv[2]).add_box('mine', folder / 'box')",
        ]
    )

    def add(log: str) -> int:
        argv: list[str | Path] = [sys.executable, "-c", code, tmp_path, log]
        return subprocess.run(argv, check=False, timeout=_VAGRANT_SECONDS).returncode

    with ThreadPoolExecutor() as halabs:
        assert list(halabs.map(add, ("log0", "log1"))) == [0, 0]
    disk = vagrant.disk_of("mine")
    assert disk is not None
    assert disk.read_bytes() == (tmp_path / "box.img").read_bytes()
    added = [each for each in ("log0", "log1") if "Successfully added" in (tmp_path / each).read_text()]
    assert len(added) == 1


def test_states_are_read_by_machine(folder: Path) -> None:
    states = Vagrant(folder, ProviderKind.DOCKER, folder / "log").states()
    assert states == {"cp1": "running", "lb1": "not_created"}


def test_a_missing_vagrant_is_reported_with_a_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostProblem, match="not found: vagrant") as caught:
        Vagrant(tmp_path, ProviderKind.DOCKER, tmp_path / "log")
    assert caught.value.hint == packages.install("vagrant")


# As Debian's `vagrant` does: Ruby makes the machines in the process that was started.
RUBY = """#!/bin/bash
trap 'sleep 60' TERM  # Vagrant cleans up before it ends
echo $$ >{folder}/ruby.new
mv {folder}/ruby.new {folder}/ruby
while :; do echo machine >>{folder}/machines; sleep 0.02; done
"""
# As HashiCorp's does (substrate/launcher/main.go in hashicorp/vagrant-installers): a program that starts Ruby in its
# own process group and waits for it.
LAUNCHER = """#!/bin/bash
{folder}/bin/ruby "$@" &
wait $!
"""


@pytest.mark.parametrize("launcher", [RUBY, LAUNCHER], ids=["debian", "hashicorp"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_of_vagrant_outlives_a_halab_that_ends(
    number: signal.Signals, launcher: str, folder: Path
) -> None:
    for name, script in (("ruby", RUBY), ("vagrant", launcher)):
        (folder / "bin" / name).write_text(script.format(folder=folder))
        (folder / "bin" / name).chmod(0o755)
    code = "\n".join(
        [
            "from pathlib import Path",
            "from halab.config.lab import ProviderKind",
            "from halab.machines.vagrant import Vagrant",
            f"Vagrant(Path({str(folder)!r}), ProviderKind.DOCKER, Path({str(folder / 'log')!r})).up()",
        ]
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as halab:
        deadline = time.monotonic() + 30
        while not (folder / "ruby").exists():
            assert time.monotonic() < deadline and halab.poll() is None
            time.sleep(0.01)
        halab.send_signal(number)
        halab.wait(timeout=30)
    # Python ends by the signal when nothing catches KeyboardInterrupt
    assert halab.returncode == -number
    ruby = Path("/proc", (folder / "ruby").read_text().strip(), "stat")
    # its new parent may reap it later
    while ruby.exists() and ") Z " not in ruby.read_text():
        assert time.monotonic() < deadline, "Ruby still makes machines"
        time.sleep(0.01)


def test_the_import_prints_nothing_on_a_host_without_vagrant(tmp_path: Path) -> None:
    """python-vagrant logs a warning then, which Python prints unless somebody handles it."""
    printed = subprocess.run(
        [sys.executable, "-c", "import halab.machines.vagrant"],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stderr == ""
