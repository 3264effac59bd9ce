"""The fault of a file, played in a real shell: every byte, the mode and the owner come back, and are compared."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from support.fakes import FakeGuests
from support.site_builder import Shell, heal, inject, site_of

from halab.errors import BadUsage, CommandFailed
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.faults.site import Site

PATH = "/etc/kubernetes/kubelet.conf"
ORIGINAL = b"limit: 10s\nlimit: 10s\n\xc3\xa9\n"


@pytest.fixture
def machine(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "machine")
    shell.path(PATH).write_bytes(ORIGINAL)
    shell.path(PATH).chmod(0o640)
    return shell


@pytest.fixture
def site(machine: Shell) -> Site:
    return site_of(FakeGuests({"systemctl is-active": "active\n", "": machine}))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def left(machine: Shell) -> list[str]:
    """The files beside the original, and the folders of faults."""
    beside = [path.name for path in machine.path("/etc/kubernetes").iterdir() if path.is_file()]
    kept = machine.path("/var/lib/halab")
    return sorted([*beside, *(path.name for path in (kept.iterdir() if kept.exists() else ()))])


def test_new_content_keeps_the_mode_and_the_heal_restores_everything(machine: Shell, site: Site) -> None:
    entry, seen = inject(site, "edit-file", path=PATH, text="one\ntwo\n")
    path = machine.path(PATH)
    assert (path.read_text(), mode(path)) == ("one\ntwo\n", 0o640)
    owner = f"{path.stat().st_uid}:{path.stat().st_gid}"
    digest = hashlib.sha256(b"one\ntwo\n").hexdigest()[:12]
    assert seen.splitlines()[0] == f"{PATH} has the mode and owner 640 {owner} and the checksum {digest}"
    heal(site, entry)
    assert (path.read_bytes(), mode(path)) == (ORIGINAL, 0o640)
    assert left(machine) == ["kubelet.conf"]
    # healed twice, nothing is harmed
    heal(site, entry)
    assert path.read_bytes() == ORIGINAL


PATCH = json.dumps(
    [
        {"op": "replace", "path": "/maxPods", "value": 5},
        {"op": "add", "path": "/featureGates", "value": {"A": True}},
        {"op": "remove", "path": "/evictionHard"},
    ]
)


def test_fields_of_a_yaml_file_are_patched_and_comments_come_back_with_the_heal(
    machine: Shell, site: Site
) -> None:
    before = b"# of kubeadm\nmaxPods: 110\nevictionHard: {memory.available: 1M}\nport: 10250\n"
    machine.path(PATH).write_bytes(before)
    entry, _ = inject(site, "edit-file", path=PATH, json_patch=PATCH)
    assert machine.path(PATH).read_text() == "maxPods: 5\nport: 10250\nfeatureGates:\n  A: true\n"
    heal(site, entry)
    assert machine.path(PATH).read_bytes() == before


def test_a_json_file_stays_json(machine: Shell, site: Site) -> None:
    machine.path(PATH).write_text(' {"maxPods": 110, "evictionHard": null, "name": "é"}')
    inject(site, "edit-file", path=PATH, json_patch=PATCH)
    text = machine.path(PATH).read_text()
    assert json.loads(text) == {"maxPods": 5, "name": "é", "featureGates": {"A": True}}
    assert text.startswith('{\n  "maxPods": 5,\n  "name": "é"') and text.endswith("}\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"maxPods: 110\n", "the path of operation 3 does not exist: remove /evictionHard"),
        (b"just words\n", "the path of operation 1 does not exist: replace /maxPods"),
        (b"a: [\n", "malformed YAML"),
        (b"", "the path of operation 1 does not exist"),
        (b"\xff", "not UTF-8 text on cp2"),
    ],
)
def test_a_patch_that_does_not_fit_changes_nothing(
    machine: Shell, site: Site, content: bytes, said: str
) -> None:
    machine.path(PATH).write_bytes(content)
    with pytest.raises(BadUsage, match=re.escape(said)):
        inject(site, "edit-file", path=PATH, json_patch=PATCH)
    assert machine.path(PATH).read_bytes() == content


def test_a_text_is_replaced_everywhere(machine: Shell, site: Site) -> None:
    entry, _ = inject(site, "edit-file", path=PATH, replace=json.dumps({"old": "10s", "new": "1s"}))
    assert machine.path(PATH).read_bytes() == ORIGINAL.replace(b"10s", b"1s")
    heal(site, entry)
    assert machine.path(PATH).read_bytes() == ORIGINAL


def test_the_difference_follows_what_was_seen(machine: Shell, site: Site) -> None:
    machine.path("/etc/kubernetes/audit.yml").write_text("one\ntwo\n")
    _, seen = inject(site, "edit-file", path="/etc/kubernetes/audit.yml", text="one\nthree\n")
    diff = [
        "--- /etc/kubernetes/audit.yml",
        "+++ /etc/kubernetes/audit.yml",
        "@@ -1,2 +1,2 @@",
        " one",
        "-two",
        "+three",
    ]
    assert seen.splitlines()[1:] == diff


def test_a_new_file_is_compared_with_nothing(machine: Shell, site: Site) -> None:
    _, seen = inject(site, "edit-file", path="/etc/kubernetes/new", text="one\n", create="true")
    assert seen.splitlines()[1:] == ["--- /dev/null", "+++ /etc/kubernetes/new", "@@ -0,0 +1 @@", "+one"]


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("/etc/kubernetes/admin.conf", b"one", "two"),
        ("/etc/kubernetes/pki/ca.crt", b"one", "two"),
        ("/var/lib/own/own.key", b"one", "two"),
        ("/var/lib/own/own", b"client-key-data: QUJD", "two"),
        ("/var/lib/own/own", b"one", '{"Password": "x"}'),
        ("/var/lib/own/own", b"-----BEGIN EC PRIVATE KEY-----", "two"),
    ],
)
def test_the_record_has_no_secrets(path: str, before: bytes, after: str, machine: Shell, site: Site) -> None:
    machine.path(path).parent.mkdir(parents=True, exist_ok=True)
    machine.path(path).write_bytes(before)
    _, seen = inject(site, "edit-file", path=path, text=after)
    assert seen.splitlines()[1:] == ["no diff: the file may contain secrets"]


def test_a_binary_file_has_no_diff_and_a_long_one_is_cut(machine: Shell, site: Site) -> None:
    machine.path("/var/lib/own").mkdir()
    machine.path("/var/lib/own/own").write_bytes(b"\xff")
    _, seen = inject(site, "edit-file", path="/var/lib/own/own", text="two")
    assert seen.splitlines()[1:] == ["no diff: the file was not UTF-8 text"]
    _, seen = inject(site, "edit-file", path="/var/lib/own/long", text="x\n" * 300, create="true")
    assert len(seen.splitlines()) == 202 and seen.endswith("… and 103 more lines")


def test_only_the_mode_changes(machine: Shell, site: Site) -> None:
    entry, _ = inject(site, "edit-file", path=PATH, mode="0000")
    assert mode(machine.path(PATH)) == 0
    heal(site, entry)
    assert (mode(machine.path(PATH)), machine.path(PATH).read_bytes()) == (0o640, ORIGINAL)


def test_a_file_that_was_created_is_removed(machine: Shell, site: Site) -> None:
    path = "/etc/kubernetes/new.conf"
    entry, _ = inject(site, "edit-file", path=path, text="", create="true")
    assert machine.path(path).read_bytes() == b""
    heal(site, entry)
    assert not machine.path(path).exists()
    assert left(machine) == ["kubelet.conf"]


def test_a_link_stays_a_link(machine: Shell, site: Site) -> None:
    link = machine.path("/etc/kubernetes/link")
    link.symlink_to("kubelet.conf")
    entry, _ = inject(site, "edit-file", path="/etc/kubernetes/link", text="x")
    assert link.is_symlink()
    assert machine.path(PATH).read_text() == "x"
    heal(site, entry)
    assert link.is_symlink()
    assert machine.path(PATH).read_bytes() == ORIGINAL


def test_a_heal_that_does_not_bring_the_file_back_fails(machine: Shell, site: Site) -> None:
    entry, _ = inject(site, "edit-file", path=PATH, text="x")
    machine.path(f"/var/lib/halab/{entry.id}/original").write_text("spoiled")
    with pytest.raises(CommandFailed) as error:
        heal(site, entry)
    assert "is not as it was before the fault" in error.value.output
    # it can be tried again
    assert machine.path(f"/var/lib/halab/{entry.id}/original").exists()


def test_a_fault_that_was_only_recorded_is_healed(machine: Shell, site: Site) -> None:
    heal(site, Entry("42", "edit-file", "cp2", {"path": PATH, "text": "x"}))
    assert machine.path(PATH).read_bytes() == ORIGINAL


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"path": "/etc/kubernetes/none", "text": "x"}, "no such file on cp2: /etc/kubernetes/none"),
        ({"path": "/etc/kubernetes/no/ne", "text": "x", "create": "true"}, "no folder for this file"),
        ({"path": "/etc/kubernetes/manifests", "text": "x"}, "not a regular file on cp2"),
        ({"path": PATH, "replace": '{"old": "9s", "new": ""}'}, "does not contain the text to replace: 9s"),
        ({"path": PATH, "text": ORIGINAL.decode()}, "has this content already"),
        ({"path": "/etc/kubernetes/big", "mode": "0600"}, "larger than 1 MB"),
        ({"path": "/etc/kubernetes/binary", "replace": '{"old": "a", "new": "b"}'}, "not UTF-8 text"),
    ],
)
def test_an_impossible_edit_is_refused_before_anything_changes(
    options: dict[str, str], why: str, machine: Shell, site: Site
) -> None:
    machine.path("/etc/kubernetes/big").write_bytes(b"x" * 1_000_001)
    machine.path("/etc/kubernetes/binary").write_bytes(b"\xff")
    with pytest.raises(BadUsage, match=why):
        inject(site, "edit-file", **options)
    assert not machine.path("/var/lib/halab").exists()


def test_two_faults_do_not_change_the_same_file(machine: Shell, site: Site) -> None:
    inject(site, "edit-file", path=PATH, text="x")
    with pytest.raises(BadUsage, match=f"another fault has changed {PATH} on cp2"):
        inject(site, "edit-file", path=PATH, mode="0600")


def test_a_manifest_is_changed_by_one_fault_only(machine: Shell, site: Site) -> None:
    manifest = "/etc/kubernetes/manifests/etcd.yaml"
    machine.path(manifest).write_text("kind: Pod\n")
    entry, _ = inject(site, "edit-file", path=manifest, text="broken")
    with pytest.raises(BadUsage, match="another fault has changed the manifest of etcd"):
        inject(site, "hold-static-pod", pod="etcd")
    heal(site, entry)
    held = FakeGuests({
        "readlink": f"path {manifest}\nkind file\ncontent eA==\n",
        "ls -d": "/etc/kubernetes/halab-held/etcd.yaml\n",
    })  # fmt: skip
    with pytest.raises(BadUsage, match="another fault has changed the manifest of etcd"):
        inject(site_of(held), "edit-file", path=manifest, text="broken")


def test_a_link_to_a_file_that_cannot_be_changed_is_refused() -> None:
    guests = FakeGuests({"readlink": "path /var/lib/etcd/member/db\nkind file\ncontent eA==\n"})
    with pytest.raises(BadUsage, match="an etcd member cannot go back to old data") as error:
        inject(site_of(guests), "edit-file", path="/srv/link", text="x")
    assert error.value.hint == "/srv/link is a link to it"


def test_a_unit_is_restarted_after_the_edit_and_after_the_heal(machine: Shell) -> None:
    guests = FakeGuests({"sleep 1": "activating\n", "systemctl is-active": "active\n", "": machine})
    entry, seen = inject(site_of(guests), "edit-file", path=PATH, text="x", restart="kubelet")
    assert seen.splitlines()[0].endswith("; kubelet is activating")
    heal(site_of(guests), entry)
    restarts = [
        command for command in guests.commands("cp2") if "systemctl restart kubelet.service" in command
    ]
    assert len(restarts) == 2
    # nothing was changed any more: nothing is restarted
    heal(site_of(guests), entry)
    assert len([each for each in guests.commands("cp2") if "systemctl restart" in each]) == 2


def test_a_unit_that_does_not_run_is_not_restarted(machine: Shell) -> None:
    guests = FakeGuests({"systemctl is-active": "inactive\n", "": machine})
    with pytest.raises(BadUsage, match=r"not an active service on cp2: kubelet \(inactive\)"):
        inject(site_of(guests), "edit-file", path=PATH, text="x", restart="kubelet")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"path": "/proc/sys/vm/swappiness", "text": "1"}, "because it belongs to the kernel"),
        ({"path": "/etc/ssh/sshd_config", "text": "x"}, "because halab needs it to log in and to heal"),
        ({"path": "/home/vagrant/.ssh/authorized_keys", "text": "x"}, "halab needs it to log in"),
        ({"path": "/usr/bin/bash", "text": "x"}, "halab needs it to log in"),
        ({"path": "/var/lib/halab/1/original", "text": "x"}, "faults keep their originals there"),
        ({"path": "/var/lib/etcd/member/snap/db", "text": "x"}, "use lose-etcd-data or corrupt-wal"),
        ({"path": "etc/hosts", "text": "x"}, "path: should be the absolute path of a file"),
        ({"path": "/etc/../proc/x", "text": "x"}, "should be the absolute path"),
        ({"path": "/", "text": "x"}, "should be the absolute path"),
        ({"path": "/etc/hosts"}, "changes nothing: give it text, replace, json_patch, mode or owner"),
        (
            {"path": "/etc/hosts", "text": "x", "replace": '{"old": "a", "new": ""}'},
            "takes only one of text, replace or json_patch",
        ),
        (
            {"path": "/etc/hosts", "create": "true", "mode": "0600"},
            "needs the text of a file that it should create",
        ),
        ({"path": "/etc/hosts", "replace": '{"old": "", "new": "x"}'}, "replace: should have two texts"),
        ({"path": "/etc/hosts", "replace": '{"old": "a"}'}, "replace: should have two texts"),
        ({"path": "/etc/hosts", "replace": '{"old": 10, "new": 1}'}, "replace: should have two texts"),
        ({"path": "/etc/hosts", "mode": "rw"}, "mode: should be the permissions, such as 0600, not rw"),
        ({"path": "/etc/hosts", "owner": "a b"}, "owner: should be the owner"),
    ],
)
def test_wrong_options_are_named(given: dict[str, str], why: str) -> None:
    (problem,) = FAULTS["edit-file"].problems_with(given)
    assert why in problem
