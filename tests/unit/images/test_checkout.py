"""Components from a checkout: what is read of it, what is built, and what is wrong with it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support import go_toolchain

from halab import process
from halab.errors import BadFile, BadUsage, CommandFailed, Corrupted, HalabError, HostProblem
from halab.images import checkout, component
from halab.images.checkout import Checkout
from halab.images.component import Component
from halab.images.go import Go
from halab.process import Completed
from halab.progress import Quiet

# `go.json` beside a go.mod is what Go says about it. `fails` is what the compiler prints, `edits` a file that changes
# while Go builds.
TOOLCHAIN = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/calls"
case "$1 $2" in
  "env GOVERSION") echo go1.26.8; echo local ;;
  "mod download") echo '{"Sum": "h1:sum=", "GoMod": "/go.mod"}' ;;
  "mod edit") if [ -e "$here/wrong" ]; then cat "$here/wrong" >&2; exit 1; fi; cat "$(dirname "$4")/go.json" ;;
  build*)
    cp go.mod "$here/go.mod"
    if [ -e "$here/fails" ]; then cat "$here/fails" >&2; exit 1; fi
    if [ -e "$here/edits" ]; then echo changed >> "$(cat "$here/edits")"; fi
    while [ "$1" != -o ]; do shift; done
    echo "program $3" > "$2" ;;
esac
"""
ETCD = "go.etcd.io/etcd"
SERVER = f"{ETCD}/server/v3"


@pytest.fixture
def toolchain(tmp_path: Path) -> Path:
    return go_toolchain.write(tmp_path / "toolchain", TOOLCHAIN)


def module(folder: Path, name: str, *, requires: str = "", replaces: dict[str, str] | None = None) -> Path:
    """A Go module with one file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text(f"module {name}\n\ngo 1.26\n")
    required = [{"Path": f"{ETCD}/api/v3", "Version": requires}] if requires else []
    replaced = [{"Old": {"Path": old}, "New": {"Path": new}} for old, new in (replaces or {}).items()]
    (folder / "go.json").write_text(json.dumps({"Go": "1.26", "Require": required, "Replace": replaced}))
    (folder / "main.go").write_text("package main\n")
    return folder


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    return subprocess.run(
        ["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A folder with etcd's server module alone, as Go's module cache has it."""
    return module(tmp_path / "etcd", SERVER, requires="v3.6.8", replaces={f"{ETCD}/api/v3": "../api"})


def read(folder: Path, toolchain: Path, *wanted: str) -> Checkout:
    return checkout.read(folder, f"./{folder.name}", wanted or (SERVER,), Go(toolchain / "go"))


def etcd(folder: Path, toolchain: Path, version: str = "3.6.8") -> Component:
    return component.of_checkout("etcd", version, folder, f"./{folder.name}", Go(toolchain / "go"))


def test_a_clean_checkout_is_its_commit(server: Path, toolchain: Path) -> None:
    revision = commit(server)
    state = read(server, toolchain).state
    assert (state.path, state.revision, state.is_dirty) == ("./etcd", revision, False)
    assert str(state) == f"./etcd at {revision[:12]}"
    assert read(server, toolchain).state == state


@pytest.mark.parametrize("name", ["main.go", "new.go"])
def test_changes_make_a_checkout_dirty_and_another_build(name: str, server: Path, toolchain: Path) -> None:
    commit(server)
    clean = read(server, toolchain).state
    (server / name).write_text("package main\n\nfunc main() {}\n")
    first = read(server, toolchain).state
    assert first.is_dirty and first.revision == clean.revision
    assert str(first).endswith(f", with changes that are not committed (content {first.digest[:12]})")
    (server / name).write_text("package main\n\nfunc main() { }\n")
    second = read(server, toolchain).state
    assert len({clean.digest, first.digest, second.digest}) == 3


def test_ignored_code_is_part_of_the_build(server: Path, toolchain: Path) -> None:
    (server / ".gitignore").write_text("generated.go\n*.log\n")
    commit(server)
    before = read(server, toolchain).state
    (server / "a.log").write_text("no code")
    assert read(server, toolchain).state == before
    (server / "generated.go").write_text("package main\n")
    after = read(server, toolchain).state
    assert after.digest != before.digest and not after.is_dirty


def test_a_folder_that_git_does_not_know_is_its_content(server: Path, toolchain: Path) -> None:
    # it is in the folder of a repository, which ignores it
    (server.parent / ".gitignore").write_text("/etcd\n/toolchain\n")
    commit(server.parent)
    (server / "link.go").symlink_to("main.go")
    before = read(server, toolchain).state
    assert (before.revision, before.is_dirty) == ("", False)
    assert str(before) == f"./etcd, content {before.digest[:12]}"
    (server / "main.go").write_text("package other\n")
    assert read(server, toolchain).state.digest != before.digest


def test_a_repository_without_a_commit_is_its_content(server: Path, toolchain: Path) -> None:
    before = read(server, toolchain).state
    git(server, "init", "-q")
    git(server, "add", "-A")
    assert read(server, toolchain).state == before


def test_changes_are_a_patch_that_git_applies(server: Path, toolchain: Path) -> None:
    (server / "data").write_bytes(bytes(range(16)))
    commit(server)
    (server / "main.go").write_text("package other\n")
    (server / "new.go").write_text("package new\n")
    (server / "data").write_bytes(bytes(range(256)))
    wanted = etcd(server, toolchain)
    built = component.ensure(wanted, Quiet(), go=Go(toolchain / "go"))
    before = wanted.checkout and wanted.checkout.state
    git(server, "checkout", "-q", ".")
    git(server, "clean", "-qf")
    git(server, "apply", str(Path(built.path).with_name("source.diff")))
    assert read(server, toolchain).state == before
    assert (server / "new.go").read_text() == "package new\n"


def test_a_patch_that_is_too_large_is_not_kept(
    server: Path, toolchain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(server)
    (server / "main.go").write_text("package other\n")
    monkeypatch.setattr(component, "_PATCH_CHARACTERS", 10)
    built = component.ensure(etcd(server, toolchain), Quiet(), go=Go(toolchain / "go"))
    assert not Path(built.path).with_name("source.diff").exists()


def test_a_host_without_git_builds_all_the_same(
    server: Path, toolchain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(server)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert read(server, toolchain).state.revision == ""


def test_a_checkout_of_another_user_is_told_how_to_open_it(
    server: Path, toolchain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: object, **options: object) -> Completed:
        return Completed(128, "", "fatal: detected dubious ownership in repository")

    monkeypatch.setattr(process, "run", refuse)
    with pytest.raises(HostProblem, match="another user owns it") as caught:
        checkout.state(server, "./etcd")
    assert caught.value.hint == f"git config --global --add safe.directory {server}"


def test_the_modules_that_are_developed_together_come_from_the_checkout(
    tmp_path: Path, toolchain: Path
) -> None:
    root = tmp_path / "etcd"
    module(root, f"{ETCD}/v3")
    outside = {"example.com/outside": "../../outside"}
    module(tmp_path / "outside", "example.com/outside")
    api = {f"{ETCD}/api/v3": "../api", f"{ETCD}/client/v3": "../client/v3"}
    module(root / "server", SERVER, replaces={**api, **outside, "example.com/gone": "../gone"})
    module(root / "etcdctl", f"{ETCD}/etcdctl/v3", replaces=api)
    module(root / "api", f"{ETCD}/api/v3")
    module(root / "client/v3", f"{ETCD}/client/v3", replaces={f"{ETCD}/pkg/v3": "../../pkg"})
    module(root / "pkg", f"{ETCD}/pkg/v3")
    module(root / "tests", f"{ETCD}/tests/v3")
    found = read(root, toolchain, SERVER, f"{ETCD}/etcdctl/v3", f"{ETCD}/etcdutl/v3")
    assert {name: folder.relative_to(root).as_posix() for name, folder in found.modules.items()} == {
        SERVER: "server",
        f"{ETCD}/etcdctl/v3": "etcdctl",
        f"{ETCD}/api/v3": "api",
        f"{ETCD}/client/v3": "client/v3",
        f"{ETCD}/pkg/v3": "pkg",
    }


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("none", r"no such folder: \./none", None),
        ("file", r"not a folder: \./file", None),
        ("empty", r"no go\.mod in \./empty", f"name a folder with the Go module {SERVER}"),
        (
            "other",
            rf"\./other has the Go module example\.com/other, not {SERVER}",
            "name the top folder of a checkout of this component",
        ),
    ],
)
def test_a_folder_that_is_no_checkout_is_refused(
    name: str, said: str, hint: str | None, tmp_path: Path, toolchain: Path
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty/below").mkdir(parents=True)
    (tmp_path / "empty/below/go.mod").write_text("// without a name\n")
    module(tmp_path / "other", "example.com/other")
    with pytest.raises(BadUsage, match=said) as caught:
        read(tmp_path / name, toolchain)
    assert caught.value.hint == hint


def test_a_go_mod_that_go_cannot_read_is_named_with_its_line(server: Path, toolchain: Path) -> None:
    wrong = f"go: errors parsing {server}/go.mod:\n{server}/go.mod:3: unknown directive: nonsense\n"
    (toolchain / "wrong").write_text(wrong)
    with pytest.raises(BadFile) as caught:
        read(server, toolchain)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{server}/go.mod:3: unknown directive: nonsense"
    ]
    (toolchain / "wrong").write_text("go: killed\n")
    with pytest.raises(CommandFailed):
        read(server, toolchain)


def test_a_host_with_an_old_go_is_told_so_before_the_folder_is_read(server: Path, toolchain: Path) -> None:
    text = (toolchain / "go").read_text()
    (toolchain / "go").write_text(text.replace("go1.26.8", "go1.20"))
    with pytest.raises(HostProblem, match=r"Go is too old, 1\.24 is needed"):
        etcd(server, toolchain)


def test_an_image_is_built_from_the_folder_and_cached_by_its_content(server: Path, toolchain: Path) -> None:
    revision = commit(server)
    go, wanted = Go(toolchain / "go"), etcd(server, toolchain)
    assert str(wanted) == f"etcd 3.6.8 from ./etcd at {revision[:12]}"
    built = component.ensure(wanted, Quiet(), go=go)
    # its own tag: the bundle may have the same version
    assert built.images == ("registry.k8s.io/etcd:3.6.8-source",)
    text = (toolchain / "go.mod").read_text()
    assert f'replace (\n\t{SERVER} => "{server}"\n)' in text
    assert f"\t{ETCD}/etcdctl/v3 v3.6.8\n" in text
    calls = (toolchain / "calls").read_text()
    assert f"{ETCD}/api/v3/version.GitSHA={revision[:9]} " in f"{calls} ".replace("\n", " ")
    assert f"mod download -json {SERVER}" not in calls
    record = json.loads((Path(built.path).parent / "component.json").read_text())
    assert record["origin"][0] == f"{SERVER} ./etcd at {revision[:12]}"
    assert component.ensure(etcd(server, toolchain), Quiet(), go=go) == built
    (server / "main.go").write_text("package main // patched\n")
    patched = component.ensure(etcd(server, toolchain), Quiet(), go=go)
    assert Path(patched.path).parent != Path(built.path).parent
    assert "-dirty" in (toolchain / "calls").read_text()
    Path(built.path).unlink()
    git(server, "checkout", "-q", ".")
    with pytest.raises(Corrupted) as caught:
        component.find(etcd(server, toolchain))
    assert caught.value.hint == "build it again: halab bundle build -f lab.yml --force"


def test_the_staging_modules_of_kubernetes_come_from_the_checkout_if_it_has_them(
    tmp_path: Path, toolchain: Path
) -> None:
    names = ("k8s.io/api", "k8s.io/client-go")
    root = module(
        tmp_path / "my kubernetes",
        "k8s.io/kubernetes",
        replaces={name: f"./staging/src/{name}" for name in names},
    )
    staging = module(root / "staging/src/k8s.io/api", "k8s.io/api")
    revision = commit(root)
    go = Go(toolchain / "go")
    wanted = component.of_checkout("kube-apiserver", "1.36.5", root, "./my kubernetes", go)
    built = component.ensure(wanted, Quiet(), go=go)
    assert built.images == ("registry.k8s.io/kube-apiserver:v1.36.5-source",)
    text = (toolchain / "go.mod").read_text()
    assert text.endswith(
        f'replace (\n\tk8s.io/api => "{staging}"\n\tk8s.io/client-go => k8s.io/client-go v0.36.5\n'
        f'\tk8s.io/kubernetes => "{root}"\n)\n'
    )
    calls = (toolchain / "calls").read_text()
    assert f"k8s.io/component-base/version.gitCommit={revision}" in calls
    assert "k8s.io/client-go/pkg/version.gitTreeState=clean" in calls


def test_coredns_says_its_commit(tmp_path: Path, toolchain: Path) -> None:
    root = module(tmp_path / "coredns", "github.com/coredns/coredns")
    revision, go = commit(root), Go(toolchain / "go")
    component.ensure(component.of_checkout("coredns", "1.14.2", root, "c", go), Quiet(), go=go)
    assert f"coremain.GitCommit={revision[:9]}" in (toolchain / "calls").read_text()


def test_a_server_of_another_version_than_the_lab_is_refused(server: Path, toolchain: Path) -> None:
    """The tools come from the version of the lab, and would bring its other modules."""
    with pytest.raises(BadUsage, match=r"\./etcd has etcd 3\.6\.8, but the lab has etcd 3\.6\.16") as caught:
        etcd(server, toolchain, "3.6.16")
    assert caught.value.hint == "write `etcd: 3.6.8` below `kubernetes`"
    # a commit that no release names
    module(server, SERVER, requires="v3.7.0-0.20260101000000-1a2b3c4d5e6f")
    assert etcd(server, toolchain, "3.6.16").version == "3.6.16"


def test_the_compilers_lines_name_the_files_of_the_checkout(server: Path, toolchain: Path) -> None:
    (toolchain / "fails").write_text(
        f"# {SERVER}\n{server}/main.go:3:2: undefined: x\n/go/pkg/other.go:7: too many errors\n"
    )
    with pytest.raises(BadFile) as caught:
        component.ensure(etcd(server, toolchain), Quiet(), go=Go(toolchain / "go"))
    assert [str(problem) for problem in caught.value.problems] == [
        "etcd/main.go:3: undefined: x",
        "/go/pkg/other.go:7: too many errors",
    ]
    assert caught.value.hint == "Go cannot build etcd from ./etcd"
    assert component.find(etcd(server, toolchain)) is None


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("go: example.com/x@v1.0.0: unknown revision v1.0.0\n", BadUsage),
        ("a.go:1:1: write /tmp/x: no space left on device\n", HostProblem),
        ("go.etcd.io/etcd: /go/tool/compile: signal: killed\n", CommandFailed),
    ],
)
def test_what_is_no_error_of_the_code_is_told_as_it_is(
    said: str, error: type[HalabError], server: Path, toolchain: Path
) -> None:
    (toolchain / "fails").write_text(said)
    with pytest.raises(error, match=said.strip().rpartition(": ")[2]):
        component.ensure(etcd(server, toolchain), Quiet(), go=Go(toolchain / "go"))


def test_a_released_version_that_does_not_build_is_no_fault_of_the_user(toolchain: Path) -> None:
    (toolchain / "fails").write_text("a.go:1:1: undefined: x\n")
    (toolchain / "go.json").write_text('{"Go": "1.26"}')
    text = (toolchain / "go").read_text().replace('"GoMod": "/go.mod"', f'"GoMod": "{toolchain}/go.mod"')
    (toolchain / "go").write_text(text)
    with pytest.raises(CommandFailed, match=f"Go could not build {SERVER}:\na.go:1:1: undefined: x"):
        component.ensure(component.named("etcd@3.6.8"), Quiet(), go=Go(toolchain / "go"))


def test_the_patch_of_a_folder_in_a_repository_can_be_applied_there(tmp_path: Path, toolchain: Path) -> None:
    server = module(tmp_path / "etcd/server", SERVER)
    commit(tmp_path / "etcd")
    git(server, "config", "diff.noprefix", "true")
    (server / "main.go").write_text("package main // patched\n")
    (server / "new.go").write_text("package main // new\n")
    (server / ".env").write_text("PASSWORD=secret\n")
    patch = checkout.patch(server, 10_000)
    assert "secret" not in patch
    git(server, "checkout", "-q", ".")
    (server / "new.go").unlink()
    (tmp_path / "patch").write_text(patch)
    git(server, "apply", str(tmp_path / "patch"))
    assert (server / "main.go").read_text() == "package main // patched\n"
    assert (server / "new.go").read_text() == "package main // new\n"
    assert checkout.patch(server, len(patch) - 1) == ""
    assert checkout.patch(server, 10) == ""


@pytest.mark.parametrize("has_git", [False, True])
def test_the_work_folder_of_a_lab_is_no_source_code(has_git: bool, server: Path) -> None:
    if has_git:
        commit(server)
    before = checkout.state(server, "./etcd")
    (server / ".halab").mkdir()
    (server / ".halab/sources.json").write_text("[]")
    assert checkout.state(server, "./etcd") == before
    if has_git:
        assert checkout.patch(server, 1000) == ""


@pytest.mark.parametrize("has_git", [False, True])
def test_code_that_changes_while_it_is_built_is_not_kept(
    has_git: bool, server: Path, toolchain: Path
) -> None:
    if has_git:
        commit(server)
    (toolchain / "edits").write_text(str(server / "main.go"))
    wanted = etcd(server, toolchain)
    with pytest.raises(HostProblem, match=r"the source code changed while it was built: \./etcd"):
        component.ensure(wanted, Quiet(), go=Go(toolchain / "go"))
    assert component.find(wanted) is None
