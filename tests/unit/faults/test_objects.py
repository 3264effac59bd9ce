"""Objects of the API: kubectl changes them, and etcd alone puts them back, with their old bytes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support.fakes import Call, FakeGuests
from support.site_builder import Shell, heal, inject, site_of

from halab.errors import BadUsage, CommandFailed, LabProblem, TimedOut
from halab.faults import objects
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
KEY = "/registry/configmaps/default/a"
OLD = base64.b64encode(b"k8s\0 the old bytes\n").decode()


def kvs(**revisions: Any) -> str:
    """What etcdctl prints of keys: their names with the revisions of creation and last change, and a value."""
    return json.dumps(
        {
            "kvs": [
                {
                    "key": base64.b64encode(name.encode()).decode(),
                    "create_revision": created,
                    "mod_revision": changed,
                    "value": OLD,
                }
                for name, (created, changed) in revisions.items()
            ]
        }
    )


class Etcd:
    """Keys with their revisions, behind etcdctl."""

    def __init__(self, **keys: tuple[int, int]) -> None:
        self.keys = dict(keys)
        self.values: dict[str, str] = {}

    def get(self, call: Call) -> str:
        if "--prefix" in call.command:
            return kvs(**self.keys)
        return kvs(**{name: at for name, at in self.keys.items() if f"get {name} " in call.command})

    def put(self, call: Call) -> str:
        assert "base64 -d | etcdctl" in call.command
        name = call.command.rsplit(" ", 1)[1]
        self.keys[name], self.values[name] = (900, 900), call.input or ""
        return "OK"

    def delete(self, call: Call) -> str:
        return str(int(self.keys.pop(call.command.rsplit(" ", 1)[1], None) is not None))

    def answers(self) -> dict[str, Any]:
        return {r"etcdctl.* put /": self.put, r"etcdctl.* del /": self.delete, r"etcdctl.* get /": self.get}


def machines(etcd: Etcd, *, found: list[Any] | str, done: str = "") -> FakeGuests:
    """`found` is what kubectl prints of the object, before and after; `done` what a heal finds in the folder."""
    return FakeGuests({**etcd.answers(), "found=": found, "cat saved": done})


def saved(*keys: str | None) -> str:
    return json.dumps([key and {"key": key, "value": OLD} for key in keys])


def test_an_object_is_applied_after_its_bytes_were_saved() -> None:
    found = ["found ConfigMap default/a 8\n"] * 2 + ["found ConfigMap default/a 9\n"]
    guests = machines(Etcd(**{KEY: (5, 8)}), found=found)
    entry, seen = inject(site_of(guests), "apply", object=json.dumps(CONFIG_MAP))
    assert seen == "changed ConfigMap default/a"
    asked = [call.command for call in guests.calls]
    (saving,) = [call for call in guests.calls if call.command.endswith("/saved")]
    (applying,) = [call for call in guests.calls if " apply --server-side" in call.command]
    assert json.loads(saving.input or "") == [{"key": KEY, "value": OLD}]
    assert json.loads(applying.input or "") == CONFIG_MAP
    assert asked.index(saving.command) < asked.index(applying.command)
    assert f"touch /var/lib/halab/{entry.id}/begun-$number" in applying.command


def test_the_effect_names_every_object_of_a_manifest() -> None:
    other = {**CONFIG_MAP, "metadata": {"name": "b"}}
    guests = machines(
        Etcd(**{KEY: (5, 8)}),
        found=[
            *["found List /\nfound ConfigMap default/a 8 List /\n"] * 2,
            "found ConfigMap default/b 10 List /\nfound ConfigMap default/a 9 List /\n",
        ],
    )
    _, seen = inject(
        site_of(guests), "apply", object=f"{json.dumps(other)}\n---\n{json.dumps(CONFIG_MAP)}\n"
    )
    assert seen == "created ConfigMap default/b; changed ConfigMap default/a"
    (saving,) = [call for call in guests.calls if call.command.endswith("/saved")]
    assert json.loads(saving.input or "") == [None, {"key": KEY, "value": OLD}]


def test_an_object_that_changes_meanwhile_is_read_again() -> None:
    etcd = Etcd(**{KEY: (5, 9)})
    guests = machines(etcd, found=["found ConfigMap default/a 8\n"] * 2 + ["found ConfigMap default/a 9\n"])
    _, seen = inject(site_of(guests), "apply", object=json.dumps(CONFIG_MAP))
    assert seen == "changed ConfigMap default/a"


def test_an_object_that_is_not_in_etcd_cannot_be_changed() -> None:
    guests = machines(Etcd(), found="found ConfigMap default/a 8\n")
    with pytest.raises(TimedOut, match="no key has the revision 8 of ConfigMap default/a"):
        inject(site_of(guests), "apply", object=json.dumps(CONFIG_MAP))
    assert not any("apply --server-side" in call.command for call in guests.calls)


def test_a_changed_object_gets_its_old_bytes_back_without_the_api() -> None:
    etcd = Etcd(**{KEY: (5, 9)})
    guests = machines(etcd, found=CommandFailed("on cp2", code=1), done=f"1 9\n{saved(KEY)}\n")  # type: ignore[arg-type]
    heal(site_of(guests), Entry("42", "apply", "cp2", {"object": json.dumps(CONFIG_MAP)}))
    assert etcd.values == {KEY: OLD}
    assert not any("kubectl" in call.command for call in guests.calls)
    assert guests.commands("cp2")[-1].startswith("rm -rf /var/lib/halab/42")


def test_a_created_object_is_removed_by_the_revision_of_its_creation() -> None:
    etcd = Etcd(**{KEY: (7, 30), "/registry/configmaps/kube-system/a": (6, 30)})
    guests = machines(etcd, found="", done=f"1 7\n{saved(None)}\n")
    heal(site_of(guests), Entry("42", "apply", "cp2", {"object": json.dumps(CONFIG_MAP)}))
    assert list(etcd.keys) == ["/registry/configmaps/kube-system/a"]
    assert not any("kubectl" in call.command for call in guests.calls)
    # healed twice, nothing is harmed
    heal(site_of(guests), Entry("42", "apply", "cp2", {"object": json.dumps(CONFIG_MAP)}))
    assert list(etcd.keys) == ["/registry/configmaps/kube-system/a"]


def test_a_key_that_stays_is_an_error_and_so_is_one_that_does_not_come_back() -> None:
    etcd = Etcd(**{KEY: (7, 30)})
    guests = machines(etcd, found="", done=f"1 7\n{saved(None)}\n")
    guests.answers = {**guests.answers, r"etcdctl.* del /": "0"}
    entry = Entry("42", "apply", "cp2", {"object": json.dumps(CONFIG_MAP)})
    with pytest.raises(LabProblem, match=f"etcd still has a key that was removed: {KEY}"):
        heal(site_of(guests), entry)
    guests = machines(Etcd(), found="", done=f"1 7\n{saved(KEY)}\n")
    guests.answers = {**guests.answers, r"etcdctl.* put /": "OK"}
    with pytest.raises(LabProblem, match=f"a client removed a key again after halab had put it back: {KEY}"):
        heal(site_of(guests), entry)
    assert not any(command.startswith("rm -rf") for command in guests.commands("cp2"))


def test_an_object_whose_creation_was_cut_short_is_removed_through_the_api() -> None:
    guests = machines(Etcd(), found="", done=f"1 \n{saved(None)}\n")
    heal(site_of(guests), Entry("42", "apply", "cp2", {"object": json.dumps(CONFIG_MAP)}))
    (call,) = [call for call in guests.calls if "kubectl" in call.command]
    assert "delete -f - --ignore-not-found" in call.command
    assert json.loads(call.input or "") == CONFIG_MAP


@pytest.mark.parametrize("done", ["", f"{saved(KEY)}\n"])
def test_an_object_that_was_never_changed_is_not_restored(done: str) -> None:
    etcd = Etcd(**{KEY: (5, 9)})
    heal(site_of(machines(etcd, found="", done=done)), Entry("42", "delete", "cp2", {"object": "cm/a"}))
    assert etcd.keys == {KEY: (5, 9)}


def deleting(etcd: Etcd, *, fails: bool = False) -> FakeGuests:
    """Machines on which kubectl deletes the object, and then may have no right to ask whether it is gone."""

    def delete(_: Call) -> str:
        etcd.keys.pop(KEY, None)
        if fails:
            raise CommandFailed("kubectl exited with code 1", code=1, output="Error from server (Forbidden)")
        return ""

    guests = machines(etcd, found=["found ConfigMap default/a 8\n"] * 2)
    guests.answers = {r"kubectl.* delete ": delete, **guests.answers}
    return guests


def test_an_object_is_deleted_by_its_name_and_put_back() -> None:
    etcd = Etcd(**{KEY: (5, 8)})
    guests = deleting(etcd)
    entry, seen = inject(site_of(guests), "delete", object="configmap/a", namespace="default")
    assert seen == "deleted ConfigMap default/a"
    (deletion,) = [call for call in guests.calls if " delete " in call.command]
    assert '--namespace=default delete "$object" --ignore-not-found' in deletion.command
    assert deletion.input == "configmap/a\n"
    guests.answers = {**guests.answers, "cat saved": f"1 \n{saved(KEY)}\n"}
    heal(site_of(guests), entry)
    assert etcd.values == {KEY: OLD}


def test_an_object_that_something_creates_again_is_named() -> None:
    guests = machines(Etcd(**{KEY: (5, 8)}), found=["found ConfigMap default/a 8\n"] * 2)
    _, seen = inject(site_of(guests), "delete", object=json.dumps(CONFIG_MAP))
    assert seen == "deleted ConfigMap default/a, and something has created it again"


def test_an_object_that_gave_kubectl_its_rights_is_deleted_too() -> None:
    _, seen = inject(site_of(deleting(Etcd(**{KEY: (5, 8)}), fails=True)), "delete", object="configmap/a")
    assert seen == "deleted ConfigMap default/a"


def test_a_deletion_that_failed_is_an_error_if_the_object_is_still_there() -> None:
    guests = machines(Etcd(**{KEY: (5, 8)}), found=["found ConfigMap default/a 8\n"] * 2)
    guests.answers = {
        r"kubectl.* delete ": CommandFailed("kubectl exited with code 1", code=1),
        **guests.answers,
    }
    with pytest.raises(CommandFailed, match="kubectl exited"):
        inject(site_of(guests), "delete", object="configmap/a")


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ("found \n", "the API does not have the object to delete"),
        ("found Namespace /default 8\n", "other objects are deleted together with a Namespace"),
    ],
)
def test_an_impossible_deletion_is_refused(found: str, why: str) -> None:
    guests = machines(Etcd(), found=found)
    with pytest.raises(BadUsage, match=why):
        inject(site_of(guests), "delete", object="space/default")
    assert len(guests.calls) == 1


def test_the_loop_gives_kubectl_one_object_after_another(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "machine")
    shell.add_tool("kubectl", f'cat >>"{shell.root}/asked"; echo "ConfigMap default/a 8"')
    site = site_of(FakeGuests({"": shell}))
    entry = Entry("42", "apply", "cp2", {"object": json.dumps([CONFIG_MAP, CONFIG_MAP])})
    found = objects._find(site, entry, objects._lines(objects._objects(entry.options["object"])))
    assert [each and (each.kind, each.name, each.revision) for each in found] == [
        ("ConfigMap", "default/a", 8)
    ] * 2
    asked = (shell.root / "asked").read_text().splitlines()
    assert [json.loads(line) for line in asked] == [CONFIG_MAP] * 2
    shell.add_tool("kubectl", "echo 'no matches for kind' >&2; exit 1")
    with pytest.raises(CommandFailed):
        objects._find(site, entry, ["{}"])


def test_a_heal_reads_what_was_begun_and_created(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "machine")
    folder = shell.path("/var/lib/halab/42")
    folder.mkdir(parents=True)
    for number, revision in ((1, "7"), (2, None)):
        (folder / f"begun-{number}").touch()
        if revision:
            (folder / f"applied-{number}").write_text(revision)
    (folder / "saved").write_text(saved(None, KEY, None))
    etcd = Etcd(**{KEY: (5, 9), "/registry/x/b": (7, 7)})
    guests = FakeGuests({**etcd.answers(), "": shell})
    heal(site_of(guests), Entry("42", "apply", "cp2", {"object": "unused"}))
    assert etcd.values == {KEY: OLD}
    assert list(etcd.keys) == [KEY]
    assert not folder.exists()


@pytest.mark.parametrize(
    ("fault", "text", "why"),
    [
        ("apply", "kind: ConfigMap\n", "object: the object should have an apiVersion, a kind, and a name"),
        ("apply", "a: 1\n---\nb: 1\n", "object 1 should have an apiVersion"),
        ("apply", "[]", "should be a manifest of 1 to 50 objects"),
        ("apply", "nothing", "should have an apiVersion"),
        ("apply", "a: [\n", "malformed YAML"),
        (
            "delete",
            "{apiVersion: v1, kind: Namespace, metadata: {name: x}}",
            "other objects are deleted together with a Namespace",
        ),
        ("delete", "ns/x", "other objects are deleted together with a Namespace"),
        ("delete", "crds/x", "other objects are deleted together with a CustomResourceDefinition"),
        (
            "delete",
            "customresourcedefinitions.apiextensions.k8s.io/x",
            "other objects are deleted together with a CustomResourceDefinition",
        ),
        ("delete", "coredns", "should be kind/name or a manifest, such as deployment/coredns, not coredns"),
    ],
)
def test_a_manifest_is_checked_when_it_is_read(fault: str, text: str, why: str) -> None:
    (problem,) = FAULTS[fault].problems_with({"object": text})
    assert why in problem


def test_a_list_of_kubectl_is_its_items() -> None:
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": [CONFIG_MAP, CONFIG_MAP]})
    assert objects._objects(text) == [CONFIG_MAP, CONFIG_MAP]
