"""Labs on another host: its address, and the tunnels to it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml
from support.fakes import brought_up, lab_of
from support.http_server import OK, Serve, saying, served

from halab.cluster.api import Api
from halab.cluster.connection import Answer, Connection, RepeatedRequest, Server
from halab.config.lab import LabFile, ProviderKind
from halab.config.loading import loads
from halab.config.remote import Remote
from halab.errors import BadFile, HostProblem, LabProblem, TunnelLost, Unreachable
from halab.lifecycle import access, workfiles
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.machines.host import tunnel
from halab.machines.host.tunnel import Tunnels
from halab.machines.vagrant import Vagrant
from halab.topology import files
from halab.topology.files import HostValues

FARM = Remote("farm")
HOST = HostValues(
    work="/w", identity="id", base="image", private_key="/w/key", public_key="ssh-ed25519 A", proxies={}
)


# addresses of other hosts


@pytest.mark.parametrize(
    ("address", "remote"),
    [
        ("ssh://farm", FARM),
        ("ssh://ada@Farm.example:2222", Remote("Farm.example", "ada", 2222)),
        ("qemu+ssh://barn/system", Remote("barn")),
        ("qemu+ssh://ada@farm:22/system?keyfile=/k%20ey", Remote("farm", "ada", 22, "/k ey")),
        ("ssh://[fe80::1]", Remote("fe80::1")),
        ("unix:///var/run/docker.sock", None),
        ("tcp://farm:2375", None),
        ("qemu:///system", None),
        ("", None),
        (None, None),
    ],
)
def test_only_an_address_over_ssh_is_a_remote_host(address: str | None, remote: Remote | None) -> None:
    assert Remote.of(address) == remote


@pytest.mark.parametrize(
    "address",
    ["ssh://", "ssh:///run/docker.sock", "ssh://-oProxyCommand=id", "ssh://-x@farm", "ssh://a:b@farm", "ssh://fa rm",
     "ssh://farm:many", "ssh://$(id)", "qemu+ssh:///system"],
)  # fmt: skip
def test_an_address_that_ssh_could_misread_is_refused(address: str) -> None:
    with pytest.raises(ValueError):
        Remote.of(address)


def test_every_value_is_one_word_for_ssh() -> None:
    remote = Remote("farm", "ada", 2222, "/my keys/50%")
    assert remote.ssh("-N")[-6:] == ["-p", "2222", "-i", "/my keys/50%", "-N", "ada@farm"]
    assert remote.proxy_command.endswith(" -p 2222 -i '/my keys/50%%' -W %h:%p ada@farm")
    assert "BatchMode=yes" in remote.proxy_command


# the lab file


def problems(text: str) -> list[str]:
    with pytest.raises(BadFile) as caught:
        loads(text, "lab.yml", LabFile)
    return [str(each) for each in caught.value.problems]


def test_provider_uri_is_for_libvirt_only() -> None:
    uri = "qemu+ssh://ada@farm/system"
    assert loads(f"provider: libvirt\nprovider_uri: {uri}\n", "lab.yml", LabFile).provider_uri == uri
    for provider in ("docker", "auto"):
        (said,) = problems(f"provider: {provider}\nprovider_uri: {uri}\n")
        assert said.startswith("lab.yml:2: provider_uri: is for libvirt only: write `provider: libvirt`")


@pytest.mark.parametrize(
    "uri",
    ["farm", "http://barn/system", "qemu+ssh://farm", "qemu+ssh://barn/session", "qemu+ssh://-x/system",
     "qemu+tcp://barn/system", "qemu://barn/system", "qemu+ssh://farm:99999/system"],
)  # fmt: skip
def test_an_address_that_is_not_of_a_system_is_reported_with_its_line(uri: str) -> None:
    (said,) = problems(f"provider: libvirt\nprovider_uri: {uri}\n")
    assert said.startswith("lab.yml:2: provider_uri: ")


@pytest.mark.parametrize(
    "query",
    ["keyfile=/k%20ey", "keyfile=/home/jo%C3%A3o/.ssh/farm", "mode=direct", "proxy=native", "no_tty=1",
     "socket=/run/libvirt/libvirt-sock&keyfile=/k"],
)  # fmt: skip
def test_known_parameters_of_libvirt_are_passed_on(query: str) -> None:
    uri = f"qemu+ssh://ada@farm/system?{query}"
    assert loads(f"provider: libvirt\nprovider_uri: {uri}\n", "lab.yml", LabFile).provider_uri == uri


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("command=/tmp/x", "the parameter command, which halab refuses: it would run a program on this"),
        ("keyfile=/k&command=/tmp/x", "the parameter command, which halab refuses"),
        ("%63ommand=/tmp/x", "the parameter command, which halab refuses"),
        ("netcat=/bin/sh", "the parameter netcat, which halab refuses"),
        ("no_verify=1", "the parameter no_verify, which halab refuses: halab always verifies"),
        ("keyfle=/k", "an unknown parameter: keyfle; did you mean keyfile?"),
        ("tls_priority=x", "an unknown parameter: tls_priority; known: keyfile, mode, no_tty"),
        ("keyfile", "keyfile=, which should be an absolute path"),
        ("keyfile=k", "keyfile=k, which should be an absolute path"),
        ("keyfile=/k';id;'", "which should be an absolute path"),
        ("keyfile=/k%27%3Bid", "which should be an absolute path"),
        ("keyfile=/k$(id)", "which should be an absolute path"),
        ("keyfile=/50%25", "which should be an absolute path"),
        ("keyfile=/k;command=/x", "which should be an absolute path"),
        ("keyfile=/a+b", "a + in its parameters: write %20 for a space, %2B for a plus"),
        ("keyfile=/a&keyfile=/b", "the parameter keyfile twice"),
        ("keyfile=/k%0AMatch%20exec%20id", "a character that cannot be printed (U+000A)"),
        ("mode=any", "mode=any, which should be auto, direct or legacy"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("variable", [False, True])
def test_a_parameter_that_could_do_more_than_name_a_key_is_refused(
    query: str, said: str, variable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"qemu+ssh://ada@farm/system?{query}"
    if variable:
        monkeypatch.setenv("LIBVIRT_DEFAULT_URI", uri)
        with pytest.raises(HostProblem, match=f"^LIBVIRT_DEFAULT_URI has .*{re.escape(said)}"):
            labs.remote_of(place_in(tmp_path, "provider: libvirt\n"))
    else:
        (problem,) = problems(f"provider: libvirt\nprovider_uri: {json.dumps(uri)}\n")
        assert problem.startswith("lab.yml:2: provider_uri: has ")
        assert said in problem


@pytest.mark.parametrize(
    "uri",
    ["qemu+ssh://host/system\n", "qemu+ssh://ho\nst/system", "qemu+ssh://host/sys\ttem", "qemu+ssh://host%0A/system",
     "qemu+ssh://host/system#\x1b", "qemu:///system\x00", "qemu+ssh://host/system?keyfile=/k\u2028"],
)  # fmt: skip
def test_an_address_with_a_control_character_is_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = problems(f"provider: libvirt\nprovider_uri: {json.dumps(uri)}\n")
    assert "a character that cannot be printed" in said
    with pytest.raises(ValueError, match="cannot be printed"):
        Remote.of(uri.replace("qemu+ssh", "ssh"))


def test_an_address_of_docker_has_no_parameters() -> None:
    for address in ("ssh://farm?keyfile=/k", "ssh://farm#x"):
        with pytest.raises(ValueError, match="only a user, a host and a port"):
            Remote.of(address)


# rendering


@pytest.mark.parametrize("provider", ["docker", "libvirt"])
def test_render_does_not_ask_another_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    ssh_that(tmp_path, monkeypatch, f'echo "$@" >>"{tmp_path}/asked"; exit 255')
    monkeypatch.setenv("DOCKER_HOST", "ssh://farm")
    text = "provider: libvirt\nprovider_uri: qemu+ssh://barn/system\n" if provider == "libvirt" else ""
    lab_dir = place_in(tmp_path, text)
    lab, changed = workfiles.preview(lab_dir)
    assert "Vagrantfile" in changed
    assert lab.network == IPv4Network("10.213.0.0/24")
    assert not (tmp_path / "asked").exists()


def test_machines_on_another_host_are_reached_through_it() -> None:
    reached = {"cp1": "172.17.0.2"}
    config = files.ssh_config(
        lab_of(), reached, private_keys={"cp1": "/k"}, known_hosts="/h", proxy_command=FARM.proxy_command
    )
    assert f"  ProxyCommand {FARM.proxy_command}\n" in config
    assert "Proxy" not in files.ssh_config(lab_of(), reached, private_keys={"cp1": "/k"}, known_hosts="/h")


def test_the_vagrantfile_has_the_way_to_the_other_host() -> None:
    here = files.work_files(lab_of(), HOST)["Vagrantfile"]
    there = files.work_files(lab_of(), replace(HOST, proxy_command=FARM.proxy_command))["Vagrantfile"]
    assert f"override.ssh.proxy_command = '{FARM.proxy_command}'" in there
    assert "proxy_command" not in here
    virtual = lab_of(provider=ProviderKind.LIBVIRT)
    uri = "qemu+ssh://barn/system"
    assert (
        f"libvirt.uri = '{uri}'" in files.work_files(virtual, replace(HOST, provider_uri=uri))["Vagrantfile"]
    )
    assert "libvirt.uri = 'qemu:///system'" in files.work_files(virtual, HOST)["Vagrantfile"]


def test_the_vagrantfile_names_the_libvirt_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vagrant's plugin reads no LIBVIRT_DEFAULT_URI beside `qemu_use_session` (0.11.2, `_default_uri`)."""
    uri = "qemu:///system?socket=/run/halab-barn/libvirt/libvirt-sock"
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", uri)
    lab_dir = place_in(tmp_path, "provider: libvirt\n")
    workfiles.preview(lab_dir)
    text = (lab_dir.work.path / "Vagrantfile").read_text()
    assert text.count(f"libvirt.uri = '{uri}'") == text.count("libvirt.qemu_use_session = false") == 4


# the lab that is up


def place_in(folder: Path, text: str = "") -> LabDir:
    path = folder / "lab.yml"
    path.write_text(text)
    return labs.open_file(path)


def test_a_lab_stays_on_its_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://farm")
    lab_dir = place_in(tmp_path)
    brought_up(tmp_path, host="farm")
    assert labs.existing(lab_dir).name == "ha"
    monkeypatch.setenv("DOCKER_HOST", "ssh://ada@barn")
    with pytest.raises(LabProblem, match="is up on farm, but the settings now name ada@barn") as caught:
        labs.existing(lab_dir)
    assert caught.value.hint == "export DOCKER_HOST=ssh://farm"
    monkeypatch.delenv("DOCKER_HOST")
    with pytest.raises(LabProblem, match="but the settings now name this host"):
        labs.existing(lab_dir)


def test_an_allocation_without_a_host_is_on_this_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab_dir = place_in(tmp_path)
    brought_up(tmp_path)
    assert labs.existing(lab_dir).network == IPv4Network("10.213.0.0/24")
    monkeypatch.setenv("DOCKER_HOST", "ssh://farm")
    with pytest.raises(LabProblem, match="is up on this host, but the settings now name farm") as caught:
        labs.existing(lab_dir)
    assert caught.value.hint == "unset DOCKER_HOST"


def test_a_variable_with_a_bad_value_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://")
    with pytest.raises(HostProblem, match="DOCKER_HOST names no host: ssh://"):
        labs.remote_of(place_in(tmp_path))


# tunnels


def ssh_that(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script in the place of ssh."""
    (folder / "ssh").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'ada@farm: Permission denied' >&2; exit 255", "cannot reach farm over SSH: ada@farm: Permission"),
        ("echo 'sh: docker: not found' >&2; exit 127", "no docker on farm: sh: docker: not found"),
        ("echo tcp://barn:2375", "docker on farm uses an engine on another host: tcp://barn:2375"),
    ],
)  # fmt: skip
def test_a_missing_engine_on_another_host_is_reported_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    ssh_that(tmp_path, monkeypatch, script)
    with pytest.raises(HostProblem) as caught:
        tunnel.TUNNELS.to(FARM, engine=True)
    assert caught.value.message.startswith(said)
    assert caught.value.hint


def test_a_refused_tunnel_is_reported_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh_that(tmp_path, monkeypatch, "echo 'Host key verification failed.' >&2; exit 255")
    with pytest.raises(
        HostProblem, match="cannot reach farm over SSH: Host key verification failed"
    ) as caught:
        tunnel.TUNNELS.to(FARM)
    assert caught.value.hint == "this must work without asking for anything: ssh farm true"


# An ssh that is logged in: it listens at the given addresses until its input ends.
LET_IN = """
import os, socket, sys
words = sys.argv[1:]
open(os.environ["TOLD"], "a").write(repr(words) + "\\n")
held = []
for flag, where in zip(words, words[1:]):
    if flag == "-D" or (flag == "-L" and where.startswith("/")):
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].bind(where.partition(":")[0])
    elif flag == "-L":
        host, port = where.split(":")[:2]
        held.append(socket.socket())
        held[-1].bind((host, int(port)))
    else:
        continue
    held[-1].listen()
if words[-1] == "cat":
    sys.stdin.read()
else:
    print("unix:///run/docker.sock")
"""


@pytest.fixture
def let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file with the arguments of that ssh, a line per call."""
    (tmp_path / "let_in.py").write_text(LET_IN)
    told = tmp_path / "told"
    ssh_that(tmp_path, monkeypatch, f'TOLD="{told}" exec "{sys.executable}" "{tmp_path}/let_in.py" "$@"')
    with Tunnels() as tunnels:
        monkeypatch.setattr(tunnel, "TUNNELS", tunnels)
        yield told


def test_only_the_user_may_use_a_tunnel(let_in: Path) -> None:
    found = tunnel.TUNNELS.to(FARM, engine=True)
    assert found.engine is not None
    for path in Path(found.socket), found.engine:
        assert path.is_socket()
        assert path.parent.stat().st_mode & 0o777 == 0o700
    asked, started = let_in.read_text().splitlines()
    assert "docker context inspect" in asked
    assert f"'-D', '{found.socket}'" in started and f"'-L', '{found.engine}:/run/docker.sock'" in started
    assert "127.0.0.1" not in started
    assert tunnel.TUNNELS.to(FARM, engine=True) is found


def test_closed_tunnels_leave_no_folder(let_in: Path) -> None:
    folder = Path(tunnel.TUNNELS.to(FARM).socket).parent
    tunnel.TUNNELS.close()
    assert not folder.exists()


def test_kubectl_gets_a_port_that_leads_only_to_the_api(
    tmp_path: Path, let_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://farm")
    lab_dir = place_in(tmp_path)
    brought_up(tmp_path, host="farm")
    cluster = "clusters:\n- cluster:\n    server: https://10.213.0.10:6443\n  name: ha\n"
    lab_dir.work.kubeconfig.write_text(cluster)
    path = access.tunnelled_kubeconfig(lab_dir, FARM)
    assert path.stat().st_mode & 0o777 == 0o600
    (written,) = yaml.safe_load(path.read_text())["clusters"]
    server = written["cluster"].pop("server")
    assert written == {"name": "ha", "cluster": {"tls-server-name": "10.213.0.10"}}
    port = server.removeprefix("https://127.0.0.1:")
    assert f"'-L', '127.0.0.1:{port}:10.213.0.10:6443'" in let_in.read_text()
    assert "'-D'" not in let_in.read_text()
    # the lab's own kubeconfig, for users on that host and for `halab kubectl`, does not change
    assert lab_dir.work.kubeconfig.read_text() == cluster


# connections through the proxy


@asynccontextmanager
async def served_at(serve: Serve) -> AsyncIterator[str]:
    """The path of the Unix socket of a server."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.transport.abort()

    with tempfile.TemporaryDirectory() as folder:
        server = await asyncio.start_unix_server(guarded, f"{folder}/socks")
        try:
            yield f"{folder}/socks"
        finally:
            server.close()


def proxied(target: Server) -> tuple[Serve, list[bytes]]:
    """A SOCKS5 proxy that leads to one server, as `ssh -D` does: it closes if the server refuses."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\x05\x00")
        head = await reader.readexactly(5)
        asked.append(
            await reader.readexactly(head[4]) + b":%d" % int.from_bytes(await reader.readexactly(2), "big")
        )
        there, back = await asyncio.open_connection(target.host, target.port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))

        async def pump(one: asyncio.StreamReader, other: asyncio.StreamWriter) -> None:
            while data := await one.read(4096):
                other.write(data)
            other.close()

        await asyncio.gather(pump(reader, back), pump(there, writer))

    return serve, asked


def test_a_question_goes_through_the_tunnel() -> None:
    async def ask() -> tuple[Answer, list[bytes]]:
        async with served(saying(OK)) as server:
            serve, asked = proxied(server)
            async with served_at(serve) as proxy:
                through = Server("10.213.0.10", 6443, tunnel=proxy)
                async with await Connection.open(through) as connection:
                    return await connection.ask("GET", "/"), asked

    assert asyncio.run(ask()) == (Answer(200, b"ok"), [b"10.213.0.10:6443"])


def test_a_server_that_does_not_listen_there_is_unreachable() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)

    async def ask() -> None:
        async with served_at(hang_up) as proxy:
            await Connection.open(Server("10.213.0.10", 6443, tunnel=proxy))

    with pytest.raises(Unreachable, match="disconnected"):
        asyncio.run(ask())


def api_through(proxy: str, timeout_seconds: float = 5) -> Api:
    return Api(
        "http://10.213.0.10:6443",
        ssl.create_default_context(),
        timeout_seconds=timeout_seconds,
        tunnel=proxy,
    )


def test_the_api_is_asked_through_the_tunnel() -> None:
    async def ask() -> tuple[int, list[bytes]]:
        async with served(saying(OK)) as server:
            serve, asked = proxied(server)
            async with served_at(serve) as proxy:
                response = await asyncio.to_thread(api_through(proxy).ask, "GET", "/")
                return response.status_code, asked

    assert asyncio.run(ask()) == (200, [b"10.213.0.10:6443"])


def test_a_question_to_a_machine_without_power_ends_at_its_time_limit() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\x05\x00")
        await reader.read()

    async def ask() -> None:
        async with served_at(silent) as proxy:
            await asyncio.to_thread(api_through(proxy, 0.2).get, "/")

    with pytest.raises(Unreachable, match="timed out"):
        asyncio.run(asyncio.wait_for(ask(), 10))


def test_a_lost_tunnel_says_nothing_about_the_lab() -> None:
    async def closed() -> str:
        async with served_at(saying()) as proxy:
            return proxy

    async def ask(proxy: str) -> None:
        await RepeatedRequest(Server("10.213.0.10", 6443, tunnel=proxy), "GET", "/", limit_seconds=2).ask()

    proxy = asyncio.run(closed())
    with pytest.raises(TunnelLost, match=f"the tunnel at {proxy} is closed"):
        asyncio.run(ask(proxy))


# Vagrant


def test_vagrant_asks_the_engine_at_the_end_of_the_tunnel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vagrant").write_text('#!/bin/sh\necho "$DOCKER_HOST" >asked\n')
    (tmp_path / "vagrant").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "ssh://farm")
    Vagrant(tmp_path, ProviderKind.DOCKER, tmp_path / "log", env={"DOCKER_HOST": "unix:///t"}).halt()
    assert (tmp_path / "asked").read_text() == "unix:///t\n"
