"""The server: a real socket on the loopback address, and an end that leaves nothing."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import httpx
import pytest
from support.serve_room import ServeRoom

from halab.cli import main
from halab.errors import BadUsage, HalabError, HostProblem
from halab.serve import server
from halab.serve.server import serving

Shown = pytest.CaptureFixture[str]


def lab_file(room: ServeRoom) -> Path:
    return room.folder / "lab.yml"


def test_a_page_and_its_events_come_over_a_real_connection_and_all_threads_end(room: ServeRoom) -> None:
    before = threading.active_count()
    with serving([lab_file(room)], 0, room.said.append, deps=room.deps) as running:
        access = running.site.lab_access["ha"]
        with httpx.Client(base_url=running.origin, follow_redirects=True) as client:
            assert client.get(access.url("")).status_code == 200
            assert room.watched.wait(30)
            with client.stream("GET", f"{access.path}events") as events:
                lines = events.iter_lines()
                assert next(lines) == "retry: 2000"
                assert next(line for line in lines if line.startswith("data: "))
                # a stream is open while the server ends
                running.site.is_closing.set()
                assert "event: end" in list(lines)
    assert threading.active_count() <= before
    assert room.said == []


def test_a_reader_that_goes_away_disturbs_nobody(room: ServeRoom) -> None:
    with serving([lab_file(room)], 0, room.said.append, deps=room.deps) as running:
        access = running.site.lab_access["ha"]
        port = int(running.origin.rsplit(":", 1)[1])
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as rude:
                head = [
                    "GET /labs/ha/events HTTP/1.1",
                    "Host: localhost",
                    f"Cookie: {access.cookie}={access.token}",
                ]
                rude.sendall("\r\n".join([*head, "", ""]).encode())
                assert rude.recv(100).startswith(b"HTTP/1.1 200")
        assert httpx.get(f"{running.origin}{access.url('')}").status_code == 303
    assert room.said == []


def test_a_port_that_is_taken_is_told_with_what_to_do(room: ServeRoom) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(HostProblem, match=f"port {port} is taken") as told,
            serving([lab_file(room)], port, room.said.append, deps=room.deps),
        ):
            pass
    assert "--port 0" in (told.value.hint or "")


def test_a_port_that_only_root_may_use_is_told(room: ServeRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("halab.serve.server.socket.socket", Refused)
    with (
        pytest.raises(HostProblem, match="cannot listen on port 80: Permission denied"),
        serving([lab_file(room)], 80, room.said.append, deps=room.deps),
    ):
        pass


def test_two_labs_of_one_name_are_refused(room: ServeRoom) -> None:
    with (
        pytest.raises(BadUsage, match="two labs have the name ha"),
        serving([lab_file(room), lab_file(room)], 0, room.said.append, deps=room.deps),
    ):
        pass


def test_a_server_that_ends_by_itself_is_an_error(room: ServeRoom) -> None:
    with serving([lab_file(room)], 0, room.said.append, deps=room.deps) as running:
        running.site.is_closing.set()
        running._server.should_exit = True
        with pytest.raises(HalabError, match="ended unexpectedly"):
            running.wait()


def test_the_command_prints_the_addresses_and_ctrl_c_ends_it(
    room: ServeRoom, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    deps, real = room.deps, server.serving

    def wait(running: server.Serving) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server.Serving, "wait", wait)
    monkeypatch.setattr(
        server, "serving", lambda *given, with_trainer: real(*given, with_trainer=with_trainer, deps=deps)
    )
    assert main(["serve", "-f", str(lab_file(room)), "--port", "0", "--trainer"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("lab ha: http://127.0.0.1:")
    assert "\ntrainer: http://127.0.0.1:" in shown.out
    assert "Traceback" not in shown.err


def test_the_command_names_a_lab_file_that_does_not_exist(tmp_path: Path, capsys: Shown) -> None:
    assert main(["serve", "-f", str(tmp_path / "lab.yml"), "--port", "0"]) == 2
    assert "no such lab file" in capsys.readouterr().err
