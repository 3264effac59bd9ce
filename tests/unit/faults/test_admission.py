"""A webhook that nobody answers: real once every API server refuses for it, and removed without any of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fakes import FakeGuests
from support.site_builder import Shell, heal, inject, site_of

from halab.errors import CommandFailed, TimedOut, Unreachable
from halab.faults import admission
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry

REFUSED = 'Error from server (InternalError): failed calling webhook "seen.halab.test": connection refused'
ALLOWED = '{"kind":"ConfigMap"}'
ENTRY = Entry("a1", "deny-by-webhook", "cp2", {"resources": "configmaps,pods"})


def answers(**said: str) -> str:
    return "".join(f"{name} {answer}\n" for name, answer in said.items())


def test_creation_fails_where_the_webhook_is_not_answered() -> None:
    made = admission.configuration(ENTRY, "https://10.213.7.12:9/")
    denied, seen = made["webhooks"]
    assert made["metadata"] == {"name": "halab-a1"}
    assert [denied["rules"][0]["resources"], denied["rules"][0]["operations"]] == [
        ["configmaps", "pods"],
        ["CREATE"],
    ]
    for each in (denied, seen):
        assert (each["failurePolicy"], each["clientConfig"]) == ("Fail", {"url": "https://10.213.7.12:9/"})
    # the second one is asked for what halab tries out, and for nothing of anybody else
    assert seen["objectSelector"] == {"matchLabels": {"halab": "a1"}}
    assert "objectSelector" not in denied


def test_the_fault_is_real_once_no_api_server_allows_what_it_denies() -> None:
    waits = answers(cp1=REFUSED, cp2=ALLOWED, cp3=REFUSED)
    guests = FakeGuests({"dryRun": [waits, answers(cp1=REFUSED, cp2=REFUSED, cp3="connection refused")]})
    _, seen = inject(site_of(guests), "deny-by-webhook", resources="configmaps")
    assert seen == f"refused by the API servers of cp1, cp2: {REFUSED}"


@pytest.mark.parametrize(
    "said", [answers(cp1=REFUSED, cp2=REFUSED, cp3=ALLOWED), answers(cp1="no", cp2="no", cp3="no"), ""]
)
def test_an_api_server_that_allows_it_or_does_not_answer_shows_no_effect(said: str) -> None:
    with pytest.raises(TimedOut, match="the webhook of cp2 to be asked"):
        inject(site_of(FakeGuests({"dryRun": said})), "deny-by-webhook", resources="configmaps")


def test_every_api_server_is_asked_and_the_last_line_of_its_answer_counts(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "machine")
    said = f"echo 'W: a warning' >&2; echo '{REFUSED}' >&2"
    shell.add_tool("kubectl", f'read -r asked; echo "$asked" >>"{shell.root}/asked"; {said}; exit 1')
    entry, seen = inject(site_of(FakeGuests({"dryRun": shell})), "deny-by-webhook", resources="configmaps")
    assert seen == f"refused by the API servers of cp1, cp2, cp3: {REFUSED}"
    for number, call in enumerate(shell.did, 1):
        assert f"--server=https://10.213.7.1{number}:6443 create --raw" in call
        # tried, and never made
        assert "?dryRun=All" in call
    for line in (shell.root / "asked").read_text().splitlines():
        assert json.loads(line)["metadata"] == {"name": f"halab-{entry.id}", "labels": {"halab": entry.id}}


def test_a_webhook_that_was_not_created_is_not_waited_for() -> None:
    refused = CommandFailed("on cp2", code=1, output="no such server")
    guests = FakeGuests({"create -f -": refused})
    with pytest.raises(CommandFailed):
        inject(site_of(guests), "deny-by-webhook", resources="configmaps")
    assert len(guests.calls) == 1


def test_the_webhook_is_removed_through_any_member_that_answers() -> None:
    guests = FakeGuests({"cp2: .*etcdctl": CommandFailed("on cp2", code=1), "cp1: ": Unreachable("cp1")})
    heal(site_of(guests), ENTRY)
    assert [call.machine for call in guests.calls] == ["cp2", "cp2", "cp1", "cp3"]


def test_the_webhook_has_the_resources_of_the_option() -> None:
    guests = FakeGuests({"dryRun": answers(cp1=REFUSED)})
    inject(site_of(guests), "deny-by-webhook", resources="leases")
    (written,) = [call.input for call in guests.calls if call.input]
    assert json.loads(written)["webhooks"][0]["rules"][0]["resources"] == ["leases"]


def test_the_webhook_is_removed_from_etcd_after_a_creation_that_still_runs() -> None:
    guests = FakeGuests()
    heal(site_of(guests), ENTRY)
    lock, removal = (call.command for call in guests.calls)
    assert "flock 9" in lock
    assert "del /registry/validatingwebhookconfigurations/halab-a1" in removal
    assert "kubectl" not in removal


@pytest.mark.parametrize(
    ("resources", "fits"), [("pods,configmaps", True), ("pods/status", True), ("Pods", False)]
)
def test_resources_have_the_names_of_the_api(resources: str, fits: bool) -> None:
    assert (list(FAULTS["deny-by-webhook"].problems_with({"resources": resources})) == []) is fits
