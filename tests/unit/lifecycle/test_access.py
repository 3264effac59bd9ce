"""The kubeconfig of a lab whose endpoint has several addresses names one that accepts connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fakes import brought_up, lab_of

from halab.cluster import names
from halab.cluster.names import Answer, NameServer
from halab.errors import Unreachable
from halab.lifecycle import access
from halab.lifecycle.lab import LabDir, open_file

KUBECONFIG = "clusters:\n- cluster:\n    server: https://{address}:6443\n  name: ha\n"


@pytest.fixture
def lab_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabDir:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    brought_up(tmp_path)
    opened = open_file(tmp_path / "lab.yml")
    opened.work.kubeconfig.write_text(KUBECONFIG.format(address="10.213.7.11"))
    lab = lab_of(load_balancer={"kind": "local"})
    monkeypatch.setattr(access, "existing", lambda lab_dir: lab)
    return opened


def accepting(monkeypatch: pytest.MonkeyPatch, *accept: str) -> None:
    def first(addresses: Any, port: int, seconds: float, tunnel: str | None) -> str | None:
        return next((address for address in addresses if address in accept), None)

    monkeypatch.setattr(names, "accepting_address", first)


@pytest.mark.parametrize(
    ("accept", "address"),
    [
        (["10.213.7.11", "10.213.7.12"], "10.213.7.11"),
        (["10.213.7.13"], "10.213.7.13"),
        # nothing better is known
        ([], "10.213.7.11"),
    ],
)
def test_the_kubeconfig_gets_an_address_that_accepts(
    accept: list[str], address: str, lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepting(monkeypatch, *accept)
    assert access.kubeconfig_of_now(lab_dir).read_text() == KUBECONFIG.format(address=address)


def test_a_later_client_may_get_another_one(lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch) -> None:
    accepting(monkeypatch, "10.213.7.13")
    access.kubeconfig_of_now(lab_dir)
    accepting(monkeypatch, "10.213.7.12", "10.213.7.13")
    assert "https://10.213.7.12:6443" in access.kubeconfig_of_now(lab_dir).read_text()


def test_one_address_stays(lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "existing", lambda lab_dir: lab_of())
    accepting(monkeypatch, "10.213.7.10")
    assert access.kubeconfig_of_now(lab_dir).read_text() == KUBECONFIG.format(address="10.213.7.11")


def test_with_dns_the_addresses_are_those_that_the_name_has_now(
    lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "existing", lambda lab_dir: lab_of(load_balancer={"kind": "dns"}))
    monkeypatch.setattr(NameServer, "look_up", lambda self: Answer(("10.213.7.13",), 30))
    accepting(monkeypatch, "10.213.7.11", "10.213.7.13")
    assert access.kubeconfig_of_now(lab_dir).read_text() == KUBECONFIG.format(address="10.213.7.13")


def test_without_a_dns_server_the_kubeconfig_stays(lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(self: NameServer) -> Answer:
        raise Unreachable("no answer from the DNS server")

    monkeypatch.setattr(access, "existing", lambda lab_dir: lab_of(load_balancer={"kind": "dns"}))
    monkeypatch.setattr(NameServer, "look_up", silent)
    accepting(monkeypatch, "10.213.7.12")
    assert access.kubeconfig_of_now(lab_dir).read_text() == KUBECONFIG.format(address="10.213.7.11")
