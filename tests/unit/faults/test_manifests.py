"""Faults of static pods: the kubelet has acted before they return, and every original comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.fakes import FakeGuests, captured
from support.site_builder import heal, inject, site_of

from halab.config.kubeadm_fields import STATIC_PODS
from halab.errors import BadUsage, LabProblem, TimedOut
from halab.faults import manifests
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.faults.structured import as_yaml

ORIGINAL = captured("kube-scheduler.yaml")
FOLDER = "/etc/kubernetes/manifests"
HELD = "/etc/kubernetes/halab-held"
OLD_LOG = "/var/log/pods/kube-system_kube-scheduler-cp2_1/kube-scheduler/0.log"
NEW_LOG = "/var/log/pods/kube-system_kube-scheduler-cp2_2/kube-scheduler/0.log"


def machines(*looks: str, **answers: str) -> FakeGuests:
    """Machines whose kubelet is seen to do one thing after another."""
    return FakeGuests(
        {
            **answers,
            "grep -v": "Error: unknown flag",
            "find /var/log/pods": list(looks),
            "cat /etc": ORIGINAL,
        }
    )


def written(guests: FakeGuests) -> tuple[str, str]:
    """What was put among the manifests, and where."""
    (call,) = [call for call in guests.calls if call.input]
    assert call.input
    return call.command.split()[-1], call.input


def command_of(manifest: str) -> list[str]:
    return list(yaml.safe_load(manifest)["spec"]["containers"][0]["command"])


def test_a_held_pod_is_waited_for_until_it_stopped() -> None:
    guests = FakeGuests({"pgrep": ["1\n", "1\n", ""]})
    _, seen = inject(site_of(guests), "hold-static-pod", pod="etcd")
    assert seen == "etcd is stopped"
    assert f"mv -f {FOLDER}/etcd.yaml {HELD}/etcd.yaml" in guests.commands("cp2")[1]


def test_a_pod_that_another_fault_holds_is_not_held_twice() -> None:
    guests = FakeGuests({"ls -d": f"{HELD}/etcd.yaml\n"})
    with pytest.raises(BadUsage, match="another fault has changed the manifest of etcd on cp2"):
        inject(site_of(guests), "hold-static-pod", pod="etcd")


def test_a_held_pod_is_let_go_without_the_api() -> None:
    guests = FakeGuests()
    heal(site_of(guests), Entry("1", "hold-static-pod", "cp2", {"pod": "etcd"}))
    (command,) = guests.commands("cp2")
    assert f"mv -f {HELD}/etcd.yaml {FOLDER}/etcd.yaml" in command
    assert "kubectl" not in command


def test_a_held_manifest_is_never_in_the_folder_of_manifests() -> None:
    assert not HELD.startswith(FOLDER)
    assert manifests.HELD == HELD


def test_a_flag_is_added_to_a_manifest() -> None:
    changed = manifests.with_flag(ORIGINAL, "--no-such-flag=1")
    assert sorted(command_of(changed)) == sorted([*command_of(ORIGINAL), "--no-such-flag=1"])
    assert command_of(changed)[0] == "kube-scheduler"


def test_a_flag_is_replaced_and_a_flag_with_a_longer_name_stays() -> None:
    text = ORIGINAL.replace(
        "    - --leader-elect=true\n", "    - --leader-elect=true\n    - --leader-elect-x=1\n"
    )
    flags = command_of(manifests.with_flag(text, "--leader-elect=false"))
    assert [flag for flag in flags if "leader-elect" in flag] == [
        "--leader-elect=false",
        "--leader-elect-x=1",
    ]


def test_a_manifest_without_a_command_cannot_be_edited() -> None:
    with pytest.raises(LabProblem, match="no command"):
        manifests.with_flag("kind: Pod\n", "--v=1")


def test_an_edited_manifest_is_waited_for_until_its_process_runs() -> None:
    guests = machines(
        f"runs\n{OLD_LOG}\n", f"runs\n{OLD_LOG}\n", f"{OLD_LOG}\n", f"runs\nchanged\n{OLD_LOG}\n{NEW_LOG}\n"
    )
    entry, seen = inject(site_of(guests), "edit-manifest", pod="kube-scheduler", flag="--v=4")
    assert seen == "kube-scheduler runs with --v=4"
    path, text = written(guests)
    assert path == f"{FOLDER}/kube-scheduler.yaml"
    assert "--v=4" in command_of(text)
    commands = guests.commands("cp2")
    kept = next(
        index for index, each in enumerate(commands) if f"{HELD}/{entry.id}/kube-scheduler.yaml" in each
    )
    assert kept < next(index for index, each in enumerate(commands) if each.endswith(f"new {path}"))


def test_several_flags_are_set_and_removed_at_once() -> None:
    flags = '{"v": 4, "--profiling": false, "leader-elect": null}'
    guests = machines("runs\n", "runs\nchanged\n")
    _, seen = inject(site_of(guests), "edit-manifest", pod="kube-scheduler", flags=flags, flag="--x=1")
    assert seen == "kube-scheduler runs with --x=1, --v=4, --profiling=false, no --leader-elect"
    command = command_of(written(guests)[1])
    assert {"--x=1", "--v=4", "--profiling=false"} <= set(command)
    assert not any(word.startswith("--leader-elect=") for word in command)
    tests = [f"grep -qxF -e {flag}" for flag in ("--x=1", "--v=4", "--profiling=false")]
    assert all(test in guests.commands("cp2")[-1] for test in tests)


def test_any_field_of_a_manifest_is_patched_and_the_new_process_has_another_start_time() -> None:
    patch = '[{"op": "replace", "path": "/spec/containers/0/livenessProbe/httpGet/port", "value": 1}]'
    guests = machines("runs\n", "runs\n", "runs\nchanged\n", **{"^cp2: pid=": "4711\n"})
    _, seen = inject(site_of(guests), "edit-manifest", pod="kube-scheduler", json_patch=patch)
    assert seen == "kube-scheduler runs with the changed manifest"
    changed, original = yaml.safe_load(written(guests)[1]), yaml.safe_load(ORIGINAL)
    assert changed["spec"]["containers"][0]["livenessProbe"]["httpGet"].pop("port") == 1
    original["spec"]["containers"][0]["livenessProbe"]["httpGet"].pop("port")
    assert changed == original
    assert "!= '4711' ]" in guests.commands("cp2")[-1]


def test_a_patched_pod_that_never_starts_is_an_effect() -> None:
    patch = '[{"op": "replace", "path": "/spec/containers/0/image", "value": "none:1"}]'
    guests = machines(f"runs\n{OLD_LOG}\n", f"{OLD_LOG}\n")
    site = site_of(guests)
    _, seen = inject(site, "edit-manifest", pod="kube-scheduler", json_patch=patch)
    assert seen == "kube-scheduler has ended, and does not start with the changed manifest"
    assert 29 < sum(site.clock.slept) < 32  # type: ignore[attr-defined]


def test_a_manifest_that_yaml_could_read_in_two_ways_is_written_as_json() -> None:
    assert as_yaml({"a": "1e3"}) == '{\n  "a": "1e3"\n}'
    assert as_yaml({"a": "on", "b": "1:30"}) == "a: 'on'\nb: '1:30'\n"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"flags": '{"leader-elect": "true"}'}, "already has that flag: --leader-elect=true"),
        ({"flags": '{"none": null}'}, "the manifest of kube-scheduler on cp2 is like this already"),
        ({"json_patch": '[{"op": "test", "path": "/kind", "value": "Pod"}]'}, "is like this already"),
        (
            {"json_patch": '[{"op": "remove", "path": "/spec/none"}]'},
            "the patch does not fit the manifest of kube-scheduler on cp2: the path of operation 1 does not exist",
        ),
    ],
)
def test_an_edit_that_changes_nothing_or_does_not_fit_is_refused(options: dict[str, str], why: str) -> None:
    with pytest.raises(BadUsage, match=why):
        inject(site_of(machines("runs\n")), "edit-manifest", pod="kube-scheduler", **options)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "edit-manifest changes nothing: give it flag, flags or json_patch"),
        ({"flags": "[a]"}, "flags: should be a mapping"),
        ({"flags": '{"v": [1]}'}, "flags: is not a flag with a value: v: [1]"),
        ({"flags": '{"V": 1}'}, "flags: is not a flag with a value: V: 1"),
        ({"flags": '{"v": "a b"}'}, "flags: is not a flag with a value"),
        ({"json_patch": "{}"}, "json_patch: should be a list of operations"),
    ],
)
def test_wrong_edits_are_named(given: dict[str, str], why: str) -> None:
    (problem,) = FAULTS["edit-manifest"].problems_with({"pod": "etcd", **given})
    assert why in problem


def test_a_process_that_dies_of_its_flag_is_known_by_its_log() -> None:
    guests = machines(f"runs\n{OLD_LOG}\n", f"{OLD_LOG}\n", f"{OLD_LOG}\n{NEW_LOG}\n")
    _, seen = inject(site_of(guests), "edit-manifest", pod="kube-scheduler", flag="--bad=1")
    assert seen == "kube-scheduler exits as soon as it is started with --bad=1: Error: unknown flag"
    assert NEW_LOG in guests.commands("cp2")[-1]


def test_a_kubelet_that_does_nothing_is_a_fault_without_effect() -> None:
    with pytest.raises(TimedOut, match="last seen: kube-scheduler still runs without it"):
        inject(site_of(machines("runs\n")), "edit-manifest", pod="kube-scheduler", flag="--v=4")


def test_a_flag_that_is_already_set_is_refused() -> None:
    guests = machines("runs\n")
    with pytest.raises(BadUsage, match="kube-scheduler on cp2 already has that flag: --leader-elect=true"):
        inject(site_of(guests), "edit-manifest", pod="kube-scheduler", flag="--leader-elect=true")


@pytest.mark.parametrize("fault", ["edit-manifest", "stray-manifest"])
def test_a_manifest_that_another_fault_has_is_left_alone(fault: str) -> None:
    guests = machines("runs\n", **{"ls -d": f"{HELD}/0123/kube-scheduler.yaml\n"})
    options = {"pod": "kube-scheduler"} | ({"flag": "--v=4"} if fault == "edit-manifest" else {})
    with pytest.raises(BadUsage, match="another fault has changed the manifest of kube-scheduler on cp2"):
        inject(site_of(guests), fault, **options)


def test_an_original_comes_back_to_its_place_or_to_the_fault_that_holds_it() -> None:
    guests = FakeGuests()
    heal(site_of(guests), Entry("42", "edit-manifest", "cp2", {"pod": "etcd", "flag": "--x"}))
    (command,) = guests.commands("cp2")
    assert f"to={FOLDER}/etcd.yaml; [ ! -e {HELD}/etcd.yaml ] || to={HELD}/etcd.yaml" in command
    assert f"rm -rf {HELD}/42" in command


@pytest.mark.parametrize("pod", STATIC_PODS)
def test_a_stray_manifest_is_beside_the_original_with_another_flag(pod: str) -> None:
    guests = machines("runs\n", "runs\nchanged\n")
    _, seen = inject(site_of(guests), "stray-manifest", pod=pod)
    path, text = written(guests)
    assert path == f"{FOLDER}/{pod}.yaml.bak"
    assert text != ORIGINAL
    assert seen.startswith(f"{pod} runs with --")


def test_a_stray_manifest_is_removed_before_the_original_is_written_again() -> None:
    guests = FakeGuests()
    heal(site_of(guests), Entry("42", "stray-manifest", "cp2", {"pod": "etcd"}))
    (command,) = guests.commands("cp2")
    assert command.index(f"rm -f {FOLDER}/etcd.yaml.bak") < command.index(
        f"mv -f {HELD}/42/again {FOLDER}/etcd.yaml"
    )


def test_only_a_static_pod_of_kubeadm_can_be_chosen() -> None:
    for fault in ("hold-static-pod", "edit-manifest", "stray-manifest"):
        assert any("pod: should be" in line for line in FAULTS[fault].problems_with({"pod": "../../x"}))


def test_manifests_are_replaced_from_outside_of_their_folder() -> None:
    guests = machines("runs\n", "runs\nchanged\n")
    inject(site_of(guests), "edit-manifest", pod="kube-scheduler", flag="--v=4")
    for command in guests.commands("cp2"):
        for word in command.split():
            if word.startswith(f">{FOLDER}"):
                pytest.fail(f"written in place: {Path(word).name}")
