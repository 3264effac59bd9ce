"""The records of the endpoint's name, as states of the control planes."""

from __future__ import annotations

import asyncio

import pytest

from halab.cluster.names import Answer, NameServer
from halab.errors import Unreachable
from halab.scenario.sampler.record_source import Records

SERVER = NameServer("10.213.7.10", "api.ha.internal")
CONTROL_PLANES = {"cp1": "10.213.7.11", "cp2": "10.213.7.12"}


def read(
    monkeypatch: pytest.MonkeyPatch, answer: Answer | Unreachable
) -> list[tuple[str | None, str | None, str]]:
    def look_up(self: NameServer) -> Answer:
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    monkeypatch.setattr(NameServer, "look_up", look_up)
    source = Records(SERVER, CONTROL_PLANES, 0.0)
    readings = asyncio.run(source.read())
    source.close()
    assert {reading.state for reading in readings} == {"dns-record"}
    return [(reading.machine, reading.value, reading.detail) for reading in readings]


def test_a_control_plane_has_a_record_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, Answer(("10.213.7.12",), 30))
    assert found == [("cp1", "absent", ""), ("cp2", "listed", "")]


def test_without_an_answer_the_records_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, Unreachable("no answer"))
    assert found == [("cp1", None, "no answer"), ("cp2", None, "no answer")]
