"""What hosts say about themselves, and errors in a row."""

from __future__ import annotations

from dataclasses import replace

from support.fake_fleet import FACTS

from halab.matrix.hosts.host import Errors


def test_a_host_is_described_in_a_line() -> None:
    assert str(FACTS) == "8 cores, 31.2 GiB free, amd64, docker"
    unknown = replace(FACTS, free_mebibytes=None, providers=frozenset())
    assert str(unknown) == "8 cores, free memory unknown, amd64, no provider"


def test_two_cells_in_a_row_with_errors_are_too_many() -> None:
    errors = Errors.none()
    errors.add("nginx", "stop-apiserver", is_error=True)
    errors.add("nginx", "stop-apiserver", is_error=True)
    assert not errors.are_too_many
    errors.add("nginx", "kill-etcd-member", is_error=False)
    errors.add("haproxy", "stop-apiserver", is_error=True)
    assert not errors.are_too_many
    errors.add("nginx", "", is_error=True)
    assert errors.are_too_many
    assert str(errors) == "stop-apiserver on haproxy and the lab nginx"
