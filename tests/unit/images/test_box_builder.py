"""Who may build a box: the commands for sudo, and a user namespace; sudo and unshare are scripts of the same name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.fake_host import bundle_of

from halab import packages, process
from halab.config import kubernetes
from halab.config.lab import ProviderKind
from halab.errors import HostProblem
from halab.images import box, cache, debian, disk, rootfs, user_namespace
from halab.progress import Quiet

# Every sudo cleans the environment, takes VARIABLE=value before the command, and has a PATH of its own.
RESET = "HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin SUDO_UID=1000 SUDO_GID=1000"
SUDOS = {
    # sudoers(5): `env_reset` and `secure_path`; -E keeps the rest
    "debian": f"""#!/bin/bash
if [ "$1" = -E ]; then shift; exec env PATH=/usr/sbin:/usr/bin:/sbin:/bin SUDO_UID=1000 SUDO_GID=1000 "$@"; fi
exec env -i {RESET} "$@"
""",
    # and `always_set_home`, which Red Hat's sudoers has
    "redhat": f"""#!/bin/bash
if [ "$1" = -E ]; then shift; exec env {RESET} "$@"; fi
exec env -i {RESET} "$@"
""",
    # the warning is quoted in github.com/canonical/lxd/issues/16962
    "sudo-rs": f"""#!/bin/bash
if [ "$1" = -E ]; then
  shift
  echo 'warning: preserving the entire environment is not supported, `-E` is ignored' >&2
fi
exec env -i {RESET} "$@"
""",
}
HALAB = """#!/bin/bash
echo "$HOME $HALAB_CACHE $https_proxy $SUDO_UID: $*"
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture(params=SUDOS)
def sudo(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    program(tmp_path / "bin/sudo", SUDOS[request.param])
    program(tmp_path / "bin/halab", HALAB)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", "/home/ada l")
    monkeypatch.setenv("HALAB_CACHE", "/big disk")
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    return str(request.param)


def shell(line: str) -> str:
    return subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True).stdout.strip()


def test_as_root_halab_has_the_users_files_with_every_sudo(sudo: str) -> None:
    line = process.as_root("halab box build --provider libvirt")
    assert shell(line) == "/home/ada l /big disk http://proxy:1 1000: box build --provider libvirt"


def test_sudo_with_its_own_option_works_on_debian_alone(sudo: str) -> None:
    """This is why the command is not shorter."""
    seen = shell('sudo -E "$(command -v halab)" box build')
    assert seen.startswith("/home/ada l /big disk") == (sudo == "debian")


def test_variables_that_are_not_set_are_not_passed_to_root() -> None:
    assert process.as_root("halab x", lambda name: None) == 'sudo env HOME="$HOME" PATH="$PATH" halab x'


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ordinary user on a host with every tool. Returns the folder of programs."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(disk, "require_tools", lambda: None)
    monkeypatch.setattr(cache, "architecture", lambda: cache.Architecture.AMD64)
    (tmp_path / "keys").touch()
    monkeypatch.setattr(debian, "_KEYS", [tmp_path / "keys"])
    for name in cache_variables():
        monkeypatch.delenv(name, raising=False)
    tools = tmp_path / "tools"
    program(tools / "mmdebstrap", "#!/bin/sh\n")
    program(tools / "unshare", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return tools


def cache_variables() -> list[str]:
    return [name for name in process._PASSED_TO_ROOT if name != "HALAB_CACHE"]


def obstacle(provider: ProviderKind) -> HostProblem | None:
    return box.obstacle("debian-12", provider, "1.36.3", "modules")


AS_ROOT = 'sudo env HOME="$HOME" PATH="$PATH" HALAB_CACHE="$HALAB_CACHE" halab box build debian-12'


@pytest.mark.parametrize("provider", [ProviderKind.DOCKER, ProviderKind.LIBVIRT])
def test_a_user_may_build_a_box(user: Path, provider: ProviderKind) -> None:
    assert obstacle(provider) is None


@pytest.mark.parametrize(
    ("printed", "fix"),
    [
        (
            "unshare: failed to execute newuidmap: No such file or directory",
            "INSTALL uidmap; or ",
        ),
        ('unshare: no line matching user "nobody" in /etc/subuid: Success', "sudo usermod --add-subuids "),
        ("newuidmap: open of uid_map failed: Permission denied", "run it once as root: "),
    ],
)
def test_a_host_without_user_namespaces_gets_the_reason_and_the_command(
    user: Path, printed: str, fix: str
) -> None:
    """What util-linux 2.38.1 of Debian 12 printed without uidmap, for a user without ids, and where it is forbidden."""
    program(user / "unshare", f"#!/bin/sh\necho '{printed}' >&2\nexit 1\n")
    problem = obstacle(ProviderKind.DOCKER)
    assert problem is not None and problem.hint is not None
    assert problem.message == f"no user namespace for this user: {printed}"
    assert problem.hint.replace(packages.install("uidmap"), "INSTALL uidmap").startswith(fix)
    assert problem.hint.endswith(f"{AS_ROOT} --provider docker --kubernetes 1.36.3 --source modules")


def test_the_ids_that_the_fix_gives_belong_to_no_other_user(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "subuid").write_text("ada:100000:65536\n")
    (tmp_path / "subgid").write_text("# a comment\nada:100000:65536\nbob:300000:10\n")
    monkeypatch.setattr(user_namespace, "_SUBORDINATE", [tmp_path / "subuid", tmp_path / "subgid"])
    program(
        user / "unshare", "#!/bin/sh\necho 'unshare: no line matching user in /etc/subuid' >&2\nexit 1\n"
    )
    problem = user_namespace.obstacle()
    ids = "300010-365545"
    assert problem is not None
    assert problem.hint == f'sudo usermod --add-subuids {ids} --add-subgids {ids} "$USER"'


def test_a_user_builds_in_a_user_namespace(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootfs, "base", lambda _recipe, _progress: tmp_path / "root.tar")
    monkeypatch.setattr(cache, "need_space", lambda _path, _size: None)
    program(user / "unshare", f'#!/bin/sh\necho "$HALAB_CACHE: $*" >>{tmp_path}/record\n')
    box.ensure("debian-12", bundle_of(kubernetes.resolve("1.36.3")), Quiet(), force=True)
    _, build = (tmp_path / "record").read_text().splitlines()
    assert build.startswith(
        f"{cache.folder()}: --user --map-root-user --map-auto --mount --pid --fork --kill-child --mount-proc "
    )
    assert build.endswith(
        f"{sys.executable} -m halab box build debian-12 --provider docker --kubernetes 1.36.3 --source modules --force"
    )


def test_a_build_that_fails_in_the_namespace_names_the_way_round(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rootfs, "base", lambda _recipe, _progress: tmp_path / "root.tar")
    monkeypatch.setattr(cache, "need_space", lambda _path, _size: None)
    said = "✗ fill the box, after 1s\nerror: no mount"
    program(user / "unshare", f'#!/bin/sh\ncase $* in *halab*) echo "{said}" >&2; exit 3 ;; esac\n')
    with pytest.raises(HostProblem, match="could not be built in a user namespace: no mount$") as caught:
        box.ensure("debian-12", bundle_of(kubernetes.resolve("1.36.3")), Quiet())
    assert caught.value.hint and caught.value.hint.startswith(
        f"run it once as root: {AS_ROOT} --provider docker "
    )


def test_the_progress_shows_what_happens_in_the_user_namespace(user: Path, tmp_path: Path) -> None:
    """The command ends when its step has shown the line."""
    shown: list[str] = []

    class Shown(Quiet):
        def note(self, text: str) -> None:
            shown.append(text)
            if text == "unpack the images":
                (tmp_path / "seen").touch()

    program(
        user / "unshare", f"#!/bin/sh\necho 'unpack the images'\nuntil [ -e {tmp_path}/seen ]; do :; done\n"
    )
    user_namespace.run(["true"], Shown(), env={}, limit_seconds=60)
    assert shown[-1] == "unpack the images"


def given(monkeypatch: pytest.MonkeyPatch, user_id: int) -> list[Path]:
    """Fill a folder of the cache as root under sudo; the paths that were given to the user who called it."""
    paths: list[Path] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "lchown", lambda path, user, group: paths.append(Path(path)))
    monkeypatch.setenv("SUDO_UID", str(user_id))
    monkeypatch.setenv("SUDO_GID", "1000")
    with cache.locked("box-a", Quiet()), cache.replacing(cache.folder() / "boxes/a") as fresh:
        (fresh / "root.tar").write_text("box")
    return paths


def test_what_root_adds_to_the_users_cache_belongs_to_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = given(monkeypatch, cache.folder().parent.stat().st_uid)
    names = {path.name.partition(".")[0] or path.name for path in paths}
    assert names == {"cache", "locks", "box-a", "boxes", ".building", "a", "root"}


def test_a_cache_of_the_host_stays_with_root(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(monkeypatch, 54321) == []
